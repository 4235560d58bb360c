"""Samples from a Transformer token by token, in NumPy, since calls take most of the time of a small network's step.

Legend for shapes: n samples, L tokens so far, V vocabulary.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from anew.core.arrays import Bools, Floats, Ints
from anew.core.machine.threads import one_thread
from anew.core.random import sample_generator
from anew.core.specs import SampleRequest
from anew.errors import RunError
from anew.families.base import NOT_FINITE
from anew.families.transformer.config import TransformerSampling
from anew.families.transformer.contexts.context_head import ContextHead
from anew.families.transformer.contexts.context_state import ContextState
from anew.families.transformer.counts.mixing import softmax
from anew.families.transformer.drawing.context_drawing import MIN_WEIGHT, DrawingLimits, draw_next
from anew.families.transformer.drawing.drawn_bits import DrawnBits
from anew.families.transformer.drawing.ending_limit import EndingLimit
from anew.families.transformer.drawing.program_state import drawn_tokens
from anew.families.transformer.drawing.whole_characters import MAX_BYTES_TO_COME, whole_characters
from anew.families.transformer.parts import TransformerParts
from anew.families.transformer.token_mixer import RowState, TokenMixer
from anew.functional import token_choice
from anew.nets.incremental import CachedDecoder, make_incremental

# Random numbers of a sample that are drawn at once: a call of PyTorch for each would take longer than the number itself.
UNIFORMS_AT_ONCE = 64
# Share of the batch from which on samples that have ended leave it: moving the others takes as long as some ten steps.
DROPPED_SHARE = 0.25
NO_TOKEN = -1  # fills the rows of samples that end before others, where the data has no end token
DEFAULT_NEW_TOKENS = 500  # length of running text, if max_tokens is 0: a page, in seconds; chosen


class TokenSampler:
    """n samples that grow together. Sample i depends only on keys[i] and on its condition. Iterate for drafts (n, t).

    Args:
        keys: (seed, index) of each sample, which determine its random numbers.
        reads_prompt: Whether each token of the prompt makes a draft too, so that `weights` before it can be read.
        keeps_weights: Whether `weights` are needed; sampling is faster without.
        counts_bits: Whether `bits` are counted; not of running text with context mixing.
        attempts: How many times each of these samples was drawn before, () for never; each attempt uses other random numbers.

    Attributes:
        is_greedy: Whether the most probable token is always taken, as was asked for.
        weights: (n, V) proportional to the probabilities from which the last token of the newest draft was drawn, before
            temperature and cuts, and before errors are refused.
        bits: Those of the tokens of the newest draft, if they are counted.
        state: State of the mixed models, once the prompt is read.
    """

    state: RowState

    def __init__(
        self,
        family: TransformerParts,
        request: SampleRequest,
        sampling: TransformerSampling,
        keys: Sequence[tuple[int, int]],
        *,
        reads_prompt: bool = False,
        keeps_weights: bool = False,
        counts_bits: bool = False,
        attempts: Sequence[int] = (),
    ) -> None:
        self.family, self.request, self.sampling = family, request, sampling
        self.reads_prompt, self.keeps_weights, self.counts_bits = reads_prompt, keeps_weights, counts_bits
        self.bits = DrawnBits(request.n)
        self.weights = np.zeros((0, 0), dtype=np.float32)
        special = family.spec.special
        self.end_id = special.get("end")
        self.pad_id = special.get("pad", NO_TOKEN if self.end_id is None else self.end_id)
        # In running text of many documents, the end token of one also begins the next.
        self.begin_id = special.get("begin", self.end_id)
        drawn_keys = keys_of_attempts(keys, attempts)
        self.generators = [sample_generator(seed, "draw", *numbers) for seed, *numbers in drawn_keys]
        self._uniforms, self._num_used = np.zeros((0, 0), dtype=np.float32), 0
        s = sampling
        self.mixer = family.token_mixer
        self.cuts_only_min_p, self.is_unfiltered = s.cuts_only_min_p, s.is_unfiltered
        self.is_greedy = s.temperature == 0.0 or s.top_k == 1
        self.matches_error_rates = s.match_error_rates and not self.is_greedy
        self.passages = None if self.is_unfiltered or self.is_greedy else family.passages.start(request.n)
        self.own_passages = family.own_passages.start(request.n) if self.matches_error_rates else None
        self.row_limit = family.rows.start(drawn_keys) if s.match_error_rates else None
        self.prompt = prompt_ids(request)
        self.programs = family.programs.start(request.n) if self.matches_error_rates else None
        ending = None if request.condition is None else request.condition.ending
        self.ending = None if ending is None else EndingLimit(ending, request.n, family.spec.vocab)
        self.label_ids: Ints | None = None  # (n,)
        if family.num_label_tokens:
            # The token for an unknown class is not trained: all training records have one
            if request.labels is None or bool((request.labels < 0).any()):
                raise ValueError("the model has classes, so each sample needs one; give `labels`")
            self.label_ids = family.label_ids(request.labels, request.n).cpu().numpy()
        unsampled = family.spec.unsampled_ids
        self.allowed = allowed_tokens(unsampled, family.spec.vocab, request.n)
        self.characters = whole_characters(family.spec.spellings, unsampled)
        self._byte_states: Ints = np.zeros(request.n, dtype=np.int64)  # see `WholeCharacters`
        spellings = family.spec.spellings or (b"?",) * family.spec.vocab
        self._is_blank: Bools = np.array([not spelling.strip() for spelling in spellings], dtype=np.bool_)
        self._has_text: Bools = np.zeros(request.n, dtype=np.bool_)

    def __iter__(self) -> Iterator[Tensor]:
        is_small = self.family.net.token_embedding.device.type == "cpu"
        with one_thread() if is_small else contextlib.nullcontext():
            yield from self._drafts()

    @torch.inference_mode()
    def _drafts(self) -> Iterator[Tensor]:
        spec, n = self.family.spec, self.request.n
        start, num_hidden = self._start_ids()
        row_ends = self._row_ends(start.shape[1], num_hidden)  # (n,)
        filler = np.full((n, max(0, int(row_ends.max()) - start.shape[1])), self.pad_id, dtype=np.int64)
        ids = np.concatenate((start, filler), 1)
        draft, places = torch.from_numpy(ids.copy()), np.arange(n)  # places: those of the rows of ids in the draft
        draft_ids = draft.numpy()
        has_ended = row_ends <= start.shape[1]
        if has_ended.all():
            # The prompt was one token, in whose place another one was drawn
            yield draft[:, num_hidden:]
            return
        decoder = make_incremental(self.family.net, n)
        num_known = start.shape[1]
        first = max(1, num_hidden) if self.reads_prompt else num_known
        is_passage = bool(spec.opening) and num_hidden == num_known and self.ending is None
        for tokens in ids[:, :first].T:
            self._observe_contents(tokens)
        for place in range(first, ids.shape[1]):
            is_known = place < num_known
            if not is_known:
                self._limit_bytes(ids[:, :place], place == num_known, row_ends - 1 - place)
            known_ids = ids[:, place] if is_known else None
            with self._within_limits(), self._end_forbidden() if is_passage else contextlib.nullcontext():
                tokens = self._next(decoder, ids[:, :place], place == first, known_ids)
            self._has_text |= ~self._is_blank[tokens]
            self._observe(tokens, is_known, has_ended)
            if self.counts_bits and not is_known:
                self.bits.count(self.weights, tokens, places, ~has_ended)
            if self.ending is not None and not is_known:
                self.ending = self.ending.after(tokens)
                row_ends = self._row_ends(num_known, num_hidden)
                self.ending = None if self.ending.is_complete else self.ending
            if not is_known:
                tokens = np.where(has_ended, self.pad_id, tokens)
                has_ended |= (tokens == self.end_id) | (place + 1 >= row_ends)
            draft_ids[places, place] = tokens
            ids[:, place] = np.maximum(tokens, 0)  # NO_TOKEN cannot be read
            # Until the prompt is completed, the text of some samples ends before that of the prompt
            if self.ending is None or self.keeps_weights:
                yield draft[:, num_hidden : place + 1]  # a view, whose values are never changed later
            if has_ended.all():
                return
            if not self.keeps_weights and has_ended.sum() >= DROPPED_SHARE * len(has_ended):
                rows = np.flatnonzero(~has_ended)
                ids, places, has_ended, row_ends = ids[rows], places[rows], has_ended[rows], row_ends[rows]
                decoder.keep(rows)
                self._keep(rows)

    def _observe(self, tokens: Ints, is_known: bool, has_ended: Bools) -> None:
        """Let models and limits read the next tokens (n,). has_ended: (n,) whether samples had ended before."""
        if self.mixer is not None:
            self.state.observe(tokens, not is_known)
        if self.own_passages is not None and not is_known:
            self.own_passages.observe(tokens, ~has_ended)
        self._observe_contents(tokens)

    def _observe_contents(self, tokens: Ints) -> None:
        """Let the limits read the next tokens (n,) that follow what samples say."""
        for limit in (self.row_limit, self.programs):
            if limit is not None:
                limit.observe(tokens)

    def _row_ends(self, num_start: int, num_hidden: int) -> Ints:
        """(n,) ids of each sample at most. num_start: ids that samples start from."""
        num_new, spec, condition = self.sampling.max_tokens, self.family.spec, self.request.condition
        num_known = np.full(self.request.n, num_start)
        if self.ending is not None and condition is not None:
            num_known = num_hidden + condition.num_kept + self.ending.num_known()
        if num_new:
            return num_known + num_new
        usual = DEFAULT_NEW_TOKENS + num_start if spec.packed else spec.length + 1
        return np.full(len(num_known), max(usual, num_known.max() + 1))

    @contextlib.contextmanager
    def _end_forbidden(self) -> Iterator[None]:
        """Without the end token for samples that have only white space so far. The token also follows the last line of a document: a
        passage that begins with it would be empty."""
        allowed = self.allowed
        if self.end_id is not None and not self._has_text.all():
            others = np.float32(1.0) if allowed is None else allowed
            self.allowed = np.array(np.broadcast_to(others, (len(self._has_text), self.family.spec.vocab)))
            self.allowed[~self._has_text, self.end_id] = 0.0
        yield
        self.allowed = allowed

    @contextlib.contextmanager
    def _within_limits(self) -> Iterator[None]:
        """A context in which only tokens are allowed that complete the text of the prompt, and continue a row."""
        allowed = self.allowed
        if self.row_limit is not None:
            self.allowed = self.row_limit.allowed(allowed)
        if self.ending is not None:
            self.allowed = self.ending.allowed(self.allowed)
        yield
        self.allowed = allowed

    def _keep(self, rows: Ints) -> None:
        """Go on with these samples (k,) only, by their numbers among the present ones."""
        if self.mixer is not None:
            self.state = self.state.select(rows)
        self.passages = None if self.passages is None else self.passages.select(rows)
        self.own_passages = None if self.own_passages is None else self.own_passages.select(rows)
        self.ending = None if self.ending is None else self.ending.select(rows)
        self.row_limit = None if self.row_limit is None else self.row_limit.select(rows)
        self.programs = None if self.programs is None else self.programs.select(rows)
        self.generators, self._uniforms = [self.generators[row] for row in rows], self._uniforms[:, rows]
        self.label_ids = None if self.label_ids is None else self.label_ids[rows]
        self.allowed = None if self.allowed is None else self.allowed[rows]
        self._byte_states, self._has_text = self._byte_states[rows], self._has_text[rows]

    def _limit_bytes(self, ids: Ints, is_first: bool, num_after: Ints) -> None:
        """Allow only tokens that go on with whole characters. ids: (n, t) so far; num_after: (n,) tokens that can follow the next."""
        if self.characters is None:
            return
        if is_first:
            self._byte_states = self.characters.after_prompt(ids)
        else:
            self._byte_states = self.characters.after(self._byte_states, ids[:, -1])
        # Whichever token completes the prompt's text is a new one
        most = (self.sampling.max_tokens or DEFAULT_NEW_TOKENS) - 1
        self.allowed = self.characters.allowed(self._byte_states, np.clip(num_after, 0, most))

    def _start_ids(self) -> tuple[Ints, int]:
        """(n, L) ids to start from, and how many of them the sample does not show."""
        n, opening = self.request.n, self.family.spec.opening
        condition = self.request.condition
        prompt = self.prompt if condition is None else self.prompt[:, : condition.num_kept]
        if opening and not prompt.shape[1]:
            return np.tile(np.array(opening, dtype=np.int64), (n, 1)), len(opening)
        if self.begin_id is not None and (prompt.shape[1] == 0 or not (prompt[:, 0] == self.begin_id).all()):
            return np.concatenate((np.full((n, 1), self.begin_id), prompt), 1), 1
        if prompt.shape[1]:
            return prompt, 0
        self._limit_bytes(prompt, is_first=True, num_after=np.full(n, MAX_BYTES_TO_COME))
        with self._within_limits():
            self.weights = unigram_weights(self.mixer, n, self.family.spec.vocab)
            first_tokens = token_choice.sample_tokens(only_allowed(self.weights, self.allowed), self._uniform())
        self.ending = None if self.ending is None else self.ending.after(first_tokens)
        return first_tokens[:, None], 0

    def _uniform(self) -> Floats:
        """(n,) the next of each sample's own random numbers in [0, 1)."""
        place = self._num_used % UNIFORMS_AT_ONCE
        if place == 0:
            columns = [torch.rand(UNIFORMS_AT_ONCE, generator=generator).numpy() for generator in self.generators]
            self._uniforms = np.stack(columns, 1)
        self._num_used += 1
        row: Floats = self._uniforms[place]
        return row

    def _next(self, decoder: CachedDecoder, ids: Ints, is_first: bool, known_ids: Ints | None) -> Ints:
        """(n,) tokens that follow ids (n, L): those of the prompt, otherwise drawn ones. RunError if the network gives no numbers."""
        unread = self._unread_ids(decoder, ids, is_first)
        if is_first and self.mixer is not None:
            self.state = self._read_prompt(self.mixer, ids, unread)
        logits = decoder.feed(unread)[:, : self.family.spec.vocab]
        if not np.isfinite(logits).all():  # compiled loops would read past their tables
            raise RunError(NOT_FINITE)
        is_direct = known_ids is None and self.cuts_only_min_p and isinstance(self.mixer, ContextHead)
        if self.keeps_weights or not is_direct:
            self.weights = self._mix(logits, ids)
        if known_ids is not None:
            return known_ids
        for limit in (self.passages, self.own_passages):
            if limit is not None:
                limit.read(ids)
        # While the text of the prompt is completed, there is hardly a choice
        uniform, programs = self._uniform(), self.programs if self.ending is None else None
        # Only context mixing uses the second number. Counts draw it, too, so that each seed keeps its samples
        second = uniform if self.mixer is None or self.is_unfiltered or not self.cuts_only_min_p else self._uniform()
        # Drawn in this way also where weights are asked for, so that the tokens are the same as without them
        if is_direct and isinstance(self.mixer, ContextHead):
            assert isinstance(self.state, ContextState)
            limits = DrawingLimits(self.allowed, self.passages, self.own_passages, programs)
            return draw_next(self.mixer, logits, self.state, (uniform, second), self.sampling.min_p, limits)
        weights = self._filtered(self.weights)
        allowed_weights = None if programs is None else only_allowed(self.weights, self.allowed)
        return drawn_tokens(weights, uniform, programs, allowed_weights)

    def _filtered(self, weights: Floats) -> Floats:
        """(n, V) weights from which the next tokens are drawn; rows need not sum to 1."""
        rows = np.arange(len(weights))
        if self.mixer is not None and isinstance(self.state, ContextState):
            weights = self.state.weights_if_accepted(weights)
        if self.own_passages is not None:
            weights = self.own_passages.lower(weights, rows)
        weights = only_allowed(weights, self.allowed)  # the cuts below count tokens
        if self.is_unfiltered:
            return weights
        return self._cut(weights) if self.passages is None else self.passages.cut_apart(weights, rows, self._cut)

    def _cut(self, weights: Floats) -> Floats:
        """(n, V) weights after temperature and cuts."""
        if self.cuts_only_min_p:
            return token_choice.above_min_p(weights, self.sampling.min_p)
        return filtered_weights(weights, self.sampling)

    def _mix(self, logits: Floats, ids: Ints) -> Floats:
        """(n, V) proportional to the probability under network and counts together."""
        if self.mixer is None:
            return softmax(logits)[0]
        return self.mixer.weights_after(ids, logits, self.state)

    def _read_prompt(self, mixer: TokenMixer, ids: Ints, unread: Ints) -> RowState:
        """State of the rows before the first new token. ids: (n, t); unread: (n, l) the last of them, after the labels."""
        family, num_labels = self.family, self.family.num_label_tokens
        labels = None if self.request.labels is None else self.request.labels.cpu().numpy()
        if labels is not None and (labels < 0).any():
            labels = None
        if (ids == ids[0]).all() and (unread == unread[0]).all():  # a prompt that all share is read once
            ids, unread, labels = ids[:1], unread[:1], None if labels is None else labels[:1]

        def network_of(rows: slice) -> Floats:
            inputs = torch.from_numpy(unread[rows, :-1]).to(family.net.token_embedding.device)
            logits = family.net(inputs)[:, num_labels:, : family.spec.vocab].flatten(0, 1)
            log_probs: Floats = logits.log_softmax(-1).cpu().numpy()
            return log_probs

        num_known = unread.shape[1] - num_labels
        state = mixer.read_prompt(ids, num_known, network_of, self.is_unfiltered, labels)
        if isinstance(mixer, ContextHead) and isinstance(state, ContextState) and self.matches_error_rates:
            state.accepted = mixer.accepted_errors
        return state if len(ids) == self.request.n else state.select(np.zeros(self.request.n, dtype=np.int64))

    def _unread_ids(self, decoder: CachedDecoder, ids: Ints, is_first: bool) -> Ints:
        """(n, l) the tokens that the decoder has not read yet, or the later half of a full window, to start again from."""
        family = self.family
        if not is_first and decoder.length < family.net.config.context_length:
            return ids[:, -1:]
        # The oldest keys cannot simply be dropped, since the network was not trained so.
        window = family.spec.length if is_first else max(1, family.spec.length // 2)
        unread = ids[:, -window:]
        decoder.reset()
        return unread if self.label_ids is None else np.concatenate((self.label_ids[:, None], unread), 1)


def keys_of_attempts(keys: Sequence[tuple[int, int]], attempts: Sequence[int]) -> list[tuple[int, ...]]:
    """The keys of samples, followed by the number of the attempt where that is not 0. attempts: of each sample, () for 0."""
    numbers = attempts or [0] * len(keys)
    return [(*key, attempt) if attempt else key for key, attempt in zip(keys, numbers, strict=True)]


def unigram_weights(mixer: TokenMixer | None, n: int, vocab_size: int) -> Floats:
    """(n, V) frequencies, from which the first token is sampled if there is no prompt, begin token or opening."""
    even: Floats = np.full(vocab_size, 1 / vocab_size, dtype=np.float32)
    return (even if mixer is None else mixer.unigram())[None].repeat(n, 0)


def prompt_ids(request: SampleRequest) -> Ints:
    """(n, L) ids that are given."""
    if request.condition is None:
        return np.zeros((request.n, 0), dtype=np.int64)
    ids = request.condition.x.cpu().long()
    return (ids.expand(request.n, -1) if ids.ndim == 1 else ids).numpy()


def filtered_weights(weights: Floats, sampling: TransformerSampling) -> Floats:
    """(n, V) weights after the temperature and all cuts."""
    s, probabilities = sampling, weights / weights.sum(1, keepdims=True)
    filtered: Floats = token_choice.filter_probabilities(
        torch.from_numpy(probabilities), s.temperature, s.top_k, s.top_p, s.min_p
    ).numpy()
    return filtered


def only_allowed(weights: Floats, allowed: Floats | None) -> Floats:
    """(n, V) weights of only the allowed tokens (n, V); equal ones where a network is so sure of other tokens that all of these have 0."""
    if allowed is None:
        return weights
    allowed_weights: Floats = weights * allowed
    is_empty = allowed_weights.sum(1, keepdims=True) < MIN_WEIGHT
    return np.where(is_empty, allowed, allowed_weights) if is_empty.any() else allowed_weights


def allowed_tokens(unsampled: Sequence[int], vocab_size: int, n: int) -> Floats | None:
    """(n, V) 0 for ids that are never sampled, also where a prompt has them: of those that never occur in the train part a model can
    only guess how they continue, and parts of characters would not decode. 1 for all others. None if all are allowed."""
    if not unsampled:
        return None
    allowed: Floats = (~np.isin(np.arange(vocab_size), unsampled)).astype(np.float32)  # (V,)
    return np.tile(allowed, (n, 1))
