"""States, several models, loading and replacing them under traffic, signals.

Covers src/app/serve.cc, src/app/signals.cc and src/app/local_model_loader.cc.
"""

import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest
import requests
from conftest import need_cached, need_shared
from served import Served, binary, total_of

ADMIN = {"Authorization": "Bearer root"}
GREEDY = {"prompt": "Once upon a time", "max_tokens": 6, "temperature": 0, "ignore_eos": True}
SMALL = ("--kv-cache-memory", "16MiB", "--threads", "1")


def wait_until(condition, timeout_s=60):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


def admin(server, path, body, key=ADMIN):
    return requests.post(f"{server.url}/v1/models/{path}", json=body, headers=key, timeout=120)


def text_of(server, model=None, **extra):
    body = {**GREEDY, **extra, **({"model": model} if model else {})}
    answer = server.post("/v1/completions", body)
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["text"]


def states(server):
    body = requests.get(f"{server.url}/health", timeout=10).json()
    return body["state"], {model["name"]: model["state"] for model in body["models"]}


@pytest.fixture
def serve(tmp_path):
    """A function that starts a server of its own for the test."""
    started = []

    def start(model, *flags, **options):
        folder = tmp_path / f"server{len(started)}"
        folder.mkdir()
        started.append(Served(folder, model, *SMALL, *flags, **options))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def model_dir(tmp_path, tiny_model):
    """A folder with two small models, a bad one, and a link that leads out of it."""
    folder = tmp_path / "models"
    folder.mkdir()
    os.symlink(tiny_model, folder / "outside.gguf")
    (folder / "first.gguf").write_bytes(tiny_model.read_bytes())
    (folder / "second.gguf").write_bytes(need_shared("qwen2/model-f32.gguf").read_bytes())
    (folder / "bad.gguf").write_bytes(b"GGUF but not really")
    return folder


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_port_file_left_behind_is_replaced_before_it_says_that_it_serves(tiny_model, tmp_path):
    port_file = tmp_path / "port"
    port_file.write_text("1\n")
    process = subprocess.Popen(
        [binary(), "serve", tiny_model, "--port", "0", "--port-file", port_file]
        + ["--kv-cache-memory", "64MiB"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("serving ")
        assert port_file.read_text().strip() == line.strip().rsplit(":", 1)[1]
    finally:
        process.terminate()
        assert process.wait() == 0
    assert not port_file.exists()


@pytest.fixture
def loading(tmp_path):
    """(process, url, port file) of a server that listens and whose model takes a while to load."""
    port_file = tmp_path / "port"
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(
            [binary(), "serve", need_cached("qwen2.5-coder-1.5b"), "--served-model-name", "slow"]
            + ["--port", str(port), "--port-file", port_file, "--kv-cache-memory", "64MiB"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def listens():
        try:
            return requests.get(f"{url}/health/live", timeout=5).status_code == 200
        except requests.ConnectionError:
            assert process.poll() is None
            return False

    try:
        wait_until(listens)
        yield process, url, port_file
    finally:
        process.kill()
        process.wait()


def test_a_server_that_loads_listens_and_says_so(loading):
    process, url, port_file = loading
    seen = set()
    while not port_file.exists():
        assert process.poll() is None
        health = requests.get(f"{url}/health", timeout=10)
        assert (health.status_code == 200) == (health.json()["state"] == "ready")
        assert requests.get(f"{url}/health/live", timeout=10).status_code == 200
        assert requests.get(f"{url}/", timeout=10).headers["Content-Type"].startswith("text/html")
        metrics = requests.get(f"{url}/metrics", timeout=10).text
        refused = requests.post(f"{url}/v1/completions", json={**GREEDY, "n": 1}, timeout=60)
        if refused.status_code == 503:
            assert "loading" in refused.json()["error"]["message"]
            assert int(refused.headers["Retry-After"]) >= 1
            seen.add("refused")
            assert health.json()["state"] == "loading"
            assert [model["name"] for model in health.json()["models"]] == ["slow"]
            assert 'inferno:server_state{state="loading"} 1.0' in metrics
    assert seen == {"refused"}
    assert port_file.read_text().strip() == url.rsplit(":", 1)[1]
    answer = requests.post(f"{url}/v1/completions", json=GREEDY, timeout=60)
    assert answer.status_code == 200, "whoever waited for the file may ask at once"


def test_a_server_that_loads_ends_at_once_when_asked(loading):
    process, _, port_file = loading
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 130
    assert not port_file.exists()


def test_states_are_told_in_metrics_and_lists(serve, tiny_model):
    server = serve(tiny_model)
    for path in ("/health", "/health/live", "/health/ready", "/v1/health", "/ping"):
        assert requests.get(server.url + path, timeout=10).status_code == 200
    assert states(server) == ("ready", {"test-model": "ready"})
    metrics = server.metrics()
    assert total_of(metrics, "inferno:server_state", state="ready") == 1
    assert total_of(metrics, "inferno:server_state") == 1
    assert total_of(metrics, "inferno:model_state", model_name="test-model", state="ready") == 1
    card = requests.get(f"{server.url}/v1/models", timeout=10).json()["data"][0]
    assert card["state"] == "ready"


def test_memory_is_told_by_owner(serve, tiny_model):
    server = serve(tiny_model, "--api-key", "user")
    assert requests.get(f"{server.url}/debug/memory", timeout=10).status_code == 401
    report = requests.get(
        f"{server.url}/debug/memory", headers={"Authorization": "Bearer user"}, timeout=10
    ).json()
    assert report["total"]["now_bytes"] >= 16 << 20
    assert sum(owner["now_bytes"] for owner in report["owners"]) == report["total"]["now_bytes"]
    assert report["resident"]["peak_bytes"] >= report["resident"]["now_bytes"] > 0
    assert {page["state"] for page in report["kv_pages"]} >= {"free", "idle", "in_use"}


def test_several_models_answer_by_their_names(serve, model_dir):
    server = serve(f"one={model_dir / 'first.gguf'}", model_dir / "second.gguf", name=None)

    def answer(**extra):
        response = server.post("/v1/completions", {**GREEDY, **extra})
        return response.status_code, response.json()

    _, first = answer(model="one")
    _, second = answer(model="second")
    assert first["model"] == "one" and second["model"] == "second"
    assert first["choices"][0]["text"] != second["choices"][0]["text"]
    assert answer()[1]["model"] == "one"
    assert answer(model="third")[0] == 404
    listed = requests.get(f"{server.url}/v1/models", timeout=10).json()["data"]
    assert [card["id"] for card in listed] == ["one", "second"]
    assert total_of(server.metrics(), "vllm:num_requests_running", model_name="second") == 0
    assert server.stop() == 0


def test_models_come_and_go_while_it_serves(serve, tiny_model, model_dir):
    server = serve(tiny_model, "--admin-key", "root", "--model-dir", model_dir)
    assert admin(server, "load", {"model": "second.gguf"}, key={}).status_code == 401
    loaded = admin(server, "load", {"model": "second.gguf", "name": "b"})
    assert loaded.status_code == 200 and loaded.json()["state"] == "ready"
    assert text_of(server, "b") != text_of(server)
    absolute = admin(server, "load", {"model": str(model_dir / "first.gguf")})
    assert absolute.status_code == 200 and absolute.json()["id"] == "first"
    assert text_of(server, "first") == text_of(server, "test-model")
    unloaded = admin(server, "unload", {"model": "b"})
    assert unloaded.status_code == 200 and unloaded.json()["state"] in ("stopped", "draining")
    assert server.post("/v1/completions", {**GREEDY, "model": "b"}).status_code == 404
    wait_until(lambda: states(server)[1] == {"test-model": "ready", "first": "ready"})


def test_only_models_of_the_folder_and_the_cache_are_loaded(serve, tiny_model, model_dir):
    server = serve(tiny_model, "--admin-key", "root", "--model-dir", model_dir)
    for wrong in (
        str(tiny_model),
        "outside.gguf",
        "../models/../../etc/passwd",
        "/etc/passwd",
        "..",
        ".",
        "nothing.gguf",
        "first.gguf\0",
    ):
        answer = admin(server, "load", {"model": wrong, "name": "x"})
        assert answer.status_code in (400, 404), (wrong, answer.text)
    assert admin(server, "load", {"model": "bad.gguf"}).status_code in (400, 500)
    assert states(server) == ("ready", {"test-model": "ready"})
    assert server.is_healthy()


def test_without_an_admin_key_nothing_is_loaded(serve, tiny_model):
    server = serve(tiny_model)
    answer = admin(server, "load", {"model": "x"})
    assert answer.status_code == 403 and "admin key" in answer.json()["error"]["message"]


def test_a_model_is_replaced_under_traffic_without_a_failed_request(serve, tiny_model, model_dir):
    server = serve(tiny_model, "--admin-key", "root", "--model-dir", model_dir)
    expected = {text_of(server)}
    assert admin(server, "load", {"model": "second.gguf", "name": "other"}).status_code == 200
    expected.add(text_of(server, "other"))
    over = threading.Event()
    seen, failures = [], []

    def ask():
        with requests.Session() as session:
            while not over.is_set():
                try:
                    body = {**GREEDY, "model": "test-model"}
                    answer = session.post(f"{server.url}/v1/completions", json=body, timeout=120)
                    seen.append(answer.json()["choices"][0]["text"])
                except Exception as trouble:  # any trouble is what the test looks for
                    failures.append(repr(trouble))

    clients = [threading.Thread(target=ask) for _ in range(3)]
    for client in clients:
        client.start()
    for source in ("second.gguf", "first.gguf") * 3:
        body = {"model": source, "name": "test-model", "replace": True}
        assert admin(server, "load", body).status_code == 200
        text_of(server)
    over.set()
    for client in clients:
        client.join()
    assert not failures
    assert set(seen) == expected, "every answer is of one model or the other, both were seen"
    wait_until(lambda: states(server)[1] == {"test-model": "ready", "other": "ready"})


def test_a_running_stream_keeps_the_model_it_began_with(serve, tiny_model, model_dir):
    server = serve(tiny_model, "--admin-key", "root", "--model-dir", model_dir)
    long = {**GREEDY, "max_tokens": 100, "model": "test-model"}
    alone = server.post("/v1/completions", long).json()["choices"][0]["text"]
    stream = server.post("/v1/completions", {**long, "stream": True}, stream=True)
    lines = stream.iter_lines()
    text = json.loads(next(lines)[6:])["choices"][0]["text"]
    body = {"model": "second.gguf", "name": "test-model", "replace": True}
    assert admin(server, "load", body).status_code == 200
    for line in lines:
        if line and line != b"data: [DONE]":
            text += "".join(choice["text"] for choice in json.loads(line[6:])["choices"])
    assert text == alone
    after = server.post("/v1/completions", long).json()["choices"][0]["text"]
    assert after != alone


def test_a_lazy_model_is_loaded_by_its_first_request_and_goes_when_idle(serve, tiny_model):
    server = serve(tiny_model, "--lazy", "--idle-unload", "1")
    assert states(server) == ("ready", {"test-model": "stopped"})
    first = text_of(server)
    assert states(server)[1] == {"test-model": "ready"}
    wait_until(lambda: states(server)[1] == {"test-model": "stopped"})
    wait_until(lambda: held_bytes(server) < 1 << 20)
    assert text_of(server) == first


def held_bytes(server):
    report = requests.get(f"{server.url}/debug/memory", timeout=10).json()
    return report["total"]["now_bytes"]


def test_the_end_lets_running_requests_finish_and_refuses_others(serve, tiny_model):
    server = serve(tiny_model, "--drain-timeout", "60", "--max-num-seqs", "1")
    body = {**GREEDY, "max_tokens": 400, "n": 64, "temperature": 1, "seed": 1}
    results = []
    running = threading.Thread(
        target=lambda: results.append(server.post("/v1/completions", body).json())
    )
    running.start()
    wait_until(lambda: total_of(server.metrics(), "vllm:num_requests_running") > 0 or results)
    server.process.send_signal(signal.SIGTERM)
    saw_draining = False
    while running.is_alive():
        try:
            ready = requests.get(f"{server.url}/health/ready", timeout=10)
            if ready.status_code == 503 and ready.json()["state"] == "draining":
                refused = requests.post(f"{server.url}/v1/completions", json=GREEDY, timeout=10)
                assert refused.status_code == 503 and "Retry-After" in refused.headers
                assert requests.get(f"{server.url}/health/live", timeout=10).status_code == 200
                saw_draining = True
        except requests.ConnectionError:
            break
    running.join()
    assert saw_draining
    assert len(results[0]["choices"]) == 64
    assert all(choice["finish_reason"] == "length" for choice in results[0]["choices"])
    assert server.process.wait(60) == 0


def test_hang_up_reads_keys_and_drain_timeout_anew(serve, tmp_path, tiny_model):
    config = tmp_path / "serve.toml"
    config.write_text('api-key = ["old"]\ndrain-timeout = 5\n')
    server = serve(tiny_model, "--config", config)

    def status(key):
        return requests.get(
            f"{server.url}/v1/models", headers={"Authorization": f"Bearer {key}"}, timeout=10
        ).status_code

    assert (status("old"), status("new")) == (200, 401)
    config.write_text('api-key = ["new", "newer"]\ndrain-timeout = 7\nport = 1\n')
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: status("new") == 200)
    assert (status("old"), status("newer")) == (401, 200)
    wait_until(lambda: "reloaded: api-key, drain-timeout" in server.log())
    config.write_text("drain-timeout = soon\n")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "reload refused" in server.log())
    assert status("new") == 200
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0
    assert "up to 7" in server.log()


def test_models_beyond_the_budget_take_turns(serve, model_dir):
    # Each takes 18 to 26 MiB with its cache: there is room for one.
    server = serve(
        model_dir / "first.gguf", model_dir / "second.gguf", "--model-memory", "32MiB", name=None
    )

    def loaded():
        models = requests.get(f"{server.url}/health", timeout=10).json()["models"]
        return [model["name"] for model in models if model["state"] == "ready"]

    assert loaded() == ["first"]
    for name in ("second", "first", "second"):
        assert text_of(server, name)
        assert loaded() == [name]
    assert server.stop() == 0
