"""Clients and neighbours that press on the server: the others keep what they were promised.

Short memory, busy processors, clients that never read, clients that send a byte at a time, more
bodies than there is room for.

Covers src/net/connection.cc and src/net/body_budget.cc.
"""

import collections
import concurrent.futures
import os
import resource
import socket
import time

import pytest
import requests
from pressure import Companion, Trickle, busy_processors, is_cut_off, renice, stalled_stream
from served import total_of

ASK = {"prompt": "Once upon a time", "max_tokens": 12, "temperature": 0, "ignore_eos": True}
# Tens of megabytes of events: many choices, each token with its alternatives.
ENDLESS = {
    "prompt": "Once upon a time", "max_tokens": 200, "n": 128, "temperature": 1, "seed": 1,
    "logprobs": 5, "return_token_ids": True, "ignore_eos": True,
}  # fmt: skip
FLAGS = ("--kv-cache-memory", "64MiB", "--max-model-len", "256", "--threads", "1")
MIB = 1 << 20


def wait_until_one_runs(server, timeout_s=120):
    deadline = time.monotonic() + timeout_s
    while True:
        metrics = server.metrics()
        names = ("vllm:num_requests_running", "vllm:num_requests_waiting")
        count = sum(total_of(metrics, name) for name in names)
        if count <= 1:
            return
        assert time.monotonic() < deadline, f"{count} requests still there"
        time.sleep(0.05)


@pytest.fixture
def pressed(start_server, tiny_model):
    """(server, a client that goes on asking all the time): at the end every answer was right."""
    server = start_server(tiny_model, *FLAGS)
    companion = Companion(server, ASK)
    try:
        yield server, companion
        companion.wait_for(3)
    finally:
        companion.stop()
        code = server.stop()
    assert not companion.wrong, companion.wrong[:5]
    assert code == 0


def test_clients_that_never_read_are_cut_off_at_a_bounded_buffer(pressed):
    server, companion = pressed
    companion.wait_for(1)
    before = server.memory_bytes("VmRSS")
    stalled = [stalled_stream(server.port, ENDLESS) for _ in range(4)]
    companion.wait_for(1)
    wait_until_one_runs(server)
    # Per client 4 MiB that wait, as much on its way, and what 128 sequences take.
    assert server.memory_bytes("VmHWM") < before + len(stalled) * 16 * MIB
    assert all(is_cut_off(connection) for connection in stalled)


def test_clients_that_send_a_byte_at_a_time_hold_nobody_up(pressed):
    server, companion = pressed
    trickle = Trickle(server.port, in_headers=150, in_bodies=150)
    try:
        for _ in range(5):
            companion.wait_for(2)
            assert server.is_healthy()
    finally:
        trickle.stop()
    assert companion.ask() == companion.expected


def test_a_server_that_hardly_gets_a_processor_goes_on(start_server, tiny_model):
    alone = start_server(tiny_model, *FLAGS)
    expected = alone.post("/v1/completions", {**ASK, "max_tokens": 100}).json()["choices"]
    assert alone.stop() == 0
    with busy_processors(2 * os.cpu_count()):
        # Some 5 % of a processor for the start, which computes a while; 1 % afterwards.
        server = start_server(tiny_model, *FLAGS, under=["nice", "-n", "10", "taskset", "-c", "0"])
        renice(server.process.pid, 19)
        with concurrent.futures.ThreadPoolExecutor(4) as clients:
            answers = [
                clients.submit(server.post, "/v1/completions", {**ASK, "max_tokens": 100})
                for _ in range(4)
            ]
            while not all(answer.done() for answer in answers):
                assert server.is_healthy()
                assert requests.get(f"{server.url}/health/live", timeout=10).status_code == 200
        assert all(answer.result().json()["choices"] == expected for answer in answers)
        assert server.stop() == 0


# An address space without room: what needs much of it is refused with a reason.
def test_requests_beyond_the_memory_there_is_are_refused_and_others_go_on(pressed):
    server, companion = pressed
    # Parsed, each takes some eight times its bytes.
    large = b'{"prompt":"a","max_tokens":1,"unknown":[' + b"0," * (10 * MIB) + b"0]}"
    limit = server.memory_bytes("VmSize") + 96 * MIB
    resource.prlimit(server.process.pid, resource.RLIMIT_AS, (limit, limit))

    def send(_):
        answer = requests.post(
            f"{server.url}/v1/completions",
            data=large,
            headers={"Content-Type": "application/json"},
            timeout=120,
        )
        if answer.status_code != 200:
            assert answer.json()["error"]["message"]
        if answer.status_code in (429, 503):
            assert int(answer.headers["Retry-After"]) >= 1
        return answer.status_code

    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        statuses = collections.Counter(clients.map(send, range(16)))
    assert set(statuses) <= {200, 429, 503}, statuses
    assert statuses[503] > 0, statuses
    companion.wait_for(3)
    assert server.is_healthy()


def test_what_the_header_tells_is_answered_before_the_body(start_server, tiny_model):
    server = start_server(tiny_model, *FLAGS, "--api-key", "right")
    try:
        for path, key, length, status in (
            ("/v1/completions", "wrong", 30 * MIB, b"401"),
            ("/v1/nowhere", "right", 30 * MIB, b"404"),
            ("/v1/models", "right", 30 * MIB, b"405"),
            ("/v1/completions", "right", 33 * MIB, b"413"),
        ):
            with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
                client.sendall(
                    f"POST {path} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {key}\r\n"
                    f"Content-Length: {length}\r\n\r\n{{".encode()
                )
                assert client.recv(4096).split(b" ")[1] == status
    finally:
        server.stop()
