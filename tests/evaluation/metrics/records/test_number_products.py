"""Numbers that are products or ratios of others of the same record."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from anew.evaluation.metrics.records.number_order import number_scores, numbers_of
from anew.evaluation.metrics.records.number_products import Product, products
from anew.evaluation.metrics.records.number_sums import BROKEN_SUM
from anew.evaluation.metrics.records.record_sets import RecordSets
from anew.evaluation.metrics.records.row_formats import row_format
from anew.evaluation.reporting.grading import part_of

Maker = Callable[[np.random.Generator, float], str]


def bill(rng: np.random.Generator, error: float = 0.0) -> str:
    quantity, price = int(rng.integers(1, 20)), rng.integers(50, 9999) / 100.0
    return f"{rng.choice(['tea', 'rice'])},{quantity},{price:.2f},{quantity * price + error:.2f},{rng.integers(100)}"


def density(rng: np.random.Generator, error: float = 0.0) -> str:
    area, people = rng.integers(5, 9_000), rng.integers(10_000, 2_000_000)
    return f"{area};{people};{people / area + error:.1f};{rng.integers(12)}"


def share(rng: np.random.Generator, error: float = 0.0) -> str:
    whole = rng.integers(50, 900)
    part = rng.integers(1, whole)
    return f"{part} of {whole} ({100.0 * part / whole + error:.1f}%)"


def body(rng: np.random.Generator, error: float = 0.0) -> str:
    height, weight = rng.integers(150, 200) / 100.0, rng.integers(40, 120)
    return f"{height:.2f},{weight},{weight / height**2 + error:.1f}"


def relations(records: list[str]) -> list[Product]:
    form = row_format(records)
    return list(products([numbers_of(record, form) for record in records]))


@pytest.mark.parametrize(("make", "error"), [(bill, 0.05), (density, 9.0), (share, 3.0), (body, 1.0)])
def test_broken_products_are_counted_and_real_records_have_none(make: Maker, error: float) -> None:
    rng = np.random.default_rng(0)
    training, held_out = ([make(rng, 0.0) for _ in range(n)] for n in (1_500, 300))
    for off, grade in ((0.0, "good"), (error, "poor")):
        samples = [make(rng, off) for _ in range(300)]
        score = next(
            score for score in number_scores(RecordSets(samples, held_out, [], training, 0)) if score.spec is BROKEN_SUM
        )
        part = part_of(score)
        assert part is not None and part.grade == grade and score.real_baseline == pytest.approx(0.0, abs=0.01)


def test_the_constant_is_simple_even_if_some_records_are_wrong() -> None:
    rng = np.random.default_rng(0)
    (relation,) = relations([bill(rng, 3.0 * (i in (3, 400))) for i in range(1_500)])
    assert (relation.target, relation.factors, relation.constant) == ((3,), ((1,), (2,)), 1.0)
    (percent,) = relations([f"{100 * a // b},{a},{b * 1}" for a, b in rng.integers(300, 900, (900, 2))]) or [None]
    assert percent is None  # rounded down, not to the nearest


def test_numbers_that_are_no_products_have_no_relation() -> None:
    rng = np.random.default_rng(0)
    noise = [f"{a},{b},{a * b + rng.integers(-400, 400)},{rng.normal():.3f}" for a, b in rng.integers(1, 90, (900, 2))]
    flags = [f"{a},{b},{a * b}" for a, b in rng.integers(0, 2, (900, 2))]
    once = [f"1,{price},{price},{k}" for k, price in enumerate(rng.integers(1, 900, 900).tolist())]
    assert not relations(noise) and not relations(flags) and not relations(once) and not list(products([]))


def test_a_product_of_all_rows_is_one_rule_in_whichever_groups_it_holds() -> None:
    """It was one for each category, too, and each was tried on all samples."""
    rng = np.random.default_rng(0)
    things = ["book", "pen", "cup", "lamp"]

    def rows(n: int) -> list[str]:
        quantities, prices = rng.integers(2, 20, n), rng.integers(100, 9999, n)
        return [
            f"{things[i % 4]},{q},{p / 100:.2f},{q * p / 100:.2f}"
            for i, (q, p) in enumerate(zip(quantities, prices, strict=True))
        ]

    sets = RecordSets(rows(100), rows(100), rows(100), rows(800), 0)
    score = next(score for score in number_scores(sets) if score.name == BROKEN_SUM.name)
    assert score.value == 0.0 and score.source.startswith("1 numbers")
