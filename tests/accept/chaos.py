#!/usr/bin/env python3
# 100,000 requests with hang-ups, deadlines and preemption under a tiny pool on the real server.
"""Usage: chaos.py [--requests N] [--clients N] [--seed N] [--pages N] [--model PATH]
                [--policy slo|priority|fcfs] [--patience-s S]
                [--server-flags "--threads 2"].

Holds when no request hangs, every completed answer is the one its request has alone, and no KV
page is in use afterwards. Needs the conformance models.
"""

import argparse
import asyncio
import json
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import served
from chaos import Chaos, tiny_pool_flags


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pages", type=int, default=40)
    parser.add_argument("--model", type=pathlib.Path)
    parser.add_argument("--policy", default="slo")
    parser.add_argument("--patience-s", type=float, default=300, help="a longer request hangs")
    parser.add_argument("--server-flags", default="", help="added to the server's")
    options = parser.parse_args()
    model = options.model or served.shared_model("llama/model-f32.gguf")
    if model is None:
        print(f"no conformance model at {served.SHARED_MODELS}")
        return 1
    info = json.loads(served.run_command("info", model, "--json").stdout)
    with tempfile.TemporaryDirectory() as folder:
        flags = tiny_pool_flags(info, options.pages, options.policy)
        server = served.Served(folder, model, *flags, *options.server_flags.split())
        try:
            chaos = Chaos(server.port, options.seed, options.policy == "priority")
            asyncio.run(chaos.answer_alone())
            start = time.monotonic()
            asyncio.run(chaos.run(options.requests, options.clients, options.patience_s))
            seconds = time.monotonic() - start
            server.wait_until_idle(60)
            metrics = server.metrics()
        finally:
            code = server.stop()
    in_use = served.total_of(metrics, "inferno:kv_pages", state="in_use")
    preemptions = served.total_of(metrics, "vllm:num_preemptions_total")
    print(f"seed {options.seed}: {options.requests} requests in {seconds:.0f} s")
    print(dict(chaos.counts))
    print(f"{preemptions:.0f} preemptions, {in_use:.0f} pages in use at the end, exit code {code}")
    for line in chaos.wrong[:20]:
        print("WRONG", line)
    print(f"{len(chaos.wrong)} wrong answers")
    complete = sum(chaos.counts.values()) == options.requests
    return 0 if complete and not chaos.wrong and in_use == 0 and code == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
