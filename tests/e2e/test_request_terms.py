"""How a request is to be served, and what happens when it cannot be: classes, deadlines, keys."""

import threading

import openai
import pytest
import requests
from conftest import need_shared
from served import metrics_of, total_of

PROMPT = {"prompt": "Once upon a time", "max_tokens": 4, "temperature": 0}
REPEATS = "inferno:deduplicated_requests_total"


@pytest.fixture(scope="module")
def server(start_server):
    return start_server(need_shared("llama/model-f32.gguf"))


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=60)


def complete(client, key, **changes):
    return client.completions.with_raw_response.create(
        model="test-model", extra_headers={"Idempotency-Key": key}, **{**PROMPT, **changes}
    )


def test_a_key_gives_the_same_answer_once(client):
    first = complete(client, "once")
    again = complete(client, "once")
    assert first.http_response.content == again.http_response.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert complete(client, "twice").parse().id != first.parse().id


def test_a_key_of_another_body_is_422(client):
    complete(client, "taken")
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        complete(client, "taken", max_tokens=5)
    assert "taken" in str(refused.value)


def test_clients_that_ask_together_under_one_key_get_the_same_stream(server):
    bodies = [None] * 6

    def ask(i):
        response = server.post(
            "/v1/completions",
            {**PROMPT, "max_tokens": 100, "stream": True},
            headers={"Idempotency-Key": "together"},
        )
        assert response.status_code == 200
        bodies[i] = response.content

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(bodies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(bodies)) == 1
    assert bodies[0].endswith(b"data: [DONE]\n\n")
    metrics = metrics_of(requests.get(f"{server.url}/metrics", timeout=10).text)
    assert total_of(metrics, REPEATS, reason="idempotency_key") >= len(bodies) - 1


@pytest.mark.parametrize("key", ["", "k" * 257])
def test_a_malformed_key_is_400(server, key):
    response = server.post("/v1/completions", PROMPT, headers={"Idempotency-Key": key})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "Idempotency-Key"


@pytest.mark.parametrize(
    ("body", "headers", "param"),
    [
        ({"service_class": "urgent"}, {}, "service_class"),
        ({}, {"X-Service-Class": "urgent"}, "service_class"),
        ({"timeout_s": 0}, {}, "timeout_s"),
        ({}, {"X-Request-Timeout-S": "86401"}, "timeout_s"),
        ({}, {"X-Vllm-Priority": "high"}, "priority"),
        ({"priority": -1}, {}, "priority"),
        ({}, {"X-Vllm-Priority": "1"}, "priority"),
    ],
)
def test_wrong_terms_are_refused_by_name(server, body, headers, param):
    response = server.post("/v1/completions", {**PROMPT, **body}, headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


@pytest.mark.parametrize("service_class", ["interactive", "standard", "batch"])
def test_every_class_is_served_and_counted(server, service_class):
    response = server.post("/v1/completions", {**PROMPT, "service_class": service_class})
    assert response.status_code == 200
    metrics = metrics_of(requests.get(f"{server.url}/metrics", timeout=10).text)
    name = "inferno:request_ttft_seconds_count"
    assert total_of(metrics, name, service_class=service_class) >= 1


def test_a_deadline_that_has_passed_is_504(server):
    response = server.post("/v1/completions", {**PROMPT, "timeout_s": 1e-7})
    assert response.status_code == 504
    assert response.json()["error"]["type"] == "GatewayTimeoutError"


def test_priorities_are_taken_where_the_policy_goes_by_them(start_server):
    server = start_server(
        need_shared("llama/model-f32.gguf"), "--scheduling-policy", "priority", "--threads", "1"
    )
    try:
        plain = server.post("/v1/completions", PROMPT).json()["choices"]
        urgent = server.post("/v1/completions", {**PROMPT, "priority": -7})
        assert urgent.status_code == 200 and urgent.json()["choices"] == plain
        late = server.post("/v1/completions", PROMPT, headers={"X-Vllm-Priority": "9"})
        assert late.status_code == 200 and late.json()["choices"] == plain
    finally:
        server.stop()
