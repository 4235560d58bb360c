"""Samples whole records: of a length that known ones have, not among them, nor like each other where the data never is, whole in
their language, such as JSON or SMILES, and as probable as held-out ones.

Legend for shapes: n samples, L tokens of the longest, k samples that are drawn again, l tokens of a prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from anew.core.arrays import Bools, Doubles, Ints
from anew.core.specs import SampleRequest
from anew.families.transformer.config import TransformerSampling
from anew.families.transformer.contexts.context_head import ContextHead
from anew.families.transformer.drawing.known_records import KnownRecords
from anew.families.transformer.drawing.record_syntax import RecordSyntax
from anew.families.transformer.drawing.sampler import TokenSampler
from anew.families.transformer.parts import TransformerParts

MAX_REDRAWS = 7  # a model that still gives a known record is one that copies, which the copying test should see
MAX_SHORT_REDRAWS = 3  # those of samples that are far too short, a smaller error than a missing end; chosen
# Few samples are drawn again together with their next attempts, which hardly takes longer: up to so many rows and attempts; chosen
REDRAWN_ROWS_AT_ONCE, ATTEMPTS_AT_ONCE = 16, 4
SHORTER = 0.9  # a sample of this share of the shortest known record is not far too short; chosen


class RecordSampler:
    """Samples as from `TokenSampler`; those that turn out to be known records, repeat what the data never does, do not parse
    where the data does, are improbable more often than held-out records, or reach the longest length without an end, are drawn again,
    up to MAX_REDRAWS times, and those that are far shorter than any known record up to MAX_SHORT_REDRAWS times.

    A network that has seen few records loses its place in them: it begins again in the middle, and is cut, or it ends too early.

    Args:
        family, request, sampling, keys: See `TokenSampler`.
        counts_bits: Whether `bits_per_token` are needed.
        accepts_all: Whether no sample is drawn again since too many would be as improbable.

    Attributes:
        known: The records that samples must not be; None to let samples be any record.
        shortest: Tokens of the shortest known record, its end included; 0 if any length is allowed, and no end is needed.
        syntax: The language in which samples must parse; None for none.
        acceptance: How often samples are accepted by their bits; None to accept all. It was fitted to whole records, drawn with plain
            settings.
        bits_per_token: (n,) of the newest draft, as `DrawnBits` counts them; zeros where nobody needs them.

    Iterate for drafts (n, L): all drafts of `TokenSampler`, then one after each further attempt.
    """

    def __init__(
        self,
        family: TransformerParts,
        request: SampleRequest,
        sampling: TransformerSampling,
        keys: Sequence[tuple[int, int]],
        *,
        counts_bits: bool = False,
        accepts_all: bool = False,
    ) -> None:
        self.family, self.request, self.sampling, self.keys = family, request, sampling, keys
        self.known = family.known if sampling.avoid_known and family.known.is_fitted else None
        self.shortest = 0 if sampling.max_tokens else family.mixer.ends.shortest
        self.syntax = family.syntax if sampling.match_error_rates and family.syntax.is_fitted else None
        is_plain = sampling.is_unfiltered and not sampling.max_tokens and request.condition is None
        is_accepted = is_plain and sampling.match_error_rates and family.acceptance.is_fitted and not accepts_all
        self.acceptance = family.acceptance if is_accepted else None
        self.counts_bits = counts_bits or is_accepted
        self.bits_per_token: Doubles = np.zeros(request.n)
        self._attempts: dict[int, _Attempt] = {}  # by their number, the newest and those drawn with it

    def __iter__(self) -> Iterator[Tensor]:
        sampler = TokenSampler(self.family, self.request, self.sampling, self.keys, counts_bits=self.counts_bits)
        draft = torch.zeros((self.request.n, 0), dtype=torch.int64)
        for draft in sampler:
            yield draft
        if sampler.is_greedy:  # it would be the same again
            return
        groups, special = key_groups(self.keys), self.family.spec.special
        redraw_rule = _RedrawRule(self.known, self.shortest, self.syntax, special, sampler.prompt, groups)
        all_rows: Ints = np.arange(self.request.n)
        self.bits_per_token = sampler.bits.per_token
        rows = redraw_rule.refused(draft.numpy(), all_rows, self._are_improbable(all_rows, 0))
        attempt = 0
        while len(rows):
            attempt += 1
            redrawn = self._drawn_again(rows, attempt)
            draft = with_rows(draft, rows, redrawn, sampler.pad_id)
            yield draft
            rows = redraw_rule.refused(redrawn.numpy(), rows, self._are_improbable(rows, attempt))

    def _are_improbable(self, rows: Ints, attempt: int) -> Bools:
        """(k,) whether these samples (k,) are drawn again since too many would be as improbable."""
        if self.acceptance is None:
            return np.zeros(len(rows), dtype=bool)
        keys = [self.keys[row] for row in rows.tolist()]
        return self.acceptance.are_refused(self.bits_per_token[rows], keys, attempt)

    def _drawn_again(self, rows: Ints, attempt: int) -> Tensor:
        """(k, L) other samples for these rows (k,), whose bits are counted."""
        drawn = self._attempts.get(attempt)
        if drawn is None or not np.isin(rows, drawn.rows).all():
            drawn = self._drawn_together(rows, attempt)
        places = np.searchsorted(drawn.rows, rows)
        self.bits_per_token[rows] = drawn.bits_per_token[places]
        return drawn.draft[torch.from_numpy(places)]

    def _drawn_together(self, rows: Ints, attempt: int) -> _Attempt:
        """Other samples for these rows (k,), rising; those of the next attempts are kept where it takes hardly longer to draw them, too."""
        num_left = MAX_REDRAWS + 1 - attempt
        num_attempts = max(1, min(ATTEMPTS_AT_ONCE, REDRAWN_ROWS_AT_ONCE // len(rows), num_left))
        if isinstance(self.family.token_mixer, ContextHead):  # each row takes as long as another
            num_attempts = 1
        all_rows = np.tile(rows, num_attempts)
        attempt_numbers = np.repeat(np.arange(attempt, attempt + num_attempts), len(rows))
        index, request = torch.from_numpy(all_rows), self.request
        labels = None if request.labels is None else request.labels[index]
        condition = request.condition
        if condition is not None and condition.x.ndim == 2:
            condition = replace(condition, x=condition.x.expand(request.n, -1)[index])
        part = replace(request, n=len(all_rows), labels=labels, condition=condition, keys=None)
        keys = [self.keys[row] for row in all_rows]
        sampler = TokenSampler(
            self.family, part, self.sampling, keys, attempts=attempt_numbers.tolist(), counts_bits=self.counts_bits
        )
        *_, last = sampler
        drafts, bits = torch.split(last, len(rows)), np.split(sampler.bits.per_token, num_attempts)
        drawn = [_Attempt(rows, *values) for values in zip(drafts, bits, strict=True)]
        self._attempts = dict(enumerate(drawn, attempt))
        return drawn[0]


class _Attempt(NamedTuple):
    """Drafts (k, L) of an attempt at rows (k,), rising, and their bits (k,)."""

    rows: Ints
    draft: Tensor
    bits_per_token: Doubles


class _RedrawRule:
    """Decides which of n samples are drawn again, and counts how often each was.

    A sample is judged by those before it in its group of keys: so the first ones of a request are the same, however many are drawn, and
    whatever other requests are drawn with it.

    Args:
        known, shortest, syntax: See `RecordSampler`.
        special: Ids of the symbols that are not part of a record's content, by name.
        prompts: (n, l).
        groups: See `key_groups`.
    """

    def __init__(
        self,
        known: KnownRecords | None,
        shortest: int,
        syntax: RecordSyntax | None,
        special: Mapping[str, int],
        prompts: Ints,
        groups: Sequence[int],
    ) -> None:
        self.known, self.shortest, self.syntax = known, shortest, syntax
        self.special, self.prompts, self.groups = special, prompts, groups
        n = len(groups)
        # What is wrong with the newest draft of each sample
        self._is_known, self._is_broken, self._is_improbable = np.zeros((3, n), dtype=bool)
        self._is_cut, self._is_short = np.zeros((2, n), dtype=bool)
        # Hashes of what no other sample may have: keys, and whole records
        self._values: list[list[int]] = [[] for _ in range(n)]
        # How often drafts of each sample had this wrong with them; misfits are cut or too short
        self._num_repeated, self._num_misfits, self._num_broken, self._num_improbable = np.zeros((4, n), dtype=np.int64)

    def refused(self, ids: Ints, rows: Ints, are_improbable: Bools) -> Ints:
        """The samples that must be drawn again, after the samples `rows` (k,) were drawn with ids (k, L).

        are_improbable: (k,) whether each is refused for its bits."""
        self._judge(ids, rows)
        self._is_improbable[rows] = are_improbable
        is_repeated = self._is_known | self._repeats_others()
        self._num_repeated += is_repeated
        self._num_misfits += self._is_cut | self._is_short
        self._num_broken += self._is_broken
        self._num_improbable += self._is_improbable
        is_refused = is_repeated & (self._num_repeated <= MAX_REDRAWS)
        is_refused |= self._is_cut & (self._num_misfits <= MAX_REDRAWS)
        is_refused |= self._is_short & (self._num_misfits <= MAX_SHORT_REDRAWS)
        is_refused |= self._is_broken & (self._num_broken <= MAX_REDRAWS)
        is_refused |= self._is_improbable & (self._num_improbable <= MAX_REDRAWS)
        return np.flatnonzero(is_refused)

    def _judge(self, ids: Ints, rows: Ints) -> None:
        """Judge the samples `rows` (k,) by themselves. ids: (k, L)."""
        if self.shortest:
            lengths = record_lengths(ids, self.special)
            self._is_cut[rows] = lengths == 0
            self._is_short[rows] = (lengths > 0) & (lengths < SHORTER * self.shortest)
        if self.syntax is not None:
            self._is_broken[rows] = self.syntax.are_broken(ids, self.prompts[rows])
        if self.known is None:
            return
        keys = self.known.keys_of(ids, self.prompts[rows])
        self._is_known[rows] = self.known.have_known_keys(keys)
        self._is_known[rows[self.known.among(ids)]] = True
        records = self.known.hashes_of(ids) if self.known.never_repeat else [None] * len(ids)
        for row, record, of_sample in zip(rows.tolist(), records, keys, strict=True):
            self._values[row] = of_sample if record is None else [*of_sample, record]

    def _repeats_others(self) -> Bools:
        """(n,) whether each sample has a value that one before it in its group has."""
        is_repeated, seen = np.zeros(len(self.groups), dtype=bool), set[tuple[int, int]]()
        for row, group in enumerate(self.groups):
            values = {(group, value) for value in self._values[row]}
            is_repeated[row] = not seen.isdisjoint(values)
            seen |= values
        return is_repeated


def key_groups(keys: Sequence[tuple[int, int]]) -> list[int]:
    """(n,) number of the group that each key (seed, index) is in: successive keys of one seed whose indices rise by one.

    Requests that are drawn as one batch are told apart by this, unless one of the same seed begins where the one before it ends.
    """
    begins = [after != (seed, index + 1) for (seed, index), after in pairwise(keys)]
    return list(accumulate(begins, initial=0))


def record_lengths(ids: Ints, special: Mapping[str, int]) -> Ints:
    """(n,) tokens of records (n, L), with their end but not the token that they begin with; 0 for those without an end.

    special: Ids of the symbols that are not part of a record's content, by name.
    """
    if not ids.shape[1]:
        return np.zeros(len(ids), dtype=np.int64)
    is_end = ids == special["end"]
    openings = [special[name] for name in ("begin", "back") if name in special]
    has_opening = np.isin(ids[:, 0], openings)  # only where a prompt has it: samples do not show it
    return np.where(is_end.any(1), is_end.argmax(1) + 1 - has_opening, 0)


def with_rows(draft: Tensor, rows: Ints, replacement: Tensor, pad_id: int) -> Tensor:
    """(n, L) a draft with some of its rows (k,) replaced by others (k, L), padded to the longest."""
    length = max(draft.shape[1], replacement.shape[1])
    padded = functional.pad(draft, (0, length - draft.shape[1]), value=pad_id).clone()  # (n, L)
    padded[torch.from_numpy(rows)] = functional.pad(replacement, (0, length - replacement.shape[1]), value=pad_id)
    return padded
