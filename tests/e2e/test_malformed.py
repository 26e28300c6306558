"""A thousand malformed requests: an error each time, and the server goes on."""

import json
import os
import socket

import pytest
import requests
from malformed_requests import malformed

COUNT = 1000
SEED = int(os.environ.get("INFERNO_TEST_SEED", "20"))


@pytest.fixture(scope="module")
def server(start_server, tiny_model):
    return start_server(tiny_model, "--kv-cache-memory", "64MiB")


def exchange(port, data):
    """(status, body) of the answer to these bytes; (None, b"") when the server just closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it closed before all was sent, maybe with an answer
        received = b""
        try:
            while more := connection.recv(65536):
                received += more
        except ConnectionError:
            pass
    if not received:
        return None, b""
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body


def test_each_malformed_request_is_an_error(server):
    wrong = []
    for number, (kind, data, what) in enumerate(malformed(SEED, COUNT)):
        status, body = exchange(server.port, data)
        trouble = trouble_with(kind, status, body)
        if trouble:
            wrong.append(f"{number} ({what}): {trouble}")
        assert server.process.poll() is None, f"the server died of {number} ({what}), seed {SEED}"
    assert not wrong, f"seed {SEED}: {len(wrong)} of {COUNT}\n" + "\n".join(wrong[:40])
    assert server.is_healthy()
    server.wait_until_idle()


def trouble_with(kind, status, body):
    """What is wrong with the answer to a malformed request, or None."""
    if status is None:
        return None if kind == "http" else "closed without an answer"
    if not 400 <= status < 500:
        return f"status {status} {body[:200]!r}"
    if kind != "value":
        return None
    error = json.loads(body)["error"]
    if status not in (400, 404) or error["code"] != status:
        return f"status {status}, code {error['code']}"
    return None if error["message"] else "no message"


@pytest.mark.parametrize(
    "field,value,limit",
    [
        ("temperature", -1, "0"),
        ("top_p", 1.5, "1"),
        ("top_p", 0, "0"),
        ("min_p", 2, "1"),
        ("max_tokens", 0, "1"),
        ("n", 0, "1"),
        ("presence_penalty", 9, "2"),
        ("frequency_penalty", -9, "-2"),
        ("repetition_penalty", 0, "0"),
    ],
)
def test_message_names_field_value_and_limit(server, field, value, limit):
    answer = server.post("/v1/completions", {"prompt": "x", field: value})
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert error["param"] == field
    assert (
        field in error["message"] and str(value) in error["message"] and limit in error["message"]
    )
    assert error["type"] == "BadRequestError" and error["code"] == 400


def test_good_request_still_works_afterwards(server):
    answer = server.post(
        "/v1/completions", {"prompt": "The old man said", "max_tokens": 3, "ignore_eos": True}
    )
    assert answer.status_code == 200 and answer.json()["usage"]["completion_tokens"] == 3


def test_connection_survives_a_refused_body(server):
    with requests.Session() as session:
        for _ in range(3):
            bad = session.post(f"{server.url}/v1/completions", data=b"{", timeout=10)
            assert bad.status_code == 400
            good = session.post(
                f"{server.url}/v1/completions", json={"prompt": "x", "max_tokens": 1}, timeout=30
            )
            assert good.status_code == 200
