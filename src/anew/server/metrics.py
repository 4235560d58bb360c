"""Metrics of the server in Prometheus' text format, under vLLM's names, so that its dashboards work unchanged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

Counts = Callable[[], Iterable[tuple[str, int, int, bool]]]
"""Name, running and waiting tasks of each model, and whether it is in memory."""
MODEL = "model_name"  # vLLM's label
# Bounds of the buckets, those of vLLM.
SECONDS = (
    0.001,
    0.005,
    0.01,
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.25,
    0.5,
    0.75,
    1.0,
    2.5,
    5.0,
    7.5,
    10.0,
    20.0,
    60.0,
    300.0,
)


class RequestClock:
    """The time of one request, from when its tasks are queued.

    Attributes:
        first_piece_seconds: Seconds until the first piece of the answer; None before.
        reason: Why it ended, for the counter; None if it did not succeed.
    """

    def __init__(self) -> None:
        self.began_at = time.monotonic()
        self.first_piece_seconds: float | None = None
        self.reason: str | None = None
        self.prompt_tokens = self.new_tokens = self.samples = 0

    @property
    def seconds(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began_at

    def on_piece(self) -> None:
        """Note that a piece of the answer has arrived."""
        if self.first_piece_seconds is None:
            self.first_piece_seconds = self.seconds


class _QueueGauges(Collector):
    """Gauges of the queues, computed when Prometheus asks for them."""

    def __init__(self, counts: Counts) -> None:
        self.counts = counts

    def collect(self) -> Iterator[GaugeMetricFamily]:
        running = GaugeMetricFamily("vllm:num_requests_running", "Parts of requests in progress", labels=[MODEL])
        waiting = GaugeMetricFamily("vllm:num_requests_waiting", "Parts of requests that are waiting", labels=[MODEL])
        loaded = GaugeMetricFamily("anew:model_loaded", "Whether the model is in memory", labels=[MODEL])
        for name, num_running, num_waiting, is_loaded in self.counts():
            running.add_metric([name], num_running)
            waiting.add_metric([name], num_waiting)
            loaded.add_metric([name], float(is_loaded))
        yield from (running, waiting, loaded)


class Metrics:
    """All metrics of a server. counts: returns the running and waiting tasks of each model."""

    def __init__(self, counts: Counts) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_QueueGauges(counts))
        self._first = self._histogram("vllm:time_to_first_token_seconds", "Seconds until the first piece of an answer")
        self._whole = self._histogram("vllm:e2e_request_latency_seconds", "Seconds until the end of an answer")
        self._prompt = self._counter("vllm:prompt_tokens", "Tokens of prompts")
        self._new = self._counter("vllm:generation_tokens", "New tokens")
        self._samples = self._counter("anew:samples", "Samples of any kind")
        self._success = self._counter("vllm:request_success", "Requests that were answered", "finished_reason")

    def _histogram(self, name: str, meaning: str) -> Histogram:
        return Histogram(name, meaning, [MODEL], buckets=SECONDS, registry=self.registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, [MODEL, *labels], registry=self.registry)

    @contextmanager
    def clock(self, model: str) -> Iterator[RequestClock]:
        """A context with the clock of a request, which is counted at the end, whether or not the request succeeded."""
        clock = RequestClock()
        try:
            yield clock
        finally:
            self._count(model, clock)

    def _count(self, model: str, clock: RequestClock) -> None:
        self._prompt.labels(model).inc(clock.prompt_tokens)
        self._new.labels(model).inc(clock.new_tokens)
        self._samples.labels(model).inc(clock.samples)
        if clock.first_piece_seconds is not None:
            self._first.labels(model).observe(clock.first_piece_seconds)
        if clock.reason is not None:
            self._whole.labels(model).observe(clock.seconds)
            self._success.labels(model, clock.reason).inc()

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
