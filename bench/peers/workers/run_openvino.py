"""OpenVINO GenAI's continuous batching pipeline: run_openvino.py MODEL_FOLDER THREADS

Runs inside OpenVINO's environment.
"""

import json
import pathlib
import sys
from importlib.metadata import version

import numpy
import openvino
import openvino_genai
from protocol import prompt_tokens, serve
from stepping import SteppingEngine

CACHE_GIB = 3  # KV of all cases: 32 sequences of 160 tokens, one of 8,300
BATCHED_TOKENS = 512  # of a step, as the others have


class OpenVino(SteppingEngine):
    def __init__(self, model, threads):
        self.version = "openvino-genai " + version("openvino-genai")
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.cache_size = CACHE_GIB
        scheduler.enable_prefix_caching = False
        scheduler.max_num_seqs = 64
        scheduler.max_num_batched_tokens = BATCHED_TOKENS
        self.pipeline = openvino_genai.ContinuousBatchingPipeline(
            model, scheduler, "CPU", {"INFERENCE_NUM_THREADS": threads}
        )
        config = json.loads(pathlib.Path(model, "config.json").read_text())
        self.vocabulary = config["vocab_size"]
        self.handles = {}
        self.next_id = 0

    def add(self, prompt, answer):
        self.next_id += 1
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens = answer
        config.ignore_eos = True
        config.do_sample = False
        tokens = prompt_tokens(prompt, self.vocabulary, self.next_id)
        ids = openvino.Tensor(numpy.array([tokens], dtype=numpy.int64))
        self.handles[self.next_id] = self.pipeline.add_request(self.next_id, ids, config)
        return self.next_id

    def step(self):
        self.pipeline.step()
        got = []
        for request, handle in self.handles.items():
            if handle.can_read():
                handle.read()
                got.append(request)
        for request in got:
            if "RUNNING" not in str(self.handles[request].get_status()):
                del self.handles[request]
        return got

    def drop_all(self):
        for handle in self.handles.values():
            handle.cancel()
        self.handles.clear()
        while self.pipeline.has_non_finished_requests():
            self.pipeline.step()


if __name__ == "__main__":
    serve(lambda: OpenVino(sys.argv[1], int(sys.argv[2])))
