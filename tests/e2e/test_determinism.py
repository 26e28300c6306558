"""The same answer, always: over HTTP, alone and in company, equal to the byte."""

import concurrent.futures
import json
import random
import re

import pytest

TOGETHER = 16
WORDS = (
    "river stone lantern paper garden window copper thunder bicycle harbour violin mountain letter "
    "winter orange signal"
).split()


def mixed_requests(seed):
    """TOGETHER different requests: chat and completion, greedy and seeded, short prompts and some
    of many chunks.
    """
    source = random.Random(seed)
    requests = []
    for index in range(TOGETHER):
        length = source.choice([3, 8, 20, 60, 700 if index % 5 == 0 else 120])
        text = " ".join(source.choice(WORDS) for _ in range(length))
        body = {
            "max_tokens": source.randint(4, 24),
            "seed": source.randrange(2**31),
            "temperature": source.choice([0, 0, 0.7, 1.0, 1.3]),
            "top_p": source.choice([1.0, 0.9]),
            "top_k": source.choice([0, 40]),
        }
        if index % 2:
            body |= {"prompt": text, "logprobs": 3, "ignore_eos": True}
            requests.append(("/v1/completions", body))
        else:
            body |= {
                "messages": [{"role": "user", "content": text}],
                "logprobs": True,
                "top_logprobs": 3,
            }
            requests.append(("/v1/chat/completions", body))
    return requests


def text_of(body):
    return body["prompt"] if "prompt" in body else body["messages"][0]["content"]


def body_of(server, path, body):
    """The answer's bytes without what names this one answer: its id and the time it was made."""
    answer = server.post(path, body)
    assert answer.status_code == 200, answer.text
    assert b'"logprob' in answer.content
    return re.sub(rb'"(id|created)":\s*("[^"]*"|\d+),?', b"", answer.content)


def at_once(server, requests):
    with concurrent.futures.ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(lambda request: body_of(server, *request), requests))


@pytest.mark.parametrize("seed", [1, 2])
def test_company_changes_no_byte_of_an_answer(smollm, seed):
    requests = mixed_requests(seed)
    alone = [body_of(smollm, *request) for request in requests]
    assert len(set(alone)) == TOGETHER
    assert at_once(smollm, requests) == alone
    assert at_once(smollm, list(reversed(requests))) == list(reversed(alone))


def test_conformance_models_keep_it_too(conformance):
    server, _ = conformance
    # Their context is short, and their chat templates take any text.
    requests = [(path, body) for path, body in mixed_requests(5) if len(text_of(body)) < 180]
    assert len(requests) >= 4
    alone = [body_of(server, *request) for request in requests]
    assert at_once(server, requests) == alone


@pytest.fixture(scope="module")
def usual_answers(smollm):
    """Six requests, and what they are answered alone by a server with usual flags."""
    requests = mixed_requests(3)[:6]
    return requests, [body_of(smollm, *request) for request in requests]


@pytest.mark.parametrize(
    "flags",
    [
        ["--threads", 1],
        ["--no-enable-prefix-caching"],
        ["--max-num-batched-tokens", 64],
        ["--max-num-seqs", 3],
    ],
    ids=lambda flags: " ".join(map(str, flags)),
)
def test_no_way_of_serving_changes_an_answer(smollm, usual_answers, start_server, flags):
    requests, expected = usual_answers
    other = start_server(
        smollm.process.args[2], "--kv-cache-memory", "512MiB", *flags, name=smollm.name
    )
    try:
        assert at_once(other, requests) == expected
    finally:
        other.stop()


def test_a_stream_has_the_text_of_the_whole_answer(smollm):
    """Sixteen streams at once against the same requests as whole answers."""
    requests = [
        (path, {k: v for k, v in body.items() if "logprobs" not in k})
        for path, body in mixed_requests(4)
    ]

    def whole(request):
        choice = smollm.post(*request).json()["choices"][0]
        return choice["text"] if "text" in choice else choice["message"]["content"]

    def streamed(request):
        path, body = request
        answer = smollm.post(path, {**body, "stream": True}, stream=True)
        assert answer.status_code == 200
        text = ""
        for line in answer.iter_lines():
            if line.startswith(b"data: {"):
                text += piece_of(line[6:])
        return text

    with concurrent.futures.ThreadPoolExecutor(TOGETHER) as pool:
        assert list(pool.map(streamed, requests)) == list(pool.map(whole, requests))


def piece_of(line):
    text = ""
    for choice in json.loads(line)["choices"]:
        text += choice["text"] if "text" in choice else choice["delta"].get("content") or ""
    return text
