"""What a server counts for Prometheus."""

from __future__ import annotations

from starlette.testclient import TestClient


def figures(client: TestClient) -> dict[str, float]:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = [line.rpartition(" ") for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_requests_and_what_they_made_are_counted(client: TestClient) -> None:
    before = figures(client)
    client.post("/v1/completions", json={"model": "book", "prompt": "the", "max_tokens": 5})
    client.post("/v1/images/generations", json={"model": "shapes", "n": 2})
    after = figures(client)

    def risen(name: str) -> float:
        return after[name] - before.get(name, 0.0)

    assert risen('vllm:generation_tokens_total{model_name="book"}') == 5
    assert risen('vllm:prompt_tokens_total{model_name="book"}') == 3
    assert risen('vllm:request_success_total{finished_reason="length",model_name="book"}') == 1
    assert risen('vllm:e2e_request_latency_seconds_count{model_name="book"}') == 1
    assert risen('vllm:time_to_first_token_seconds_count{model_name="book"}') == 1
    assert risen('anew:samples_total{model_name="shapes"}') == 2
    assert (
        after['vllm:num_requests_running{model_name="book"}']
        == after['vllm:num_requests_waiting{model_name="book"}']
        == 0
    )
