#!/usr/bin/env python3
# The 2+2 question 1,000 times: one answer on 1 and 2 threads, alone and beside 15 other requests.
"""Usage: two_plus_two.py [--times N]. Needs smollm2-135m and qwen2.5-coder-1.5b in the cache."""

import argparse
import concurrent.futures
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import served

QUESTION = "What is 2+2? Answer with number only"
EXPECTED = {"qwen2.5-coder-1.5b": "4", "smollm2-135m": "2 + 2 = 4"}
COMPANY = 15


def ask(server, content, **fields):
    body = {
        "messages": [{"role": "user", "content": content}],
        "temperature": 0,
        "max_tokens": 16,
        "logprobs": True,
        **fields,
    }
    answer = server.post("/v1/chat/completions", body)
    answer.raise_for_status()
    choice = answer.json()["choices"][0]
    return choice["message"]["content"], str(choice["logprobs"])


def try_server(server, expected, times, has_company):
    """All answers must be `expected`, with one and the same logprobs."""
    logprobs = set()
    wrong = 0
    with concurrent.futures.ThreadPoolExecutor(COMPANY + 1) as pool:
        others = [
            pool.submit(keep_busy, server, index, times) for index in range(COMPANY * has_company)
        ]
        for _ in range(times):
            text, probabilities = ask(server, QUESTION)
            wrong += text != expected
            logprobs.add(probabilities)
        keep_busy.stop = True
        for other in others:
            other.result()
    return wrong, len(logprobs)


def keep_busy(server, index, times):
    for number in range(times * 10):
        if keep_busy.stop:
            return
        ask(server, f"Write line {number} of poem {index}.", max_tokens=8, temperature=0.8)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=250, help="in each of the four settings")
    times = parser.parse_args().times
    failed = 0
    for model, expected in EXPECTED.items():
        path = served.cached_model(model)
        if path is None:
            print(f"{model} is not in the cache: ./dev model {model}")
            failed += 1
            continue
        for threads in (1, 2):
            for has_company in (False, True):
                keep_busy.stop = False
                with tempfile.TemporaryDirectory() as folder:
                    server = served.Served(folder, path, "--threads", threads)
                    try:
                        wrong, variants = try_server(server, expected, times, has_company)
                    finally:
                        server.stop()
                company = "beside 15 others" if has_company else "alone"
                print(
                    f"{model}, {threads} threads, {company}: "
                    f"{times} answers, {wrong} wrong, {variants} variants of logprobs",
                    flush=True,
                )
                failed += wrong > 0 or variants != 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
