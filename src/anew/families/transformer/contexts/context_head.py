"""Context mixing together with the network: many kinds of context, long matches and the document so far; the network is one more
input, weighed at each question of a token's path. If the mixture fails, `fixed_share` turns to the network alone or to the uniform
distribution.

Legend for shapes: B rows of a batch, L targets of a row, T targets that are read, n samples, V vocabulary, D questions of the
longest path.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from anew.core.arrays import Bools, Doubles, Floats, Int32s, Ints
from anew.estimators.context_mixing.compilation import compile_loops
from anew.families.transformer.contexts.context_state import FIRST_ROOM, MAX_DOCUMENT_TOKENS, ContextState
from anew.families.transformer.counts.fixed_share import PRIOR, SWITCH_RATE, log_of
from anew.families.transformer.counts.mixing import softmax
from anew.families.transformer.drawing.own_passage_limit import OwnPassageRows
from anew.families.transformer.drawing.passage_limit import PassageRows
from anew.families.transformer.drawing.sampler import MIN_WEIGHT, NetworkOf, RowState
from anew.families.transformer.fitted_buffers import FittedBuffers
from anew.families.transformer.sweep_sequences import Segment
from anew.functional import token_choice

if TYPE_CHECKING:
    from anew.estimators.context_mixing.mixer import ContextMixer

FLOAT_BUFFERS = (
    "curves",
    "hits",
    "by_node",
    "by_order",
    "by_last",
    "final",
    "corrections",
    "joint_by_order",
    "joint_by_trust",
    "joint_by_node",
    "joint_by_last",
)
# (G,) probability that each kind of error is accepted in drawing; older runs have none, or not those of kinds that are newer
ACCEPTANCE = "acceptance"
OTHER_BUFFERS = {"text": torch.int32, "spelling": torch.uint8, "spelling_starts": torch.int64}


class PathLogits(NamedTuple):
    """Logits of the network along the paths of targets.

    Attributes:
        logits: (B * L, D) log odds of the answer 1 to each question.
    """

    logits: Floats
    log_probs: Floats


class ContextHead(FittedBuffers):
    """The train part, and what was learned from it, as buffers.

    Args:
        spellings: Bytes of the V tokens; () if they will be restored.
        never_targets: Ids that never follow anything.
    """

    dtypes: Mapping[str, torch.dtype] = {**dict.fromkeys((*FLOAT_BUFFERS, ACCEPTANCE), torch.float32), **OTHER_BUFFERS}

    def __init__(self, spellings: Sequence[bytes], vocab_size: int, never_targets: Collection[int] = ()) -> None:
        super().__init__()
        self.spellings, self.vocab_size = tuple(spellings), vocab_size
        is_target = ~np.isin(np.arange(vocab_size), list(never_targets))
        self.uniform: Floats = (is_target / max(1, is_target.sum())).astype(np.float32)  # (V,)
        self._mixer: ContextMixer | None = None

    @property
    def is_fitted(self) -> bool:
        """Whether it was fitted to a text."""
        return "text" in self._buffers

    # -- what is fitted -------------------------------------------------------------------------------------------------

    def fit(self, sequences: Iterable[Ints], max_learned: int) -> None:
        """Read the train part, and learn from so many of its last tokens; see `ContextMixer.fit`."""
        from anew.estimators.context_mixing.mixer import ContextMixer

        compile_loops()  # all of them now, before the time for training is counted
        text = np.concatenate([*sequences, np.zeros(0, dtype=np.int64)]).astype(np.int32)
        mixer = ContextMixer.fit(self.spellings, text, max_learned)
        lengths = [len(spelling) for spelling in self.spellings]
        starts = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        letters = np.frombuffer(b"".join(self.spellings), np.uint8).copy()
        self.set_buffers({**mixer.arrays(), "spelling": letters, "spelling_starts": starts})
        self._mixer = mixer

    def check(self) -> None:
        if not self.is_fitted:
            return
        from anew.estimators.context_mixing.mixer import initial_joint, initial_parameters

        arrays = self.arrays()
        starts, text = arrays["spelling_starts"], self.get_buffer("text")
        fits = len(starts) == self.vocab_size + 1 and int(starts[0]) == 0 and int(starts[-1]) == len(arrays["spelling"])
        if not fits or bool((np.diff(starts) < 0).any()):
            raise ValueError("the spellings of the tokens are inconsistent")
        if bool((text < 0).any()) or bool((text >= self.vocab_size).any()):
            raise ValueError("the text that was read has other tokens")
        expected = {
            **initial_parameters(self.vocab_size)._asdict(),
            **_with_prefix(initial_joint(self.vocab_size)._asdict()),
        }
        for name, array in expected.items():
            if name not in arrays or arrays[name].shape != array.shape:
                raise ValueError(f"the weights {name} are missing or have another shape")
        if ACCEPTANCE in self._buffers:
            _all_rates(self.get_buffer(ACCEPTANCE).cpu().numpy())

    def clear_cache(self) -> None:
        self._mixer = None

    @property
    def mixer(self) -> ContextMixer:
        if self._mixer is None:
            from anew.estimators.context_mixing.mixer import ContextMixer

            arrays = self.arrays()
            letters, starts = arrays.pop("spelling").tobytes(), arrays.pop("spelling_starts").tolist()
            spellings = [letters[first:stop] for first, stop in pairwise(starts)]
            self._mixer = ContextMixer.restore(spellings, arrays)
        return self._mixer

    def fit_joint(self, ids: Int32s, contexts: Floats, network: Floats, orders: Ints) -> None:
        """Learn the weights of contexts and network from held-out text; see `ContextMixer.fit_joint`."""
        mixer = self.mixer
        mixer.fit_joint(ids, contexts, network, orders)
        self.set_buffers(_with_prefix(mixer.joint._asdict()))
        self._mixer = mixer  # it is up to date

    def count_errors(self, opening: int, ids: Int32s) -> Ints:
        """(G,) errors of each kind in a document (T,) that is whole from its beginning: later, brackets close that were opened before.

        opening: The token before it."""
        document = self.mixer.document(len(ids) + 1)
        self.mixer.recall(document, np.array([opening], dtype=np.int32))
        return self.mixer.count_errors(document, ids)

    def accept_errors(self, rates: Floats) -> None:
        """Keep the probabilities (G,) that errors are accepted from now on."""
        mixer = self.mixer
        self.set_buffers({ACCEPTANCE: rates})
        self._mixer = mixer  # it is up to date

    @property
    def accepted_errors(self) -> Floats | None:
        """(G,) probability that each kind of error is accepted; None if all are."""
        if ACCEPTANCE not in self._buffers:
            return None
        accepted = _all_rates(self.get_buffer(ACCEPTANCE).cpu().numpy())
        return accepted if bool((accepted < 1).any()) else None

    # -- many targets at once -------------------------------------------------------------------------------------------

    def path_logits(self, probabilities: Floats, targets: Ints) -> Floats:
        """(T, D) log odds of the network. probabilities: (T, V), targets: (T,)."""
        return self.mixer.network_logits(probabilities, targets)

    def read(self, ids: Int32s, segments: Sequence[Segment]) -> tuple[Floats, Ints]:
        """Read the targets of a batch (B * L,), document by document, in the order of the segments.

        Returns:
            (T, D) log odds of each question, and (T,) the longest orders that were seen before.
        """
        parts = [self._read_segment(ids[segment.places], segment.opening) for segment in segments]
        logits, orders = zip(*parts, strict=True)
        return np.concatenate(logits), np.concatenate(orders)

    def _read_segment(self, ids: Int32s, opening: int) -> tuple[Floats, Ints]:
        mixer = self.mixer
        parts = []
        for first in range(0, len(ids), MAX_DOCUMENT_TOKENS):
            piece = ids[first : first + MAX_DOCUMENT_TOKENS]
            document = mixer.document(len(piece) + 1)
            mixer.recall(document, np.array([ids[first - 1] if first else opening], dtype=np.int32))
            parts.append(mixer.read(document, piece))
        logits, orders = zip(*parts, strict=True)
        return np.concatenate(logits), np.concatenate(orders)

    def joint_log_probs(self, ids: Int32s, network: PathLogits, segments: Sequence[Segment]) -> Doubles:
        """(B * L,) log-probabilities of targets with their floor; 0 for those that are not read."""
        from anew.estimators.context_mixing.reading import share_weight

        joint = np.zeros(len(ids))
        prior = np.array(PRIOR)
        for segment in segments:
            places = segment.places
            contexts, orders = self._read_segment(ids[places], segment.opening)
            experts = np.empty((len(places), len(PRIOR)))
            experts[:, 0] = self.mixer.log_probs(
                ids[places], contexts, network.logits[places], orders, self.mixer.document_joint(), segment.opening
            )
            experts[:, 1] = network.log_probs[places]
            experts[:, 2] = log_of(self.uniform)[ids[places]]
            shared = np.empty(len(places))
            share_weight(experts, prior.copy(), prior, SWITCH_RATE, shared)
            joint[places] = shared
        return joint

    # -- one step -------------------------------------------------------------------------------------------------------

    def unigram(self) -> Floats:
        """(V,) frequency of each token."""
        return self.mixer.unigram

    def weights_after(self, ids: Ints, logits: Floats, state: RowState) -> Floats:
        """(n, V) joint probabilities of the next token in each row; the state observes the token afterwards.

        Args:
            ids: (n, t) ids so far, which the state has read.
            logits: (n, V) logits of the network.
        """
        assert isinstance(state, ContextState)
        network = softmax(logits)[0]
        mixed = self.mixer.step(state.rows, state.joint, network)
        experts = [mixed, network, self.uniform]
        state.propose(experts)
        return state.share.mix(experts)

    def draw(
        self,
        ids: Ints,
        logits: Floats,
        state: RowState,
        uniform: Floats,
        allowed: Floats | None = None,
        own_passages: OwnPassageRows | None = None,
    ) -> Ints:
        """Tokens (n,) from the distribution of `weights_after`, far quicker. Errors are refused as often as the state says.

        The state must observe them afterwards.

        Args:
            ids, logits: See `weights_after`.
            uniform: (n,) numbers in [0, 1) that decide.
            allowed: (n, V) 0 for tokens that are not drawn, else 1; None allows all.
            own_passages: Passages of themselves that the samples follow, to go on with them as often as data does; None: no limit.
        """
        from anew.estimators.context_mixing.mixer import DOCUMENT_RATE

        assert isinstance(state, ContextState)
        network = allowed_softmax(logits, allowed)
        tokens, chances, refused = self._draw(network, state, uniform, allowed, own_passages, rate=DOCUMENT_RATE)
        rows = np.flatnonzero(refused >= 0.0)
        if len(rows):
            mixed, weights = weights_from(self, network, state, rows, np.zeros_like(uniform), allowed)
            tokens[rows] = token_choice.sample_tokens(without(weights, tokens[rows]), refused[rows].astype(np.float32))
            chances[rows] = expert_chances((mixed, network[rows], self.uniform), tokens[rows])
            self.mixer.draw(state.rows, state.joint, network, uniform, tokens.copy(), is_wanted=refused >= 0.0)
        state.propose_drawn(chances)
        return tokens

    def draw_min_p(
        self,
        ids: Ints,
        logits: Floats,
        state: RowState,
        uniforms: tuple[Floats, Floats],
        min_p: float,
        allowed: Floats | None = None,
        passages: PassageRows | None = None,
        own_passages: OwnPassageRows | None = None,
    ) -> Ints:
        """Tokens (n,) as from `draw`, but only those with at least min_p of the top probability (arXiv 2407.01082).

        Probabilities are compared after those of errors are lowered. A token of min_p or more is one of them, whatever the top
        probability is; only for others the whole distribution is computed. One that is too improbable is drawn again from the
        rest, so that the others keep their ratios.

        Args:
            ids, logits, state, allowed, own_passages: See `draw`.
            uniforms: Two of (n,) numbers in [0, 1): for a token, and for the one in its place.
            min_p: Share of the top probability, in (0, 1].
            passages: Those of the training text that the samples follow, to limit how often they go on; None: no limit.
        """
        assert isinstance(state, ContextState)
        network = allowed_softmax(logits, allowed)
        is_wanted = None if passages is None else ~passages.has_several_continuations
        tokens, chances, refused = self._draw(network, state, uniforms[0], allowed, own_passages, is_wanted=is_wanted)
        probabilities, is_refused = (state.share.weights * chances).sum(1), refused >= 0.0  # (n,), (n,)
        if state.accepted is not None:
            probabilities *= self.mixer.acceptance_of(state.rows, tokens, state.accepted)
        is_open, has_left, second = probabilities < min_p, np.zeros(len(tokens), dtype=np.bool_), uniforms[1]
        # Those that leave a passage are compared with each other alone: down to min_p of a best one that has itself min_p
        exact_from = np.full(len(tokens), min_p, dtype=np.float32)
        if passages is not None:
            stays, has_left, second = passages.accept(np.where(is_refused, -1, tokens), probabilities, second)
            is_open = np.where(passages.is_following, ~stays, is_open)
            exact_from[passages.is_following] *= min_p
        # It is not decided yet whether a refused token leaves a passage of the training text
        is_open, has_left, second = is_open | is_refused, has_left & ~is_refused, np.where(is_refused, refused, second)
        rows = np.flatnonzero(is_open)
        if len(rows):
            mixed, weights = weights_from(self, network, state, rows, exact_from, allowed)
            weights = weights if own_passages is None else own_passages.lower_weights(weights, rows)
            weights[is_refused[rows]] = without(weights[is_refused[rows]], tokens[is_refused])
            cut = partial(token_choice.above_min_p, min_p=min_p)
            candidates = cut(weights) if passages is None else passages.limited(weights, rows, cut, has_left[rows])
            again = token_choice.sample_tokens(candidates, second[rows].astype(np.float32))  # (k,)
            follows = np.zeros(len(rows), dtype=np.bool_) if passages is None else passages.is_following[rows]
            is_kept = ~follows & ~is_refused[rows] & (candidates[np.arange(len(rows)), tokens[rows]] > 0.0)
            tokens[rows] = np.where(is_kept, tokens[rows], again)
            chances[rows] = expert_chances((mixed, network[rows], self.uniform), tokens[rows])
        state.propose_drawn(chances)
        return tokens

    def _draw(
        self,
        network: Floats,
        state: ContextState,
        uniform: Floats,
        allowed: Floats | None,
        own_passages: OwnPassageRows | None,
        rate: float = 0.0,
        is_wanted: Bools | None = None,
    ) -> tuple[Ints, Doubles, Doubles]:
        """Draw one of the experts by its weight, then a token from it; see `draw`.

        Args:
            network: (n, V) probabilities of the network.
            state, uniform, allowed, own_passages: See `draw`.
            rate: Learning rate of the weights of contexts and network.
            is_wanted: (n,) False for samples whose token is not needed; None: all are.

        Returns:
            (n,) tokens, (n, E) the probabilities that the experts gave them, and (n,) numbers in [0, 1) by which another token than
            these must be drawn, where they go on with passages of the sample itself; -1 elsewhere.
        """
        edges = np.cumsum(state.share.weights, 1)  # (n, E)
        edges /= edges[:, -1:]
        expert = (uniform[:, None] >= edges).sum(1)  # (n,)
        low = np.where(expert > 0, np.take_along_axis(edges, np.maximum(expert - 1, 0)[:, None], 1)[:, 0], 0.0)
        width = np.take_along_axis(edges, expert[:, None], 1)[:, 0] - low
        # Uniform again, given the expert
        rescaled = np.clip((uniform - low) / width, 0.0, 1.0 - 2.0**-24).astype(np.float32)
        by_network = token_choice.sample_tokens(network, rescaled)
        even = self.uniform[None].repeat(len(rescaled), 0)
        by_chance = token_choice.sample_tokens(even if allowed is None else even * allowed, rescaled)
        rows = np.arange(len(expert))
        tokens: Ints = np.stack((np.full(len(rows), -1), by_network, by_chance))[expert, rows]
        lowered = None if own_passages is None else own_passages.lowered(state.share.weights, network, self.uniform)
        refused = np.full(len(rows), -1.0)
        step = (rate, is_wanted, state.accepted, state.tallies, lowered, refused)
        chances = self.mixer.draw(state.rows, state.joint, network, rescaled, tokens, *step)
        if allowed is not None:
            # Contexts leave a little to tokens that the network rules out: once in some 100,000 tokens.
            is_ruled_out = allowed[rows, tokens] == 0
            tokens[is_ruled_out] = network[is_ruled_out].argmax(1)
            chances[is_ruled_out] = network[is_ruled_out, tokens[is_ruled_out]]
            refused[is_ruled_out] = -1.0
        return tokens, np.stack((chances, network[rows, tokens], self.uniform[tokens]), 1), refused

    def read_prompt(
        self,
        ids: Ints,
        num_known: int,
        network_of: NetworkOf,
        adapts: bool = True,
        labels: Ints | None = None,
    ) -> ContextState:
        """State after reading prompts, before the first new token.

        Args:
            ids: (n, t) ids of the prompts.
            num_known: Number of the last tokens that the network sees.
            network_of: Its log-probabilities (rows * (num_known - 1), V) of all of these but the first, for some rows.
            adapts: See `ContextState`.
            labels: Classes, which running text does not have.
        """
        room = max(FIRST_ROOM, min(2 * ids.shape[1], MAX_DOCUMENT_TOKENS))
        state = ContextState(self.mixer, len(ids), room, adapts, self.accepted_errors)
        ids = ids[:, -MAX_DOCUMENT_TOKENS // 2 :]
        for row in range(len(ids)):
            self._read_prompt_row(ids[row].astype(np.int32), num_known, network_of, state, row)
        state.share.restore_uniform()
        state.mark_counted()
        return state

    def _read_prompt_row(
        self, ids: Int32s, num_known: int, network_of: Callable[[slice], Floats], state: ContextState, row: int
    ) -> None:
        from anew.estimators.context_mixing.reading import row_of, share_weight

        document = row_of(state.rows, row)
        num_known = min(num_known, len(ids))
        self.mixer.recall(document, ids[: len(ids) - num_known + 1])
        targets = ids[len(ids) - num_known + 1 :]
        if not len(targets):
            return
        contexts, orders = self.mixer.read(document, targets)
        log_probs = network_of(slice(row, row + 1))[-len(targets) :]
        network = self.path_logits(np.exp(log_probs), targets.astype(np.int64))
        experts = np.empty((len(targets), len(PRIOR)))
        joint = type(state.joint)._make(weights[row] for weights in state.joint)  # not a copy, so that they learn
        opening = int(ids[len(ids) - num_known])
        experts[:, 0] = self.mixer.log_probs(targets, contexts, network, orders, joint, opening)
        experts[:, 1] = log_probs[np.arange(len(targets)), targets]
        experts[:, 2] = log_of(self.uniform)[targets]
        share_weight(experts, state.share.weights[row], np.array(PRIOR), SWITCH_RATE, np.empty(len(targets)))


def weights_from(
    head: ContextHead, network: Floats, state: ContextState, rows: Ints, exact_from: Floats, allowed: Floats | None
) -> tuple[Floats, Floats]:
    """Distributions (k, V) of contexts and network together, and the weights (k, V) of the next tokens, those of errors lowered.

    Args:
        network, state, allowed: See `ContextHead.draw`.
        rows: (k,) the samples.
        exact_from: (n,) shares of the top weight below which weights need not be exact.
    """
    is_wanted = np.isin(np.arange(len(network)), rows)

    def exact(least: Floats) -> tuple[Floats, Floats]:
        mixed = head.mixer.step(state.rows, state.joint, network, is_wanted, least)[rows]
        weights = state.share.select(rows).mix([mixed, network[rows], head.uniform])  # (k, V)
        return mixed, weights if allowed is None else weights * allowed[rows]

    mixed, weights = exact(exact_from)
    if state.accepted is None:
        return mixed, weights
    accepted = head.mixer.weights_if_accepted(state.rows, rows, weights, state.accepted, exact_from[rows])
    # Where the top token is an error, the next one is the measure, and more tokens have their share of it
    lowering = np.ones(len(network), dtype=np.float32)
    lowering[rows] = accepted.max(1) / weights.max(1)
    if lowering.min() > 0.999:
        return mixed, accepted
    mixed, weights = exact(exact_from * lowering)
    return mixed, head.mixer.weights_if_accepted(state.rows, rows, weights, state.accepted, exact_from[rows])


def expert_chances(experts: tuple[Floats, Floats, Floats], tokens: Ints) -> Doubles:
    """(k, E) probabilities that experts gave tokens (k,). experts: (k, V) of both together and of the network, and (V,) uniform."""
    mixed, network, uniform = experts
    k = np.arange(len(tokens))
    return np.stack((mixed[k, tokens], network[k, tokens], uniform[tokens]), 1).astype(np.float64)


def without(weights: Floats, tokens: Ints) -> Floats:
    """Weights (k, V) of all tokens but one (k,) each; that one keeps what makes a sum, if it has all the weight."""
    others, k = weights.copy(), np.arange(len(tokens))
    others[k, tokens] = 0.0
    is_only = others.sum(1) < MIN_WEIGHT
    others[is_only] = weights[is_only]
    return others


def allowed_softmax(logits: Floats, allowed: Floats | None) -> Floats:
    """(n, V) probabilities, 0 for tokens that are not allowed. allowed: (n, V) 0 or 1; None allows all."""
    return softmax(logits if allowed is None else np.where(allowed > 0, logits, -np.inf))[0]


def _all_rates(rates: Floats) -> Floats:
    """(G,) those of a run; one of an earlier version accepts all errors of the kinds that it did not know. Raises ValueError."""
    from anew.estimators.context_mixing.error_rates import NUM_ERRORS  # not above: it loads Numba

    if rates.ndim != 1 or len(rates) > NUM_ERRORS or not bool(((rates >= 0) & (rates <= 1)).all()):
        raise ValueError("the probabilities that errors are accepted are inconsistent")
    return np.pad(rates, (0, NUM_ERRORS - len(rates)), constant_values=1.0)


def _with_prefix(arrays: Mapping[str, Floats]) -> dict[str, Floats]:
    return {f"joint_{name}": array for name, array in arrays.items()}
