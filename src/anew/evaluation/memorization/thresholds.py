"""Significance levels and other thresholds of the copying test, in one place: each is weighed against the others.

Figures are those of `bench/novelty.py` (docs/log.md: "The copying test", "Copying test: leaning is not copying", "Copies
among near-twins").
"""

from __future__ import annotations

ALPHA = 0.01  # significance level of each of the two tests: 208 runs without copies raised no alarm, of 1% copies 40 of 40 did
NUM_TESTS = 2  # the scan and the match test
# Of both together, by Bonferroni: an upper bound of the chance of a false "copying found"
FAMILY_ALPHA = NUM_TESTS * ALPHA
# Level of the control with held-out items as samples, which withdraws the result. Every audit runs it, so at ALPHA it would
# withdraw one good result in a hundred.
CONTROL_ALPHA = 0.001
# Level of the reference test where it confirms the scan. It only has to
# exclude that a model leans to its training items: at 0.05, 1% exact copies of digits were found in 8 of 10 runs, at 0.25 in
# 20 of 20.
REFERENCE_ALPHA = 0.25
# Of the labels where they confirm the match test: chosen like the one above, since they too only confirm
LABEL_ALPHA = 0.25
# Level at which samples match more held-out items than chance explains, so that real items are no measure for them. Of a
# generator that reaches real items often, this guard lowers false alarms from 18% to 23% down to 10% to 14%.
HELD_OUT_ALPHA = 0.05
# Largest distance of a match, over the scale of its real item: in d dimensions chance gives 3^-d
MATCH_RATIO = 1.0 / 3.0
RATES = (0.005, 0.01, 0.02, 0.05, 0.1)  # of planted copies among the samples, chosen: from hardly any to one in ten
DETECTION_POWER = 0.9  # share of draws in which planted copies must be found for their rate to count as caught
