"""How much likelier a row follows known records of its own class than those of other classes.

Legend for shapes: n rows, E experts of a row, C classes, k places of rows.
"""

from __future__ import annotations

import math

import numpy as np

from anew.core.arrays import Doubles, Ints

# Rounds of expectation and maximisation, by which the odds have settled.
ROUNDS = 100
# Standard errors from which on classes are not chance, and odds below which they hardly decide which record is followed; chosen
MIN_DEVIATIONS, MIN_ODDS = 3.0, 2.0
MAX_ODDS = 1e6  # bounds the evidence that a record of another class needs; chosen
PSEUDO_WEIGHT = 10.0  # places that are added to what rows of a class and others show, as all rows together are; chosen


class ClassOdds:
    """Collects the weights that rows give to records of each class while nothing is known of the rows' classes."""

    def __init__(self, num_classes: int) -> None:
        self._of_class: Doubles = np.zeros(num_classes)  # (C,) the weights of records of each class, over all rows
        self._places: list[Doubles] = []  # each (k, 4): own, other, the row's class, the row

    def add(self, rows: Ints, classes: Ints, weights: Doubles, record_classes: Ints) -> None:
        """Add the next place of some rows.

        Args:
            rows: (n,) their numbers.
            classes: (n,) their classes, -1 without; those do not count.
            weights: (n, E) of their experts.
            record_classes: (n, E) the classes of the records that these follow, -1 without.
        """
        known = classes >= 0
        weights, record_classes = weights[known] * (record_classes[known] >= 0), record_classes[known]
        num_classes = len(self._of_class)
        self._of_class += np.bincount(np.maximum(record_classes, 0).ravel(), weights.ravel(), num_classes)[:num_classes]
        is_own = record_classes == classes[known, None]
        own, other = (weights * is_own).sum(1), (weights * ~is_own).sum(1)
        self._places.append(np.stack((own, other, classes[known], rows[known]), 1, dtype=np.float64))

    def estimate(self) -> float:
        """The odds, at least 1: 1 where they could be chance, or matter little.

        Expectation maximisation fits the odds o in the prior of the row's own class, o s / (o s + 1 - s), where s is the share that it
        would have without classes. Rows of other classes show s, too, as they follow its records by chance: by it a class is not
        taken for a better guide because it has more records, or better ones.
        """
        places = np.concatenate(self._places) if self._places else np.zeros((0, 4))
        own, other, classes, rows = places[places[:, :2].sum(1) > 0].T  # each (k,)
        evidence, numbers = own + other, classes.astype(np.int64)
        if np.count_nonzero(self._of_class) < 2:
            return 1.0
        share = self._shares(own, evidence, numbers)[numbers]  # (k,)
        excess = np.bincount(
            rows.astype(np.int64), own - evidence * share
        )  # of each row, whose places depend on each other
        if excess.sum() <= MIN_DEVIATIONS * math.sqrt((excess**2).sum()):
            return 1.0
        log_odds = 0.0
        for _ in range(ROUNDS):
            odds = math.exp(log_odds)
            posterior, prior = odds * own / (odds * own + other), odds * share / (odds * share + 1.0 - share)
            curvature = float((evidence * prior * (1.0 - prior)).sum())
            step = float((evidence * (posterior - prior)).sum()) / max(curvature, 1e-9)
            log_odds = min(max(log_odds + min(max(step, -1.0), 1.0), 0.0), math.log(MAX_ODDS))
        odds = math.exp(log_odds)
        return odds if odds >= MIN_ODDS else 1.0

    def _shares(self, own: Doubles, evidence: Doubles, classes: Ints) -> Doubles:
        """(C,) the share of a class without classes, between what rows of the class (o s / (1 - s)) and others (s / (o (1 - s))) show."""
        num_classes = len(self._of_class)
        of_own, of_rows = (np.bincount(classes, weights, num_classes) for weights in (own, evidence))
        by_others = self._of_class - of_own
        rest = evidence.sum() - of_rows - by_others
        usual = PSEUDO_WEIGHT * self._of_class / self._of_class.sum()  # (C,)
        odds_of_own = (of_own + usual) / (of_rows - of_own + PSEUDO_WEIGHT - usual)
        odds_of_others = (by_others + usual) / (np.maximum(rest, 0.0) + PSEUDO_WEIGHT - usual)
        odds = np.sqrt(odds_of_own * odds_of_others)
        shares: Doubles = odds / (1.0 + odds)
        return shares
