"""`inferno bench serve` against the real server, and against one that fails by script.

Covers src/app/bench_serve.cc and src/app/bench_serve_options.cc.
"""

import json
import os
import signal
import subprocess
import time

import pytest
from conftest import need_shared
from served import binary, total_of


@pytest.fixture(scope="module")
def server(start_server):
    return start_server(need_shared("llama/model-f32.gguf"), "--kv-cache-memory", "64MiB")


def successes_of(server):
    return total_of(server.metrics(), "vllm:request_success_total")


@pytest.fixture
def bench(inferno):
    def run(url, *flags):
        """(exit code, the JSON result or None, stderr)"""
        done = inferno("bench", "serve", "--base-url", url, "--output-json", "-", *flags)
        text = done.stdout.decode()
        return done.returncode, json.loads(text) if text else None, done.stderr.decode()

    return run


def test_random_prompts_have_the_tokens_that_were_asked_for(server, bench):
    code, result, stderr = bench(
        server.url,
        *("--num-prompts", 20, "--random-input-len", 24, "--random-output-len", 6),
        *("--max-concurrency", 4, "--ignore-eos", "--goodput", "ttft:60000", "e2el:120000"),
        *("--percentile-metrics", "ttft,tpot,itl,e2el", "--metric-percentiles", "50,99"),
    )
    assert code == 0, stderr
    assert stderr == ""  # progress is for terminals
    assert result["completed"] == 20
    assert result["failed"] == 0
    assert result["model_id"] == server.name
    assert result["total_input_tokens"] == 20 * 24
    assert result["total_output_tokens"] == 20 * 6
    assert result["good"] == 20
    assert result["request_throughput"] * result["duration"] == pytest.approx(20)
    assert 0 < result["mean_ttft_ms"] <= result["mean_e2el_ms"]
    assert result["p50_itl_ms"] == pytest.approx(result["median_itl_ms"])
    server.wait_until_idle()


def test_table_has_the_lines_that_scripts_look_for(server, inferno):
    done = inferno(
        *("bench", "serve", "--port", server.port, "--num-prompts", 3, "--prompt", "2+2?"),
        *("--output-len", 4, "--num-warmups", 1),
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "============ Serving Benchmark Result ============"
    assert any(line.split() == ["Successful", "requests:", "3"] for line in lines)
    assert any(line.startswith("P99 TTFT (ms):") for line in lines)


def test_same_seed_sends_the_same_prompts(server, bench):
    flags = ("--num-prompts", 4, "--random-input-len", 16, "--random-range-ratio", 0.5)
    flags += ("--output-len", 4, "--temperature", 0, "--save-detailed", "--max-concurrency", 1)
    texts = [bench(server.url, *flags, "--seed", seed)[1]["generated_texts"] for seed in (1, 1, 2)]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


@pytest.mark.parametrize("backend", ["openai", "openai-chat"])
def test_later_turns_find_earlier_ones_in_the_cache(server, bench, backend):
    before = server.metrics()
    code, result, stderr = bench(
        server.url,
        *("--backend", backend, "--dataset-name", "multi-turn", "--multi-turn-turns", 3),
        *("--num-prompts", 9, "--random-input-len", 20, "--random-output-len", 5),
        *("--request-rate", 50, "--ignore-eos", "--seed", 7, "--temperature", 0),
    )
    assert code == 0, stderr
    assert result["completed"] == 9, result["failures"]
    if backend == "openai":
        # 20, then 20 + 5 + 20, then 45 + 5 + 20 tokens, three times.
        assert result["total_input_tokens"] == 3 * (20 + 45 + 70)
    after = server.metrics()
    name = "vllm:prefix_cache_hits_total"
    assert total_of(after, name) > total_of(before, name)


def test_classes_and_clients_have_figures_of_their_own(server, bench):
    code, result, stderr = bench(
        server.url,
        *("--num-prompts", 20, "--random-input-len", 8, "--output-len", 2, "--ignore-eos"),
        *("--mix", "interactive:1,batch:3", "--clients", 4, "--greedy-client", 5),
    )
    assert code == 0, stderr
    assert result["completed"] == 40
    assert result["classes"]["interactive"]["completed"] == 10
    assert result["classes"]["batch"]["completed"] == 30
    counts = {name: client["completed"] for name, client in result["clients"].items()}
    assert counts == {"client-0": 25, "client-1": 5, "client-2": 5, "client-3": 5}


def test_a_trace_is_replayed_in_proportion(server, bench, tmp_path):
    trace = tmp_path / "trace.jsonl"
    rows = [
        {"timestamp": 0, "input_length": 1024, "output_length": 40, "hash_ids": [1, 2]},
        {"timestamp": 1000, "input_length": 1536, "output_length": 80, "hash_ids": [1, 2, 3]},
    ]
    trace.write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, result, stderr = bench(
        server.url,
        *("--dataset-name", "trace", "--dataset-path", trace, "--time-scale", 0.1),
        *("--max-input-len", 96, "--max-output-len", 8, "--ignore-eos", "--save-detailed"),
    )
    assert code == 0, stderr
    assert sorted(result["input_lens"]) == [64, 96]
    assert sorted(result["output_lens"]) == [4, 8]
    assert sorted(result["start_times"]) == pytest.approx([0.0, 0.1])


def test_refusals_are_counted_with_an_example(server, bench):
    code, result, _ = bench(server.url, "--num-prompts", 3, "--random-input-len", 100000)
    assert code == 1
    assert result["failed"] == 3
    assert result["failures"]["HTTP 400"]["count"] == 3
    assert "100000 tokens" in result["failures"]["HTTP 400"]["example"]


def test_interrupt_prints_what_was_measured(server, tmp_path):
    path = tmp_path / "result.json"
    command = [binary(), "bench", "serve", "--base-url", server.url, "--num-prompts", "50"]
    command += ["--request-rate", "5", "--random-input-len", "8", "--output-len", "2"]
    command += ["--output-json", str(path)]
    before = successes_of(server)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=dict(os.environ))
    # The third success means that the first one's last byte has long been read.
    deadline = time.monotonic() + 30
    while successes_of(server) < before + 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert b"Requests not sent:" in output
    result = json.loads(path.read_text())
    assert 1 <= result["completed"] < 50
    assert result["completed"] + result["unfinished"] + result["unsent"] == 50


def test_interrupt_ends_a_warm_up(server):
    command = [binary(), "bench", "serve", "--base-url", server.url, "--num-warmups", "1000"]
    command += ["--max-concurrency", "1", "--random-input-len", "8", "--output-len", "2"]
    before = successes_of(server)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while successes_of(server) < before + 1 and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    output, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert output == b""
    assert b"warm-up" in error


def test_wrong_options_are_named(bench):
    for flags, word in [
        (["--request-rate", "0"], "request-rate"),
        (["--mix", "a:-1"], "mix"),
        (["--dataset-name", "trace"], "dataset-path"),
        (["--goodput", "itl:3"], "goodput"),
    ]:
        code, result, stderr = bench("http://127.0.0.1:1", *flags)
        assert code == 2
        assert result is None
        assert word in stderr
    assert "TLS" in bench("https://localhost")[2]


def test_a_server_that_is_not_there_is_an_error(bench):
    code, result, stderr = bench("http://127.0.0.1:1")
    assert code == 1
    assert "cannot connect" in stderr
    code, result, _ = bench("http://127.0.0.1:1", "--model", "m", "--num-prompts", 2)
    assert code == 1
    assert result["failures"]["no connection"]["count"] == 2
