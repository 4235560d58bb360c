"""A server under load: requests and tokens a second, latency, time to the first token, errors; one client, then many.

anew serve RUN --port 8000
python bench/serve.py --model RUN [--clients 32] [--seconds 10]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import threading
import time
from dataclasses import dataclass, field

from _common import core_list


@dataclass
class Figures:
    """What clients saw: seconds of each request, seconds until its first piece, tokens, and failures."""

    seconds: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    tokens: int = 0
    errors: int = 0


def ask(given: argparse.Namespace, seed: int, figures: Figures) -> None:
    """One request, as a stream."""
    body = {"model": given.model, "prompt": given.prompt, "max_tokens": given.tokens, "seed": seed, "stream": True}
    body["stream_options"] = {"include_usage": True}
    begun, usage, first = time.monotonic(), None, None
    connection = http.client.HTTPConnection(given.host, given.port, timeout=60)
    try:
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        for line in connection.getresponse():
            if line.startswith(b"data: {"):
                first = first or time.monotonic() - begun
                usage = json.loads(line[6:]).get("usage", usage)
    except OSError:
        pass
    finally:
        connection.close()
    if usage is None or first is None:
        figures.errors += 1
        return
    figures.tokens += usage["completion_tokens"]
    figures.first.append(first)
    figures.seconds.append(time.monotonic() - begun)


def measure(given: argparse.Namespace, clients: int) -> str:
    """Load of so many clients, as one line."""
    figures, begun = Figures(), time.monotonic()

    def client(number: int) -> None:
        seed = number * 1_000_000
        while time.monotonic() - begun < given.seconds:
            ask(given, seed, figures)
            seed += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begun
    if len(figures.seconds) < 2:
        return f"{clients} clients: {figures.errors} errors and too few answers"
    cuts = statistics.quantiles(figures.seconds, n=100, method="inclusive")
    return (
        f"{clients:>3} clients: {len(figures.seconds) / took:.1f} requests/s, {figures.tokens / took:,.0f} tokens/s, "
        f"p50 {cuts[49]:.3f} s, p95 {cuts[94]:.3f} s, p99 {cuts[98]:.3f} s, "
        f"first token {statistics.median(figures.first):.3f} s, {figures.errors} errors"
    )


def main() -> None:
    build = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    build.add_argument("--model", required=True, help="name of a run that is served")
    build.add_argument("--host", default="127.0.0.1")
    build.add_argument("--port", type=int, default=8000)
    build.add_argument("--clients", type=int, default=32)
    build.add_argument("--seconds", type=float, default=10.0)
    build.add_argument("--prompt", default="The ")
    build.add_argument("--tokens", type=int, default=100)
    build.add_argument("--cores", type=core_list, help="cores that the clients use, e.g. 0,1 (default: all)")
    given = build.parse_args()
    if given.cores is not None:
        os.sched_setaffinity(0, given.cores)
    for clients in (1, given.clients):
        print(measure(given, clients), flush=True)


if __name__ == "__main__":
    main()
