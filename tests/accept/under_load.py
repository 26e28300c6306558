#!/usr/bin/env python3
# The engine under load: throughput, latency, cache, priorities and fairness, by bench serve.
"""Usage: under_load.py [CASE]... [--list] [--server-flags "--isa avx512"].

Needs smollm2-135m and qwen2.5-coder-1.5b in the cache.

Every case prints what was measured and what it aims at, on this machine and whatever else it is
doing. Times depend on the machine, so a missed aim is printed, not an error; the exit code is 1
only when a request fails.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import requests

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import served
from streams import Stream, read_all

SMALL = "smollm2-135m"
LARGE = "qwen2.5-coder-1.5b"
QUESTION = "What is 2+2? Answer with number only"
# Answers to prompts of random tokens repeat themselves, and guesses of what follows come true: one
# stream gets several tokens a step, with no time between them. Here steps are what is measured.
PLAIN = ("--speculative-config", '{"method": "off"}')


class Bench:
    """A server of one model, and `inferno bench serve` against it."""

    flags_for_all = ()

    def __init__(self, model, *flags):
        path = served.cached_model(model)
        if path is None:
            raise SystemExit(f"{model} is not in the cache: ./dev model {model}")
        self.folder = tempfile.TemporaryDirectory()
        self.server = served.Served(self.folder.name, path, *flags, *self.flags_for_all)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop()
        self.folder.cleanup()

    def command(self, *options):
        return [
            str(served.binary()), "bench", "serve", "--port", str(self.server.port),
            "--no-progress", "--output-json", "-", *map(str, options),
        ]  # fmt: skip

    def run(self, *options):
        done = subprocess.run(self.command(*options), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"bench serve failed:\n{done.stderr}{done.stdout[-2000:]}")
        result = json.loads(done.stdout)
        if result["failed"]:
            raise SystemExit(f"{result['failed']} requests failed: {result['failures']}")
        return result


def tell(what, measured, aim):
    print(f"  {what:<58} {measured:<28} aim: {aim}", flush=True)


def random_load(prompts, concurrency, input_tokens, output_tokens):
    return [
        "--num-prompts", prompts, "--max-concurrency", concurrency, "--input-len", input_tokens,
        "--output-len", output_tokens, "--ignore-eos", "--num-warmups", 2, "--temperature", 0,
    ]  # fmt: skip


def stream(server, prompt, max_tokens, **fields):
    """Times at which tokens of one streamed completion arrived, and when it was sent."""
    body = {
        "prompt": prompt, "max_tokens": max_tokens, "stream": True, "ignore_eos": True,
        "temperature": 0, **fields,
    }  # fmt: skip
    sent = time.monotonic()
    arrivals = []
    with requests.post(f"{server.url}/v1/completions", json=body, stream=True, timeout=600) as got:
        got.raise_for_status()
        for line in got.iter_lines():
            if line.startswith(b"data: {"):
                arrivals.append(time.monotonic())
    return sent, arrivals


def prompt_of(tokens, salt):
    """Token ids that no other salt begins with."""
    return [1000 + (salt * 7919 + i * 31) % 20000 for i in range(tokens)]


def two_plus_two():
    with Bench(SMALL) as bench:
        result = bench.run(
            "--backend", "openai-chat", "--prompt", QUESTION, "--dataset-name", "prompt",
            "--num-prompts", 1000, "--max-concurrency", 8, "--output-len", 8, "--num-warmups", 16,
            "--temperature", 0, "--percentile-metrics", "ttft,e2el",
            "--metric-percentiles", "50,95,99",
        )  # fmt: skip
    tell("2+2, 8 clients: requests a second", f"{result['request_throughput']:.1f}", "over 100")
    tell("2+2, 8 clients: P95 latency", f"{result['p95_e2el_ms']:.1f} ms", "under 100 ms")


def batching():
    for model, streams in ((SMALL, (8,)), (LARGE, (8, 32))):
        with Bench(model, *PLAIN) as bench:
            one = bench.run(*random_load(8, 1, 24, 48))["output_throughput"]
            for count in streams:
                many = bench.run(*random_load(count * 3, count, 24, 48))["output_throughput"]
                tell(
                    f"{model}: {count} at once over one at a time",
                    f"{many:.0f} / {one:.0f} tok/s = {many / one:.2f}",
                    "at least 3",
                )


def prefix_reuse():
    with Bench(SMALL) as bench:
        cold, warm = [], []
        stream(bench.server, prompt_of(2000, 99), 2)  # memory is touched once
        for salt in range(5):
            for times, tail in ((cold, 1), (warm, 2)):
                sent, arrivals = stream(bench.server, [*prompt_of(2000, salt), 500 + tail], 2)
                times.append(arrivals[0] - sent)
    warm_ms, cold_ms = statistics.median(warm) * 1e3, statistics.median(cold) * 1e3
    tell(
        "TTFT of a repeated 2,000-token prefix over the cold one",
        f"{warm_ms:.1f} of {cold_ms:.0f} ms: {warm_ms / cold_ms:.1%}",
        "at most 5 %",
    )


def shared_in_flight():
    with Bench(SMALL) as bench:
        prompt = prompt_of(2000, 1)
        threads = [
            threading.Thread(target=stream, args=(bench.server, [*prompt, 500 + i], 2))
            for i in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        metrics = bench.server.metrics()
        computed = served.total_of(metrics, "vllm:iteration_tokens_total_sum")
    tell("prompt tokens computed for two times 2,001 at once", f"{computed:.0f}", "about 2,004")


def p99_of(values):
    return values[int(len(values) * 0.99)]


def long_prompt_beside_streams(model, count):
    """`count` streams beside a prompt, as the server is by default and without guesses.

    Tokens of one step come together, so gaps are those between steps. The longest of them are the
    machine's as well as the prompt's: what they are in medians without a prompt is told too, and in
    medians beside it.
    """
    for what, flags in (("as it is", ()), ("no guesses", PLAIN)):
        with Bench(model, "--max-model-len", 8192, *flags) as bench:
            port = bench.server.port
            read_all([Stream(port, prompt_of(600, 50), 40)])
            alone = Stream(port, prompt_of(4000, 6), 1)
            read_all([alone])
            # Longer than the prompt takes: with guesses a step has several tokens.
            lanes = [Stream(port, prompt_of(20, 100 + i), 6000) for i in range(count)]
            read_all(lanes, 2.0 + count / 4)
            prompt = Stream(port, prompt_of(4000, 7), 1)
            read_all([prompt, *lanes], until=prompt)
            read_all(lanes, 5.0)
            if any(lane.is_over for lane in lanes):
                raise SystemExit("a stream ended before the prompt was computed")
            for lane in lanes:
                lane.socket.close()
        # The step that began the last of them, whose tokens come within some milliseconds, is none
        # of theirs.
        began = max(lane.arrivals[0] for lane in lanes) + 0.02
        end = prompt.arrivals[0]
        before = gaps_of(lanes, began, prompt.sent)
        beside = gaps_of(lanes, prompt.sent, end)
        after = gaps_of(lanes, end)
        p99 = p99_of(beside)
        medians = [statistics.median(gaps) for gaps in (before, beside, after)]
        tell(
            f"{model}, {what}: p99 gap of {count} streams",
            f"{p99 * 1e3:.1f} ms, {p99 / medians[0]:.2f} medians before",
            "at most 2",
        )
        tell(
            f"{model}, {what}: p99 over median before, beside, after",
            ", ".join(
                f"{p99_of(gaps) / median:.2f}"
                for gaps, median in zip((before, beside, after), medians)
            ),
            "none",
        )
        tell(
            f"{model}, {what}: median gap before, beside, after",
            ", ".join(f"{median * 1e3:.1f}" for median in medians) + " ms",
            "none",
        )
        tell(
            f"{model}, {what}: 4,000 tokens beside them",
            f"{end - prompt.sent:.1f} s, alone {alone.arrivals[0] - alone.sent:.1f}",
            "none",
        )


def gaps_of(lanes, begin, end=float("inf")):
    return sorted(gap for lane in lanes for gap in lane.gaps(begin, end))


def long_prompt_small():
    long_prompt_beside_streams(SMALL, 8)


def long_prompt_large():
    long_prompt_beside_streams(LARGE, 8)


def long_prompt_many():
    long_prompt_beside_streams(LARGE, 32)


MIXED = [
    "--input-len", 200, "--output-len", 40, "--random-range-ratio", 0.5, "--ignore-eos",
    "--temperature", 0, "--mix", "interactive:0.3,batch:0.7", "--num-warmups", 4,
]  # fmt: skip
TARGETS = ["--goodput", "interactive.ttft:2000", "interactive.tpot:200"]


def mixed_load():
    with Bench(SMALL) as bench:
        capacity = bench.run(*MIXED, "--num-prompts", 250)["request_throughput"]
    print(f"  capacity for the mix: {capacity:.1f} requests/s", flush=True)
    for policy in ("slo", "fcfs"):
        with Bench(SMALL, "--scheduling-policy", policy) as bench:
            bench.run(*MIXED, "--num-prompts", 100)  # so that step times are learned
            result = bench.run(
                *MIXED, *TARGETS, "--num-prompts", int(capacity * 1.2 * 45), "--request-rate",
                capacity * 1.2, "--metric-percentiles", "50,99", "--seed", 5,
            )  # fmt: skip
        for name, group in result["classes"].items():
            tell(
                f"1.2 times capacity, {policy}: {name}",
                f"{group['completed']}/{group['num_prompts']} answered, TTFT p50 "
                f"{group['median_ttft_ms']:.0f} p99 {group['p99_ttft_ms']:.0f} ms, good "
                f"{group['good'] / group['num_prompts']:.2%}",
                "interactive over 99 % good, none of the batch lost",
            )


def fairness():
    def load(share, seconds, *extra):
        return [
            "--input-len", 200, "--output-len", 40, "--ignore-eos", "--temperature", 0,
            "--request-rate", share, "--num-prompts", max(1, int(share * seconds)), *extra,
        ]  # fmt: skip

    with Bench(SMALL) as bench:
        capacity = bench.run(*random_load(150, 64, 200, 40))["request_throughput"]
    share = capacity * 0.8 / 10
    seconds = 120  # long against the time that the last requests take to end
    for policy in ("slo", "fcfs"):
        throughput = {}
        for factor in (1, 10):
            with Bench(SMALL, "--scheduling-policy", policy) as bench:
                bench.run(*random_load(60, 16, 200, 40))
                greedy = subprocess.Popen(
                    bench.command(
                        *load(share * factor, seconds, "--extra-body", '{"user": "greedy"}')
                    ),
                    stdout=subprocess.DEVNULL,
                )
                nine = bench.run(*load(share * 9, seconds, "--clients", 9, "--seed", 3))
                greedy.terminate()
                greedy.wait()
                throughput[factor] = nine["output_throughput"]
        loss = 1 - throughput[10] / throughput[1]
        tell(
            f"nine clients beside one that sends ten times its share, {policy}",
            f"{throughput[1]:.0f} -> {throughput[10]:.0f} tok/s: {loss:.1%} lost",
            "under 5 % lost",
        )


CASES = [
    two_plus_two, batching, prefix_reuse, shared_in_flight, long_prompt_small, long_prompt_large,
    long_prompt_many, mixed_load, fairness,
]  # fmt: skip


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--list", action="store_true", help="name the cases")
    parser.add_argument("--server-flags", default="", help="added to every server's")
    options = parser.parse_args()
    Bench.flags_for_all = options.server_flags.split()
    names = [case.__name__ for case in CASES]
    if options.list:
        print("\n".join(names))
        return 0
    unknown = set(options.cases) - set(names)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    for case in CASES:
        if not options.cases or case.__name__ in options.cases:
            print(case.__name__, flush=True)
            case()
    return 0


if __name__ == "__main__":
    sys.exit(main())
