"""The server as a process: readiness, keys, metrics, clients that go away, the end."""

import json
import signal
import socket
import time

import pytest
import requests
from conftest import need_cached, need_shared
from served import total_of

LONG = {"prompt": "Once upon a time", "max_tokens": 4000, "ignore_eos": True, "temperature": 0}


def connect(server, body, path="/v1/completions"):
    """A raw connection on which the request was sent."""
    data = json.dumps(body).encode()
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    connection.sendall(
        f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n\r\n".encode()
        + data
    )
    return connection


def wait_for_running(server, count):
    deadline = time.monotonic() + 20
    while total_of(server.metrics(), "vllm:num_requests_running") < count:
        assert time.monotonic() < deadline, "the requests never ran"
        time.sleep(0.01)


def test_says_where_it_serves_and_writes_the_port(smollm):
    assert f"serving smollm2-135m on http://127.0.0.1:{smollm.port}" in smollm.log()
    assert smollm.port_file.read_text().strip() == str(smollm.port)


@pytest.mark.parametrize("path", ["/health", "/v1/health"])
def test_health_is_ok_while_it_serves(smollm, path):
    assert requests.get(smollm.url + path, timeout=10).status_code == 200


def test_version_is_json(smollm):
    assert requests.get(f"{smollm.url}/version", timeout=10).json()["version"]


def test_model_card_tells_the_room(smollm):
    card = requests.get(f"{smollm.url}/v1/models", timeout=10).json()["data"][0]
    assert card["id"] == "smollm2-135m" and card["max_model_len"] >= 2048


def test_page_and_its_files_are_served_with_their_policy(smollm):
    page = requests.get(f"{smollm.url}/", timeout=10)
    assert page.status_code == 200 and page.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    script = requests.get(f"{smollm.url}/app.js", timeout=10)
    assert script.status_code == 200 and "javascript" in script.headers["Content-Type"]


def test_metrics_have_the_names_of_vllm(smollm):
    smollm.post("/v1/completions", {"prompt": "Hi", "max_tokens": 2}).raise_for_status()
    metrics = smollm.metrics()
    names = {name for name, _ in metrics}
    for gauge in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc"):
        assert f"vllm:{gauge}" in names
    for counter in (
        "prompt_tokens",
        "generation_tokens",
        "request_success",
        "prefix_cache_queries",
        "prefix_cache_hits",
        "num_preemptions",
    ):
        assert f"vllm:{counter}_total" in names
    for histogram in (
        "time_to_first_token_seconds",
        "inter_token_latency_seconds",
        "e2e_request_latency_seconds",
        "request_prompt_tokens",
        "request_generation_tokens",
    ):
        for part in ("bucket", "sum", "count"):
            assert f"vllm:{histogram}_{part}" in names
        last = total_of(metrics, f"vllm:{histogram}_bucket", le="+Inf")
        assert last == total_of(metrics, f"vllm:{histogram}_count")
    assert total_of(metrics, "vllm:num_requests_running", model_name="smollm2-135m") >= 0


def test_counters_grow_by_the_usage_told(smollm):
    before = smollm.metrics()
    usage = smollm.post(
        "/v1/completions",
        {"prompt": "Count these words please", "max_tokens": 5, "ignore_eos": True},
    ).json()["usage"]
    after = smollm.metrics()

    def grown(name, **labels):
        return total_of(after, name, **labels) - total_of(before, name, **labels)

    assert grown("vllm:prompt_tokens_total") == usage["prompt_tokens"]
    assert grown("vllm:generation_tokens_total") == usage["completion_tokens"] == 5
    assert grown("vllm:request_success_total", finished_reason="length") == 1
    assert grown("vllm:time_to_first_token_seconds_count") == 1
    assert grown("vllm:inter_token_latency_seconds_count") == 4


def test_client_that_leaves_its_stream_frees_everything(smollm):
    connections = [connect(smollm, {**LONG, "stream": True}) for _ in range(4)]
    for connection in connections:
        assert b"200" in connection.recv(200)
    wait_for_running(smollm, 4)
    for connection in connections:
        connection.close()
    smollm.wait_until_idle(timeout_s=5)


def test_client_that_leaves_before_a_whole_answer_frees_everything(smollm):
    connections = [connect(smollm, {**LONG, "n": 2, "temperature": 1}) for _ in range(2)]
    wait_for_running(smollm, 4)
    for connection in connections:
        connection.close()
    smollm.wait_until_idle(timeout_s=5)


def test_client_that_leaves_during_the_prompt_frees_everything(smollm):
    connection = connect(smollm, {**LONG, "prompt": "word " * 5000, "max_tokens": 100})
    wait_for_running(smollm, 1)
    connection.close()
    smollm.wait_until_idle(timeout_s=10)


