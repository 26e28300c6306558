"""Answers of whole servers against results recorded from other implementations."""

import concurrent.futures
import json
import pathlib

import pytest
from conftest import need_cached

REAL = {
    "smollm2-135m": "smollm2-135m-q4_1.json",
    "qwen2.5-coder-1.5b": "qwen2.5-coder-1.5b.json",
    "gemma3-270m": "gemma-3-270m-q4_k_m.json",
}
# Logits; a smaller margin is no difference between 8-bit and other activations (models/README.md).
TIE = 0.5


def greedy_ids(server, prompt_ids, count):
    answer = server.post(
        "/v1/completions",
        {
            "prompt": prompt_ids,
            "temperature": 0,
            "max_tokens": count,
            "ignore_eos": True,
            "return_token_ids": True,
        },
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["token_ids"]


def test_conformance_model_gives_the_golden_tokens(conformance):
    server, folder = conformance
    golden = json.loads((folder / "golden.json").read_text())
    for prompt in golden["prompts"]:
        expected = prompt["greedy_token_ids"]
        assert greedy_ids(server, prompt["token_ids"], len(expected)) == expected, prompt["name"]


def test_conformance_model_reads_text_as_its_tokenizer(conformance):
    server, folder = conformance
    golden = json.loads((folder / "golden.json").read_text())
    for prompt in golden["prompts"]:
        answer = server.post("/tokenize", {"prompt": prompt["text"], "add_special_tokens": True})
        assert answer.status_code == 200, answer.text
        assert answer.json()["tokens"] == prompt["token_ids"], prompt["name"]


@pytest.mark.parametrize("name", REAL)
def test_real_model_follows_the_recorded_tokens_up_to_a_tie(name, start_server, smollm):
    record = pathlib.Path(__file__).parents[2] / ".." / "shared" / "models" / "real" / REAL[name]
    if not record.exists():
        pytest.skip(f"{record} is not there")
    model = need_cached(name)
    server = (
        smollm
        if name == "smollm2-135m"
        else start_server(model, "--max-model-len", 4096, "--kv-cache-memory", "512MiB")
    )
    try:
        prompts = json.loads(record.read_text())["prompts"]
        count = 24
        with concurrent.futures.ThreadPoolExecutor(len(prompts)) as pool:
            answers = pool.map(lambda p: greedy_ids(server, p["token_ids"], count), prompts)
        for prompt, ours in zip(prompts, answers, strict=True):
            failures = []
            for peer in ("llama_cpp", "transformers"):
                theirs = prompt[peer]["greedy_token_ids"][:count]
                margins = prompt[peer]["greedy_margins"]
                step = next((i for i in range(count) if ours[i] != theirs[i]), None)
                if step is None or margins[step] < TIE:
                    break
                failures.append(f"{peer}: step {step}, margin {margins[step]:.3f}")
            else:
                pytest.fail(f"{prompt['text'][-60:]!r}: {failures}")
    finally:
        if server is not smollm:
            server.stop()


def test_coder_model_answers_with_the_number_only(start_server):
    server = start_server(
        need_cached("qwen2.5-coder-1.5b"), "--max-model-len", 2048, "--kv-cache-memory", "256MiB"
    )
    try:
        answer = server.post(
            "/v1/chat/completions",
            {
                "messages": [{"role": "user", "content": "What is 2+2? Answer with number only"}],
                "temperature": 0,
                "max_tokens": 8,
            },
        ).json()
        assert answer["choices"][0]["message"]["content"] == "4"
        assert answer["choices"][0]["finish_reason"] == "stop"
    finally:
        server.stop()
