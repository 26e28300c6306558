#!/usr/bin/env python3
# Perplexity of the three real models within 1 % of a reference's (../shared/models/real).
"""Scores a text through /v1/completions with echo and logprobs, beside the references' figures."""

import json
import math
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import served

REFERENCES = {
    "smollm2-135m": "smollm2-135m-q4_1",
    "gemma3-270m": "gemma-3-270m-q4_k_m",
    "qwen2.5-coder-1.5b": "qwen2.5-coder-1.5b",
}
TOLERANCE = 0.01


def measure(model, golden, text):
    with tempfile.TemporaryDirectory() as folder:
        server = served.Served(folder, served.cached_model(model))
        try:
            question = {"prompt": text, "add_special_tokens": True}
            ids = server.post("/tokenize", question).json()["tokens"]
            ids = ids[: golden["token_count"]]
            body = {"prompt": ids, "max_tokens": 1, "echo": True, "logprobs": 0, "temperature": 0}
            answer = server.post("/v1/completions", body, timeout=1800)
            answer.raise_for_status()
        finally:
            server.stop()
    logprobs = answer.json()["choices"][0]["logprobs"]["token_logprobs"][1 : len(ids)]
    return math.exp(-sum(logprobs) / len(logprobs)), len(ids)


def main():
    folder = served.SHARED_MODELS / "real"
    if not folder.exists():
        print(f"{folder} is absent")
        return 1
    text = (folder / "perplexity.txt").read_text()
    failed = 0
    for model, name in REFERENCES.items():
        if served.cached_model(model) is None:
            print(f"{model} is not in the cache: ./dev model {model}")
            failed += 1
            continue
        golden = json.loads((folder / f"{name}.json").read_text())["perplexity"]
        ours, count = measure(model, golden, text)
        distances = [abs(ours / golden[key] - 1) for key in ("transformers", "llama_cpp")]
        verdict = "ok" if min(distances) <= TOLERANCE else "WRONG"
        print(
            f"{model}: {ours:.3f} over {count} tokens; transformers {golden['transformers']:.3f}, "
            f"llama.cpp {golden['llama_cpp']:.3f}: {100 * min(distances):.2f} % off, {verdict}",
            flush=True,
        )
        failed += verdict != "ok"
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
