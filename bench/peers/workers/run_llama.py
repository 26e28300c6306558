"""llama.cpp, driven by llama_decode: run_llama.py MODEL THREADS on|off (flash attention).

Runs inside llama.cpp's environment: PYTHONPATH has its Python bindings, LLAMA_CPP_LIB_PATH the
libraries. A case's context is made by `open`. Batches have a stream of KV for each sequence, as in
llama-batched-bench; the first prompt is computed and copied to the others, which are not timed.
What a deep prompt left in the context is kept below PEERS_STATES, where that is set: to compute it
takes longer than all else, and it is the same each time.
"""

import ctypes
import os
import pathlib
import sys
import time

import llama_cpp
from protocol import prompt_tokens, serve

BATCH_TOKENS = 512  # its own default of n_ubatch
KEPT_TOKENS = 4096  # prompts from this length on are kept


class Llama:
    def __init__(self, model, threads, attention):
        self.version = "llama-cpp-python " + llama_cpp.__version__
        self.threads, self.attention = threads, attention
        self.name = f"{pathlib.Path(model).stem}-{llama_cpp.__version__}-{attention}"
        self.context = None
        llama_cpp.llama_backend_init()
        parameters = llama_cpp.llama_model_default_params()
        parameters.n_gpu_layers = 0
        self.model = llama_cpp.llama_model_load_from_file(model.encode(), parameters)
        if not self.model:
            raise RuntimeError(f"cannot load {model}")
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(
            llama_cpp.llama_model_get_vocab(self.model)
        )

    def open(self, depth, batch, room):
        self.close()
        self.depth, self.sequences = depth, batch
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = batch * (-(-(depth + room) // 256) * 256)
        parameters.n_batch = parameters.n_ubatch = BATCH_TOKENS
        parameters.n_seq_max = batch
        parameters.n_threads = parameters.n_threads_batch = self.threads
        parameters.flash_attn_type = (
            llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
            if self.attention == "on"
            else llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        self.context = llama_cpp.llama_init_from_model(self.model, parameters)
        if not self.context:
            raise RuntimeError(f"no context of {parameters.n_ctx} tokens")
        self.batch = llama_cpp.llama_batch_init(BATCH_TOKENS, 0, 1)
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.fill_depth()
        for sequence in range(1, batch):
            llama_cpp.llama_memory_seq_cp(self.memory, 0, sequence, -1, -1)

    def close(self):
        if self.context:
            llama_cpp.llama_batch_free(self.batch)
            llama_cpp.llama_free(self.context)
        self.context = None

    def run(self, rows):
        """One llama_decode of (token, position, sequence, wants logits)."""
        self.batch.n_tokens = len(rows)
        for index, (token, position, sequence, wants_logits) in enumerate(rows):
            self.batch.token[index] = token
            self.batch.pos[index] = position
            self.batch.n_seq_id[index] = 1
            self.batch.seq_id[index][0] = sequence
            self.batch.logits[index] = wants_logits
        code = llama_cpp.llama_decode(self.context, self.batch)
        if code != 0:
            raise RuntimeError(f"llama_decode: {code}")
        llama_cpp.llama_synchronize(self.context)

    def fill_depth(self):
        """The prompt of sequence 0, from its file where there is one."""
        states = os.environ.get("PEERS_STATES")
        if not states or self.depth < KEPT_TOKENS:
            self.fill(0, self.depth)
            return
        path = pathlib.Path(states, f"{self.name}-{self.depth}.state")
        tokens = (llama_cpp.llama_token * self.depth)(*prompt_tokens(self.depth, self.vocabulary))
        if path.exists():
            count = ctypes.c_size_t()
            if not llama_cpp.llama_state_seq_load_file(
                self.context, bytes(path), 0, tokens, self.depth, ctypes.byref(count)
            ):
                raise RuntimeError(f"cannot read {path}")
            return
        self.fill(0, self.depth)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        llama_cpp.llama_state_seq_save_file(self.context, bytes(part), 0, tokens, self.depth)
        part.rename(path)

    def fill(self, first, count):
        """Positions first..first+count of sequence 0, logits of the last one."""
        tokens = prompt_tokens(count, self.vocabulary)
        for begin in range(0, count, BATCH_TOKENS):
            part = tokens[begin : begin + BATCH_TOKENS]
            self.run(
                [
                    (token, first + begin + index, 0, begin + index + 1 == count)
                    for index, token in enumerate(part)
                ]
            )

    def prefill(self, tokens):
        llama_cpp.llama_memory_clear(self.memory, True)
        begin = time.perf_counter()
        self.fill(0, tokens)
        return time.perf_counter() - begin

    def decode(self, steps):
        for sequence in range(self.sequences):
            llama_cpp.llama_memory_seq_rm(self.memory, sequence, self.depth, -1)
        begin = time.perf_counter()
        for step in range(steps):
            position = self.depth + step
            token = prompt_tokens(1, self.vocabulary, position)[0]
            self.run([(token, position, sequence, True) for sequence in range(self.sequences)])
        return time.perf_counter() - begin


if __name__ == "__main__":
    serve(lambda: Llama(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
