"""A server under load: requests and tokens or pictures a second, latency, time to the first piece, refusals, errors, memory; one
client, then many.

anew serve RUN --port 8000
python bench/serve.py --model RUN [--clients 32] [--seconds 60]

What is asked follows from what the model makes: texts as a stream, pictures as base64, sound as a file.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import psutil

from _common import core_list, record

PATHS = {"text": "/v1/completions", "image": "/v1/images/generations", "audio": "/v1/audio/generate"}


@dataclass
class Figures:
    """What one client saw: seconds of each request, seconds until its first piece, tokens or items, refusals, and failures."""

    seconds: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    made: int = 0
    refused: int = 0
    errors: int = 0


def body_of(options: argparse.Namespace, modality: str, seed: int) -> dict[str, object]:
    """What one request asks for."""
    if modality != "text":
        return {"model": options.model, "seed": seed}
    text = {"model": options.model, "prompt": options.prompt, "max_tokens": options.tokens, "seed": seed}
    return text | {"stream": True, "stream_options": {"include_usage": True}}


def ask(options: argparse.Namespace, modality: str, seed: int, figures: Figures) -> None:
    """One request."""
    begun = time.monotonic()
    connection = http.client.HTTPConnection(options.host, options.port, timeout=120)
    try:
        body = json.dumps(body_of(options, modality, seed))
        connection.request("POST", PATHS[modality], body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status == 429:
            figures.refused += 1
            time.sleep(float(answer.headers["Retry-After"]))
            return
        first, generated = read(answer, modality, begun)
    except (OSError, http.client.HTTPException, ValueError):
        first, generated = None, 0
    finally:
        connection.close()
    if first is None or not generated:
        figures.errors += 1
        return
    figures.made += generated
    figures.first.append(first)
    figures.seconds.append(time.monotonic() - begun)


def read(answer: http.client.HTTPResponse, modality: str, begun: float) -> tuple[float | None, int]:
    """Seconds until the first piece, and how many tokens or items came."""
    if answer.status != 200:
        return None, 0
    if modality != "text":
        whole = answer.read()
        return time.monotonic() - begun, 1 if modality == "audio" else len(json.loads(whole)["data"])
    first, usage = None, None
    for line in answer:
        if line.startswith(b"data: {"):
            first = first or time.monotonic() - begun
            usage = json.loads(line[6:]).get("usage", usage)
    return first, usage["completion_tokens"] if usage else 0


def measure(options: argparse.Namespace, modality: str, clients: int) -> dict[str, object]:
    """Load of so many clients."""
    # One for each thread: several that add to one would lose counts.
    by_client, begun = [Figures() for _ in range(clients)], time.monotonic()
    megabytes: list[float] = []

    def client(number: int) -> None:
        seed = number * 1_000_000
        while time.monotonic() - begun < options.seconds:
            ask(options, modality, seed, by_client[number])
            seed += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    if options.pid:
        threads.append(threading.Thread(target=watch_memory, args=(options, begun, megabytes)))
    cpu = cpu_seconds(options)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds, figures = time.monotonic() - begun, joined(by_client)
    row: dict[str, object] = {"clients": clients, "requests": len(figures.seconds), "seconds": round(seconds, 1)}
    row |= {"refused": figures.refused, "errors": figures.errors}
    if len(figures.seconds) < 2:
        return row
    cuts = statistics.quantiles(figures.seconds, n=100, method="inclusive")
    row |= {"requests_per_s": len(figures.seconds) / seconds, "made_per_s": figures.made / seconds}
    row |= {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "first_p50": statistics.median(figures.first)}
    if options.pid:
        row["cpu_ms_each"] = 1000.0 * (cpu_seconds(options) - cpu) / figures.made
    if megabytes:
        row |= {"mb_first": megabytes[0], "mb_last": megabytes[-1], "mb_most": max(megabytes)}
    return row


def joined(by_client: Sequence[Figures]) -> Figures:
    """What all clients saw together."""
    return Figures(
        seconds=[value for figures in by_client for value in figures.seconds],
        first=[value for figures in by_client for value in figures.first],
        made=sum(figures.made for figures in by_client),
        refused=sum(figures.refused for figures in by_client),
        errors=sum(figures.errors for figures in by_client),
    )


def cpu_seconds(options: argparse.Namespace) -> float:
    """Processor time of the server so far, which other programs on the machine change little."""
    if not options.pid:
        return 0.0
    times = psutil.Process(options.pid).cpu_times()
    return float(times.user + times.system)


def watch_memory(options: argparse.Namespace, begun: float, megabytes: list[float]) -> None:
    """What the server holds, every two seconds."""
    server = psutil.Process(options.pid)
    while time.monotonic() - begun < options.seconds:
        megabytes.append(round(server.memory_info().rss / 1e6, 1))
        time.sleep(2.0)


def line(row: dict[str, object], unit: str) -> str:
    """A row for people."""
    if "p50" not in row:
        return f"{row['clients']} clients: {row['errors']} errors and too few answers"
    memory = f", memory {row['mb_first']:.0f} to {row['mb_last']:.0f} MB" if "mb_first" in row else ""
    cpu = f", {row['cpu_ms_each']:.2f} ms of CPU each" if "cpu_ms_each" in row else ""
    return (
        f"{row['clients']:>3} clients: {row['requests_per_s']:.1f} requests/s, {row['made_per_s']:,.1f} {unit}/s, "
        f"p50 {row['p50']:.3f} s, p95 {row['p95']:.3f} s, p99 {row['p99']:.3f} s, first piece {row['first_p50']:.3f} s, "
        f"{row['refused']} refused, {row['errors']} errors{memory}{cpu}"
    )


def modality_of(options: argparse.Namespace) -> str:
    """What the model makes."""
    connection = http.client.HTTPConnection(options.host, options.port, timeout=60)
    connection.request("GET", f"/v1/models/{options.model}")
    answer = connection.getresponse()
    if answer.status != 200:
        raise SystemExit(f"the server has no model {options.model}")
    modality: str = json.loads(answer.read())["architecture"]["output_modalities"][0]
    connection.close()
    if modality not in PATHS:
        raise SystemExit(f"the model {options.model} makes {modality}, which is not measured here")
    return modality


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="name of a run that is served")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--prompt", default="The ")
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--pid", type=int, help="process of the server, whose memory is watched")
    parser.add_argument("--cores", type=core_list, help="cores that the clients use, e.g. 0,1 (default: all)")
    options = parser.parse_args()
    if options.cores is not None:
        os.sched_setaffinity(0, options.cores)
    modality = modality_of(options)
    unit = {"text": "tokens", "image": "pictures", "audio": "sounds"}[modality]
    rows = [measure(options, modality, clients) for clients in (1, options.clients)]
    for row in rows:
        print(line(row, unit), flush=True)
        record("serve", {"modality": modality, **row})
    if all("made_per_s" in row for row in rows):
        alone, batch = (float(str(row["made_per_s"])) for row in rows)
        print(f"{options.clients} clients get {batch / alone:.1f} times the {unit} of one")


if __name__ == "__main__":
    main()
