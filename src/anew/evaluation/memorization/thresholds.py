"""Significance levels and other thresholds of the copying test, in one place, since each was chosen with regard to the others.

Figures are those of `bench/novelty.py` (docs/log.md: "The copying test", "Copying test: leaning is not copying", "Copies
among near-twins").
"""

from __future__ import annotations

# Significance level of each of the two tests: none of 208 runs without copies raised an alarm, all of 40 runs with 1% did.
ALPHA = 0.01
NUM_TESTS = 2  # the scan and the match test
# Running text is tested in passages and in whole texts: each test at half the level, so that both together accuse no more
# often than one does, at NUM_TESTS * ALPHA (Bonferroni).
TEXT_ALPHA = ALPHA / 2.0
# Level of the control with held-out items as samples, which withdraws the result. Every memorization test runs it, so at ALPHA it would
# withdraw one good result in a hundred.
CONTROL_ALPHA = 0.001
# Level at which labels confirm the match test. They only have to exclude that samples match held-out items as often.
LABEL_ALPHA = 0.25
# Level at which samples match more held-out items than chance explains, so that matches of real items do not measure them.
# For a generator that reaches real items often, this guard lowers false alarms from 18% to 23% down to 10% to 14%.
HELD_OUT_ALPHA = 0.05
# Level at which samples are identical to training items more often than real items to each other: no proof of copying, but then
# the answer is at most "partly".
IDENTICAL_ALPHA = 0.05
# Level at which samples repeat one unguessable training item more often than real items do: it is copied. A tenth of the other
# tests' level, so that the level of all tests together hardly rises.
COPIED_ALPHA = 0.001
# p-value of both tests together up to which copies need no confirmation: that of one of them at a fifth of its level. One report in
# fifty without any copies has a larger one that is still significant.
CONFIRMED_P = NUM_TESTS * ALPHA / 5.0
# Pairs farther apart than this share of the usual distance are not plain copies: those with up to a fifth of their characters
# changed are nearer in most data; chosen
MIN_ALTERED_DISTANCE = 0.4
# If as many pairs as are said to be copies reach this share of the usual distance, none of which is a plain copy, the model leans to its
# data, as a model does that has seen it often: many samples are a little nearer to training items than real items are
MIN_LEANING_DISTANCE = 0.75
# If as many pairs as the scan says are copies reach this share of the usual distance, although some are plain copies, only the plain ones
# are counted: the others may be altered copies, or come from a model that leans to its data. Chosen: of crops and glyphs with 2% to 10%
# exact copies, 5% to 15% were said to be copies, and the farthest of these were at .66 to .82; of 10% altered ones, at .40 (docs/log.md,
# 2026-12-03).
MAX_COUNTED_DISTANCE = 0.5
# Largest distance of a match, as a multiple of the scale of its real item: chance gives 3^-d in d dimensions.
MATCH_RATIO = 1.0 / 3.0
# Shares of planted copies among the samples; chosen: from hardly any to one in ten
PLANTED_RATES = (0.005, 0.01, 0.02, 0.05, 0.1)
DETECTION_POWER = 0.9  # share of draws in which planted copies must be found for their rate to count as caught
MIN_RELATIVE_LOWER_END = 0.1  # a share of copies whose lower end is below this part of it is not known; chosen
