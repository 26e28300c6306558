"""A draft model over HTTP: the same bytes as without, counted, its pages given back."""

import concurrent.futures
import json
import random
import re
import time

import pytest
from conftest import need_shared
from served import total_of

TARGET = "llama-quantized/model-Q8_0.gguf"
DRAFT = "llama-quantized/model-Q4_0.gguf"
TOGETHER = 8


def config_of(model, **more):
    return json.dumps({"model": str(model), "num_speculative_tokens": 4, **more})


@pytest.fixture(scope="module")
def drafting(start_server):
    """A server with a draft model, and one that never guesses.

    All drafts are computed: whether they pay depends on this machine in this minute.
    """
    flags = ("--kv-cache-memory", "32MiB")
    config = config_of(need_shared(DRAFT), lengths="longest")
    return (
        start_server(need_shared(TARGET), *flags, "--speculative-config", config),
        start_server(need_shared(TARGET), *flags, "--speculative-config", '{"method": "off"}'),
    )


def bodies(seed):
    """Greedy and sampled, with several choices here and there."""
    source = random.Random(seed)
    for index in range(TOGETHER):
        has_choices = index % 4 == 3
        yield {
            "prompt": [source.randrange(200) for _ in range(source.choice([3, 20, 90]))],
            "max_tokens": 100,
            "ignore_eos": True,
            "temperature": 0.8 if has_choices else source.choice([0, 0, 0.8]),
            "seed": index,
            "logprobs": 3,
            "n": 2 if has_choices else 1,
        }


def answer_of(server, body):
    answer = server.post("/v1/completions", body)
    assert answer.status_code == 200, answer.text
    return re.sub(rb'"(id|created)":\s*("[^"]*"|\d+),?', b"", answer.content)


def answers_at_once(server, seed):
    with concurrent.futures.ThreadPoolExecutor(TOGETHER) as pool:
        return list(pool.map(lambda body: answer_of(server, body), bodies(seed)))


def test_answers_are_the_same_with_and_without(drafting):
    with_draft, without = drafting
    assert "draft model: weights" in with_draft.log()
    for seed in (1, 2):
        plain = [answer_of(without, body) for body in bodies(seed)]
        assert answers_at_once(with_draft, seed) == plain
        assert [answer_of(with_draft, body) for body in bodies(seed)] == plain
    metrics = with_draft.metrics()
    drafts = total_of(metrics, "vllm:spec_decode_num_draft_tokens_total")
    accepted = total_of(metrics, "vllm:spec_decode_num_accepted_tokens_total")
    # 1,000 tokens a time, four times; most steps of a sequence have four guesses of its next ones.
    assert drafts > 1000
    assert 100 < accepted < drafts
    assert accepted == total_of(metrics, "vllm:spec_decode_num_accepted_tokens_per_pos_total")
    assert total_of(metrics, "inferno:draft_kv_pages_in_use") == 0


def test_a_client_that_leaves_takes_no_draft_pages_along(drafting):
    server, _ = drafting
    for index in range(6):
        body = {
            "prompt": [index, 7, 9] * 20,
            "max_tokens": 1000,
            "ignore_eos": True,
            "stream": True,
        }
        answer = server.post("/v1/completions", body, stream=True)
        next(answer.iter_lines())
        answer.close()
    server.wait_until_idle()
    deadline = time.monotonic() + 10
    while total_of(server.metrics(), "inferno:draft_kv_pages_in_use"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    "config, says",
    [
        (config_of("no-such-model"), "no-such-model"),
        ('{"method": "eagle", "model": "x"}', 'method is "eagle"'),
        ('{"method": "draft_model"}', "needs a model"),
        ('{"model": "x", "draft_tensor_parallel_size": 1}', "draft_tensor_parallel_size"),
    ],
)
def test_a_wrong_configuration_is_refused_by_name(inferno, config, says):
    model = need_shared(TARGET)
    result = inferno("serve", model, "--port", 0, "--speculative-config", config)
    assert result.returncode in (1, 2)
    assert says in (result.stderr + result.stdout).decode()
    assert "speculative-config" in (result.stderr + result.stdout).decode()


def test_another_vocabulary_is_refused(inferno):
    config = config_of(need_shared("gemma3/model-f32.gguf"))
    result = inferno(
        "serve", need_shared(TARGET), "--port", 0, "--speculative-config", config, timeout_s=60
    )
    assert result.returncode == 1
    assert b"speculative-config" in result.stderr
    assert b"vocabulary" in result.stderr or b"may differ by" in result.stderr


def test_info_tells_what_a_draft_model_needs(inferno):
    config = config_of(need_shared(DRAFT))
    result = inferno("info", need_shared(TARGET), "--json", "--speculative-config", config)
    memory = json.loads(result.stdout)["memory"]
    assert 0 < memory["draft_weights_bytes"] < memory["weights_bytes"]
    assert memory["draft_kv_bytes_per_token"] == memory["kv_bytes_per_token"]
