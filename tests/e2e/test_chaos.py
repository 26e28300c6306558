"""Clients that hang up, run out of time and crowd a tiny KV cache; accept/chaos.py runs many."""

import asyncio
import json

import pytest
from chaos import Chaos, tiny_pool_flags
from served import total_of

REQUESTS = 1000


@pytest.mark.parametrize("policy", ["slo", "priority"])
def test_every_answer_is_the_one_given_alone_and_no_page_is_lost(
    inferno, start_server, tiny_model, policy
):
    info = json.loads(inferno("info", tiny_model, "--json").stdout)
    server = start_server(tiny_model, *tiny_pool_flags(info, 40, policy))
    chaos = Chaos(server.port, seed=20, has_priorities=policy == "priority")
    asyncio.run(chaos.answer_alone())
    asyncio.run(chaos.run(REQUESTS, clients=40, patience_s=120))
    assert not chaos.wrong, chaos.wrong[:10]
    assert sum(chaos.counts.values()) == REQUESTS
    assert chaos.counts["completed"] > REQUESTS / 3, chaos.counts
    assert chaos.counts["hung up"] > 0 and chaos.counts["expired"] > 0, chaos.counts
    server.wait_until_idle()
    metrics = server.metrics()
    assert total_of(metrics, "inferno:kv_pages", state="in_use") == 0
    assert total_of(metrics, "vllm:num_preemptions_total") > 0
