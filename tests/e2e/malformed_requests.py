"""Requests that no server should accept, made from a seed.

Each is (bytes to send on a fresh connection, what it is). The kinds: wrong values in an otherwise
good body, bodies that are no JSON, wrong methods and paths, and bytes that are no HTTP.
"""

import json
import random

CHAT = {
    "model": "test-model",
    "messages": [{"role": "user", "content": "Hello there"}],
    "max_tokens": 1,
}
COMPLETION = {"model": "test-model", "prompt": "Hello there", "max_tokens": 1}

NOT_A_NUMBER = ["warm", [], {}, [1.0], {"value": 1}]
NOT_AN_INTEGER = ["many", 1.5, [], {}, [1]]
WRONG_VALUES = {
    "temperature": [-1, -0.001, 1e300, *NOT_A_NUMBER],
    "top_p": [0, -0.5, 1.0001, 17, *NOT_A_NUMBER],
    "top_k": [-2, -1000, 10**30, *NOT_AN_INTEGER],
    "min_p": [-0.1, 1.1, *NOT_A_NUMBER],
    "presence_penalty": [-2.5, 2.5, *NOT_A_NUMBER],
    "frequency_penalty": [-3, 100, *NOT_A_NUMBER],
    "repetition_penalty": [0, -1, *NOT_A_NUMBER],
    "max_tokens": [0, -1, -(2**40), 10**30, *NOT_AN_INTEGER],
    "n": [0, -3, 10**9, *NOT_AN_INTEGER],
    "seed": ["x", 1.5, [], 10**40],
    "stream": ["perhaps", [], {}],
    "stop": [5, [1, 2], {"a": "b"}, [["x"]]],
    "stop_token_ids": ["x", [1.5], ["a"], {}],
    "logit_bias": ["x", [1], {"abc": 1}, {"5": "high"}],
    "min_tokens": [-1, "x", 2.5],
    "ignore_eos": ["perhaps", [], {}],
    "model": [5, [], {}, "no-such-model"],
    "stream_options": [{"include_usage": True}, "x", 5],
    "echo": ["perhaps", []],
}
WRONG_CHAT = {
    "messages": [
        None,
        "hello",
        5,
        {},
        [5],
        ["hello"],
        [None],
        [{"role": "user"}, 7],
        [{"content": "no role"}],
        [{"role": 5, "content": "x"}],
        [{"role": "user", "content": 5}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
        [{"role": "user", "content": [5]}],
    ],
    "logprobs": ["x", [], {}],
    "top_logprobs": [-5, 1000, "x", 2.5, []],
    "tools": ["x", 5, {"a": 1}],
    "response_format": ["x", 5, {"type": "poem"}],
    "max_completion_tokens": [0, -1, *NOT_AN_INTEGER],
}
WRONG_COMPLETION = {
    "prompt": [None, 5, {}, [], [[]], [1.5], [-1], [10**12], ["a", 5], [{}], True, [[1, "x"]]],
    "logprobs": [-5, 1000, "x", 2.5, [], {}],
}
BAD_TEXT = [
    b"",
    b" ",
    b"null",
    b"5",
    b"[]",
    b'"text"',
    b"{",
    b"}",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"prompt": "x", "max_tokens": 1e400}',
    b'{"prompt": "x", "temperature": NaN}',
    b'{"prompt": "x", "temperature": -Infinity}',
    b'{"prompt": "\xff\xfe"}',
    b'{"prompt": "\xed\xa0\x80"}',
    b'{"prompt": "\\ud800"}',
    b'{"prompt": "x"} trailing',
    b"{'prompt': 'x'}",
    b'{"prompt": "x",}',
    b'{"prompt": "a\nb"}',
    b'{"prompt": "\\x41"}',
    b"\xef\xbb\xbf\xef\xbb\xbf{}",
    b"prompt=x&max_tokens=1",
    b'{"prompt": "x", "prompt"}',
    b"\x00" * 64,
    b'{"prompt": 0x10}',
    b'{"prompt": "x", "n": 01}',
]
PATHS = ["/v1/chat/completions", "/v1/completions"]


