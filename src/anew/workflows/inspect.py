"""`look`: what the data is, which family follows, and what budgets would buy."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch

from anew.core import settings as cfg
from anew.core.registry import load
from anew.core.specs import Tokens
from anew.core.threads import use_threads
from anew.data.dataset import Dataset
from anew.data.types import DataBudget
from anew.families.base import Scale
from anew.planning.budget import build, choose, measure
from anew.planning.planner import PREFERENCES, choose_family
from anew.runs.record import Candidate
from anew.training.distributed import World


def looked(path: str, modality: str | None, prefer: str, seed: int, settings: dict[str, Any]) -> dict[str, Any]:
    """All that `anew look` prints, as JSON values."""
    use_threads()

    def typed(kind: str) -> dict[str, Any]:
        return cfg.route_settings(settings, {kind: load("data", kind).Config})[kind]

    size = DataBudget(600.0, 0, 0, torch.get_num_threads(), "cpu")
    data = Dataset.open(path, modality=modality, settings=typed, seed=seed, size=size)
    scan = data.scan
    data.fit(size)
    found = dataclasses.asdict(scan) | {
        "path": path,
        "fingerprint": data.fingerprint,
        "noun": data.modality.traits.singular,
    }
    name, kind = choose_family(data.spec, None, prefer)
    found |= {"family": name, "why": kind.rationale, "instead": _instead(data.spec, name), "examples": data.train_items}
    found["shape"] = list(data.spec.shape) if not isinstance(data.spec, Tokens) else [data.spec.length]
    found["budgets"] = list(_budgets(data, kind))
    data.close()
    return found


def _instead(spec: Any, taken: str) -> dict[str, dict[str, str]]:
    """What the other preferences would choose, and why: preference -> family and reason."""
    found: dict[str, dict[str, str]] = {}
    for preference in PREFERENCES:
        name, kind = choose_family(spec, None, preference)
        if name != taken and preference in kind.preferred_for:
            found[preference] = {"family": name, "why": kind.rationale}
    return found


def _budgets(data: Dataset, kind: Any) -> Iterator[dict[str, Any]]:
    """What one minute, ten minutes and an hour would buy, from less than a second of measuring."""

    def scale(seconds: float) -> Scale:
        return Scale(data.train_items, data.train_units, seconds, 0, "cpu", torch.get_num_threads())

    measured = _extrapolated(measure(kind, data.spec, scale(3600.0), {}, data, World(), 0.8), kind, data, scale(3600.0))
    for seconds in (60.0, 600.0, 3600.0):
        share = 0.85 * seconds
        at = [dataclasses.replace(c, examples=share / c.step_s * c.batch) for c in measured]
        taken = choose(at)
        yield {
            "seconds": seconds,
            "model_size": taken.model_size,
            "parameters": taken.parameters,
            "steps": int(share / taken.step_s),
            "epochs": round(taken.examples / max(1, data.train_items), 2),
        }


def _extrapolated(measured: list[Candidate], kind: Any, data: Dataset, scale: Scale) -> list[Candidate]:
    """The sizes that there was no time to measure, each taken as twice as slow as the one before."""
    found = list(measured)
    for model_size in [d for d in kind.candidate_sizes(data.spec, scale) if d > measured[-1].model_size]:
        at = dataclasses.replace(scale, model_size=model_size)
        config = kind.suggest(data.spec, at)
        before = found[-1]
        step_s = 2 * before.step_s * config.batch_size / before.batch
        parameters = sum(p.numel() for p in build(kind, data.spec, config, 0, torch.device("cpu")).parameters())
        target_examples = kind.target_examples(data.spec, config, at)
        found.append(Candidate(model_size, parameters, config.batch_size, step_s, 0.0, target_examples))
    return found