def test_others_go_on_when_one_leaves(smollm):
    body = {"prompt": "The sea is", "max_tokens": 40, "temperature": 0, "ignore_eos": True}
    expected = smollm.post("/v1/completions", body).json()["choices"]
    leaving = connect(smollm, {**LONG, "stream": True})
    leaving.recv(200)
    staying = connect(smollm, {**body})
    wait_for_running(smollm, 2)
    leaving.close()
    data = b""
    while b"\r\n\r\n" not in data or not data.rstrip().endswith(b"}"):
        more = staying.recv(65536)
        assert more, data
        data += more
    staying.close()
    assert json.loads(data.split(b"\r\n\r\n", 1)[1])["choices"] == expected


@pytest.fixture(scope="module")
def locked(start_server, tiny_model):
    """A server with two keys."""
    return start_server(
        tiny_model,
        "--api-key",
        "first-key",
        "--api-key",
        "second-key",
        "--kv-cache-memory",
        "64MiB",
    )


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Bearer wrong",
        "Bearer first-keyy",
        "Bearer first-ke",
        "Bearer ",
        "Bearer",
        "first-key",
        "Basic first-key",
        "Bearer FIRST-KEY",
    ],
)
def test_wrong_key_is_unauthorized(locked, header):
    headers = {"Authorization": header} if header else {}
    answer = requests.get(f"{locked.url}/v1/models", headers=headers, timeout=10)
    assert answer.status_code == 401
    assert "error" in answer.json()
    answer = locked.post("/v1/completions", {"prompt": "a", "max_tokens": 1}, headers=headers)
    assert answer.status_code == 401


@pytest.mark.parametrize("key", ["first-key", "second-key"])
def test_each_key_opens(locked, key):
    headers = {"Authorization": f"Bearer {key}"}
    assert requests.get(f"{locked.url}/v1/models", headers=headers, timeout=10).status_code == 200
    answer = locked.post("/v1/completions", {"prompt": "a", "max_tokens": 1}, headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/health", "/metrics", "/version", "/", "/app.js"])
def test_what_is_not_under_v1_needs_no_key(locked, path):
    assert requests.get(locked.url + path, timeout=10).status_code == 200


def test_keys_never_reach_the_log(locked):
    assert "first-key" not in locked.log() and "second-key" not in locked.log()


def test_limits_of_the_command_line_hold(start_server, tiny_model):
    server = start_server(tiny_model, "--max-model-len", 64, "--kv-cache-memory", "64MiB")
    try:
        card = requests.get(f"{server.url}/v1/models", timeout=10).json()["data"][0]
        assert card["max_model_len"] == 64
        ok = server.post(
            "/v1/completions", {"prompt": [5] * 60, "max_tokens": 4, "ignore_eos": True}
        )
        assert ok.status_code == 200 and ok.json()["usage"]["total_tokens"] == 64
        too_long = server.post("/v1/completions", {"prompt": [5] * 65, "max_tokens": 1})
        assert too_long.status_code == 400 and "64" in too_long.json()["error"]["message"]
    finally:
        server.stop()


def test_settings_come_from_a_file_and_the_flag_wins(start_server, tiny_model, tmp_path):
    settings = tmp_path / "inferno.toml"
    settings.write_text('max-model-len = 48\nkv-cache-memory = "64MiB"\n')
    for flags, room in (
        (["--config", settings], 48),
        (["--config", settings, "--max-model-len", 32], 32),
    ):
        server = start_server(tiny_model, *flags)
        try:
            assert (
                requests.get(f"{server.url}/v1/models", timeout=10).json()["data"][0][
                    "max_model_len"
                ]
                == room
            )
        finally:
            server.stop()


def test_sigterm_lets_a_running_request_finish(start_server):
    server = start_server(need_cached("smollm2-135m"), "--kv-cache-memory", "256MiB")
    connection = connect(server, {**LONG, "max_tokens": 60, "stream": True})
    connection.recv(200)
    server.process.send_signal(signal.SIGTERM)
    data = b""
    while more := connection.recv(65536):
        data += more
    connection.close()
    assert b"data: [DONE]" in data and b'"finish_reason":"length"' in data.replace(b" ", b"")
    assert server.process.wait(30) == 0


def test_a_taken_port_is_an_error_that_names_it(inferno, tiny_model):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = inferno(
            "serve", tiny_model, "--port", port, "--kv-cache-memory", "64MiB", timeout_s=60
        )
    assert result.returncode == 1
    assert str(port).encode() in result.stderr


def test_folder_and_gguf_of_one_model_answer_alike(start_server):
    answers = []
    for name in ("llama/model-f32.gguf", "llama/hf"):
        server = start_server(need_shared(name), "--kv-cache-memory", "64MiB")
        try:
            answers.append(
                server.post(
                    "/v1/chat/completions",
                    {
                        "messages": [{"role": "user", "content": "The old man said"}],
                        "temperature": 0,
                        "max_tokens": 12,
                        "ignore_eos": True,
                    },
                ).json()["choices"][0]["message"]["content"]
            )
        finally:
            server.stop()
    assert answers[0] == answers[1] and answers[0]