def http(method, path, body=b"", headers=()):
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: test",
        "Connection: close",
        f"Content-Length: {len(body)}",
    ]
    if body:
        lines.append("Content-Type: application/json")
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def framed(header, body):
    """A completion request whose only header says how long the body is."""
    return f"POST {PATHS[1]} HTTP/1.1\r\nHost: t\r\n{header}\r\n\r\n".encode() + body


def wrong_value(source):
    is_chat = source.random() < 0.5
    special = WRONG_CHAT if is_chat else WRONG_COMPLETION
    fields = {**WRONG_VALUES, **special}
    field = source.choice(sorted(fields))
    value = source.choice(fields[field])
    base = CHAT if is_chat else COMPLETION
    body = {**base, field: value}
    if field == "top_logprobs":
        body["logprobs"] = True
    if field == "min_tokens":
        body["max_tokens"] = 8
    return http(
        "POST", PATHS[0 if is_chat else 1], json.dumps(body).encode()
    ), f"{field} = {value!r}"


def missing_field(source):
    is_chat = source.random() < 0.5
    body = dict(CHAT if is_chat else COMPLETION)
    del body["messages" if is_chat else "prompt"]
    return http("POST", PATHS[0 if is_chat else 1], json.dumps(body).encode()), "nothing to answer"


def broken_json(source):
    path = source.choice(PATHS)
    kind = source.randrange(3)
    good = json.dumps(CHAT if "chat" in path else COMPLETION).encode()
    if kind == 0:
        body = source.choice(BAD_TEXT)
    elif kind == 1:  # an object that is cut is never JSON
        body = good[: source.randrange(1, len(good))]
    else:
        body = source.randbytes(source.randrange(1, 400))
    return http("POST", path, body), f"body {body[:60]!r}"


def wrong_route(source):
    if source.random() < 0.5:
        method = source.choice(["GET", "PUT", "DELETE", "PATCH"])
        return http(method, source.choice(PATHS)), f"{method} where POST is meant"
    path = source.choice(
        [
            "/v1",
            "/v1/",
            "/v1/chat",
            "/v2/completions",
            "/../etc/passwd",
            "/%00",
            "/v1/models/none",
            "/v1/completions/x",
            "/" + "a" * source.randrange(1, 2000),
            "/app.js/..",
            "/%ff%fe",
        ]
    )
    return http(source.choice(["GET", "POST"]), path), f"path {path[:40]}"


def wrong_http(source):
    """Bytes that are no request; the server may answer 4xx or just close."""
    good = json.dumps(COMPLETION).encode()
    lines = {
        "huge header": http(
            "POST", PATHS[1], good, [("X-Big", "a" * source.randrange(100_000, 400_000))]
        ),
        "many headers": http("POST", PATHS[1], good, [(f"X-{i}", "y" * 50) for i in range(5000)]),
        "huge path": http("GET", "/" + "a" * 200_000),
        "negative length": framed("Content-Length: -5", b"hello"),
        "length of letters": framed("Content-Length: ten", b"hello"),
        "length too large": framed("Content-Length: 99999999999", b""),
        "two lengths": framed("Content-Length: 5\r\nContent-Length: 6", b"hello!"),
        "bad chunk": framed("Transfer-Encoding: chunked", b"zz\r\nhello\r\n0\r\n\r\n"),
        "header without colon": b"GET /health HTTP/1.1\r\nHost test\r\n\r\n",
        "header with NUL": b"GET /health HTTP/1.1\r\nHost: t\x00t\r\n\r\n",
        "no version": b"GET /health\r\n\r\n",
        "noise": source.randbytes(source.randrange(16, 600)) + b"\r\n\r\n",
        "a TLS hello": bytes.fromhex("16030100a5010000a10303") + source.randbytes(154),
    }
    name = source.choice(sorted(lines))
    return lines[name], name


def malformed(seed, count):
    """`count` requests as (kind, bytes, what): kind is "value", "json", "route" or "http"."""
    source = random.Random(seed)
    makers = (
        [("value", wrong_value)] * 10
        + [("value", missing_field)]
        + [("json", broken_json)] * 6
        + [("route", wrong_route)] * 2
        + [("http", wrong_http)] * 2
    )
    for _ in range(count):
        kind, make = source.choice(makers)
        data, what = make(source)
        yield kind, data, what
