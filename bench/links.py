"""Links: the time of a training step on links of a given speed, as measured, beside the model of docs/scaling.md.

    python bench/links.py [--hosts 2 3] [--rate 1gbit 100mbit] [--delay 0 5] [--layers 4 --width 256 --rows 8]

Hosts are network namespaces as in `distributed.py` (needs root and iproute2), one process each. Each process measures what the model
asks for (a step without any exchange, the bandwidth and the latency of the link) in turns with steps of DDP and FSDP2.
`--delay`: milliseconds that each message takes longer one way.
`sent_mb` and `predicted_mb`: what the first host sent in a step.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _step_time as model
from _common import Table, fresh, parser
from _hosts import give_up, network, start_host

WORKER = Path(__file__).with_name("_links.py")


def measure(arguments: argparse.Namespace, hosts: int, rate: str, delay: float) -> dict[str, Any]:
    folders = [fresh(arguments.work / "links" / f"host{number}") for number in range(hosts)]
    words = [str(arguments.rows), str(arguments.layers), str(arguments.width)]
    with network(hosts, rate, delay):
        started = [
            start_host(number, hosts, folder, words, arguments.cores, program=("--", str(WORKER)))
            for number, folder in enumerate(folders)
        ]
        codes = [host.wait() for host in started]
    if any(codes) or None in codes:
        give_up(started, f"a host failed; exit codes {codes}")
    facts = [json.loads(line) for host in started for line in host.output.splitlines() if line.startswith("{")]
    return dict(facts[0])


def rows(arguments: argparse.Namespace, hosts: int, rate: str, delay: float) -> Iterator[dict[str, Any]]:
    facts = measure(arguments, hosts, rate, delay)
    passes = facts["alone_s"] - facts["optimizer_s"]
    computing = model.Computing(passes / 3, passes * 2 / 3, facts["optimizer_s"])
    latency = facts["small_s"] / (hosts - 1)
    ring = 2 * (hosts - 1) / hosts * facts["large_bytes"]
    link = model.Link(ring / (facts["large_s"] - 2 * facts["small_s"]), latency)
    total, muon = sum(facts["weights"]), sum(facts["matrices"])
    predicted = {
        "ddp": model.ddp_seconds(computing, facts["weights"], hosts, link),
        "fsdp": model.fsdp_seconds(computing, facts["blocks"], facts["matrices"], hosts, link, is_gloo=True),
    }
    sent = {"ddp": 8 * total, "fsdp": 16 * total - 4 * facts["blocks"][-1] + 4 * muon}
    for way, steps in facts["steps"].items():
        yield {
            "hosts": hosts,
            "rate": rate,
            "delay_ms": delay,
            "strategy": way,
            "weights": total,
            "alone_s": round(facts["alone_s"], 4),
            "bandwidth_mb_s": round(link.bandwidth / 1e6, 2),
            "hop_ms": round(1e3 * link.latency, 2),
            "sent_mb": round(steps["sent"] / 1e6, 2),
            "predicted_mb": round(sent[way] * (hosts - 1) / hosts / 1e6, 2),
            "step_s": round(steps["seconds"], 4),
            "predicted_s": round(predicted[way], 4),
            "error": round(predicted[way] / steps["seconds"] - 1, 3),
        }


def main() -> None:
    build = parser(__doc__)
    build.add_argument("--hosts", type=int, nargs="*", default=[2, 3])
    build.add_argument("--rate", nargs="*", default=["1gbit", "100mbit"], help="of the links, as tc writes it")
    build.add_argument("--delay", type=float, nargs="*", default=[0.0], help="milliseconds, one way")
    build.add_argument("--layers", type=int, default=4)
    build.add_argument("--width", type=int, default=256)
    build.add_argument("--rows", type=int, default=8, help="of 64 tokens, of each process")
    arguments = build.parse_args()
    table = Table("links")
    for hosts, rate, delay in itertools.product(arguments.hosts, arguments.rate, arguments.delay):
        for row in rows(arguments, hosts, rate, delay):
            table.add(**row)
    table.show()


if __name__ == "__main__":
    main()
