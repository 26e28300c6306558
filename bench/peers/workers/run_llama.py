"""llama.cpp, driven by llama_decode: run_llama.py MODEL THREADS on|off (flash attention).

Runs inside llama.cpp's environment: PYTHONPATH has its Python bindings, LLAMA_CPP_LIB_PATH the
libraries. A case's context is made by `open`. Batches have a stream of KV for each sequence, as in
llama-batched-bench; the first prompt is computed and copied to the others, which are not timed.
A deep prompt is that of 512 tokens again and again, moved to its positions: to compute it takes
minutes, and the time of a step does not depend on what it says.
"""

import ctypes
import sys
import time

import llama_cpp
from protocol import prompt_tokens, serve

BATCH_TOKENS = 512  # its own default of n_ubatch
REPEATED_TOKENS = 4096  # from this depth on


class Llama:
    def __init__(self, model, threads, attention):
        self.version = "llama-cpp-python " + llama_cpp.__version__
        self.threads, self.attention = threads, attention
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
        is_repeated = batch == 1 and depth >= REPEATED_TOKENS
        parameters.n_seq_max = 2 if is_repeated else batch
        parameters.kv_unified = is_repeated
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
        if is_repeated:
            self.repeat(depth)
        else:
            self.fill(0, depth)
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

    def repeat(self, depth):
        """Fills sequence 0: one batch, read into sequence 1 again and again, moved, handed over."""
        self.fill(0, BATCH_TOKENS)
        size = llama_cpp.llama_state_seq_get_size(self.context, 0)
        state = (ctypes.c_uint8 * size)()
        llama_cpp.llama_state_seq_get_data(self.context, state, size, 0)
        done = BATCH_TOKENS
        while done + BATCH_TOKENS <= depth:
            if not llama_cpp.llama_state_seq_set_data(self.context, state, size, 1):
                raise RuntimeError("the state of a sequence cannot be read back")
            llama_cpp.llama_memory_seq_add(self.memory, 1, -1, -1, done)
            llama_cpp.llama_memory_seq_cp(self.memory, 1, 0, -1, -1)
            llama_cpp.llama_memory_seq_rm(self.memory, 1, -1, -1)
            done += BATCH_TOKENS
        self.fill(done, depth - done)
        last = llama_cpp.llama_memory_seq_pos_max(self.memory, 0)
        if last != depth - 1:
            raise RuntimeError(f"the last position is {last}, not {depth - 1}")

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
