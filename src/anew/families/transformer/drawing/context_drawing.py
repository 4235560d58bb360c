"""Draws tokens from context mixing and network together, far quicker than from the probabilities of all tokens, as only the questions on
the way to a token are asked. Errors (see `error_rates`) and passages, of which samples would have too many, are drawn less often.

Legend for shapes: n samples, k of them, t tokens so far, V vocabulary, E experts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from anew.core.arrays import Bools, Doubles, Floats, Ints
from anew.families.transformer.contexts.context_head import ContextHead
from anew.families.transformer.contexts.context_state import ContextState
from anew.families.transformer.counts.fixed_share import expert_chances
from anew.families.transformer.counts.mixing import softmax
from anew.families.transformer.drawing.own_passage_limit import OwnSurplusLimit
from anew.families.transformer.drawing.passage_limit import TextSurplusLimit
from anew.families.transformer.drawing.program_state import ProgramLimitState
from anew.functional import token_choice

# Where several tokens together weigh less, they are drawn by their own weights; chosen.
MIN_WEIGHT = np.float32(1e-30)
NO_TOKEN = -1


class DrawingLimits(NamedTuple):
    """The limits of samples in drawing their next tokens; None for no limit.

    Attributes:
        allowed: (n, V) 0 for tokens that are not drawn, else 1.
        passages: Limit on passages of the training text.
        own_passages: Limit on passages of the samples themselves.
        programs: Limit by the grammar.
    """

    allowed: Floats | None = None
    passages: TextSurplusLimit | None = None
    own_passages: OwnSurplusLimit | None = None
    programs: ProgramLimitState | None = None


NO_LIMITS = DrawingLimits()


class DrawnTokens(NamedTuple):
    """Tokens that were drawn once.

    Attributes:
        tokens: (n,) ids; -1 for samples whose token was not wanted.
        chances: (n, E) probabilities that the experts gave them.
        redraw_uniforms: (n,) where a token continues a passage of the sample itself and is refused, a number in [0, 1) by which
            another one must be drawn; -1 elsewhere.
    """

    tokens: Ints
    chances: Doubles
    redraw_uniforms: Doubles

    @property
    def is_refused(self) -> Bools:
        """(n,) whether another token must be drawn."""
        is_refused: Bools = self.redraw_uniforms >= 0.0
        return is_refused


class RedrawPlan(NamedTuple):
    """For which samples another token is drawn from the whole distribution, or their token is compared with it.

    Attributes:
        is_open: (n,) these samples.
        has_left: (n,) samples that have been chosen to leave their passage of the training text.
        uniforms: (n,) numbers in [0, 1) by which the other tokens are drawn.
        exact_above: (n,) shares of the top weight below which weights need not be exact.
    """

    is_open: Bools
    has_left: Bools
    uniforms: Floats | Doubles
    exact_above: Floats


class Candidates(NamedTuple):
    """What the next tokens of k samples may be, each (k, V).

    Attributes:
        mixed: Distributions of contexts and network together.
        weights: Weights of all tokens; those of errors, and of passages of the sample itself, are lowered.
        candidates: Weights after the cuts.
    """

    mixed: Floats
    weights: Floats
    candidates: Floats


def draw_next(
    head: ContextHead,
    logits: Floats,
    state: ContextState,
    uniforms: tuple[Floats, Floats],
    min_p: float = 0.0,
    limits: DrawingLimits = NO_LIMITS,
) -> Ints:
    """Next tokens (n,) from the distribution of `ContextHead.weights_after`, but only those with at least min_p of the top probability
    (arXiv 2407.01082). The state must observe them afterwards.

    Probabilities are compared after those of errors are lowered. A token of min_p or more is one of them, whatever the top probability
    is; only for others, and for samples that must have another token, the whole distribution is computed. One that is too improbable is
    drawn again from the rest, so that the others keep their ratios.

    Args:
        logits: (n, V) logits of the network.
        uniforms: Two of (n,) numbers in [0, 1): for a token, and for the one in its place.
        min_p: Share of the top probability; 0: all tokens are drawn.
    """
    allowed, programs = limits.allowed, limits.programs
    network = softmax(logits if allowed is None else np.where(allowed > 0, logits, -np.inf))[0]
    step = _Step(head, network, state, min_p, limits)
    drawn = step.draw_once(uniforms[0])
    tokens, chances = drawn.tokens, drawn.chances
    plan = step.plan_redraws(drawn, uniforms[1])
    rows = np.flatnonzero(plan.is_open)
    if len(rows):
        choice = step.candidates(rows, plan, excluded=np.where(drawn.is_refused, tokens, NO_TOKEN))
        tokens[rows] = step.kept_or_redrawn(rows, choice.candidates, drawn, plan)
        chances[rows] = expert_chances((choice.mixed, network[rows], head.uniform), tokens[rows])
        # The weights have learned from the others already
        if state.adapts:
            head.mixer.draw(state.rows, state.joint, network, uniforms[0], tokens.copy(), is_wanted=drawn.is_refused)
    if programs is not None and len(rows := programs.refused(tokens, uniforms[1])):
        exact = plan._replace(exact_above=np.zeros_like(plan.exact_above))
        choice = step.candidates(rows, exact, is_counted=False)
        tokens[rows] = programs.drawn_again(rows, choice.candidates, choice.weights, tokens[rows], uniforms[1][rows])
        chances[rows] = expert_chances((choice.mixed, network[rows], head.uniform), tokens[rows])
    state.propose_drawn(chances)
    return tokens


@dataclass(frozen=True, slots=True)
class _Step:
    """The next token of n samples: what it is drawn from.

    Attributes:
        network: (n, V) probabilities of the network.
        head, state, min_p, limits: See `draw_next`.
    """

    head: ContextHead
    network: Floats
    state: ContextState
    min_p: float
    limits: DrawingLimits

    def draw_once(self, uniform: Floats) -> DrawnTokens:
        """Draw one of the experts by its weight, then a token from it; none for samples that follow passages with several
        continuations. uniform: (n,) in [0, 1)."""
        from anew.estimators.context_mixing.mixer import DOCUMENT_RATE

        head, network, state = self.head, self.network, self.state
        allowed, passages, own_passages = self.limits.allowed, self.limits.passages, self.limits.own_passages
        expert, rescaled = _choose_expert(state.share.weights, uniform)
        by_network = token_choice.sample_tokens(network, rescaled)
        even = head.uniform[None].repeat(len(rescaled), 0)
        by_chance = token_choice.sample_tokens(even if allowed is None else even * allowed, rescaled)
        rows = np.arange(len(expert))
        tokens: Ints = np.stack((np.full(len(rows), NO_TOKEN), by_network, by_chance))[expert, rows]
        lowered = None
        if own_passages is not None:
            lowered = own_passages.lowered_tokens(state.share.weights, network, head.uniform)
        redraw_uniforms = np.full(len(rows), -1.0)
        chances = head.mixer.draw(
            state.rows,
            state.joint,
            network,
            rescaled,
            tokens,
            rate=DOCUMENT_RATE if state.adapts else 0.0,
            is_wanted=None if passages is None else ~passages.has_several_continuations,
            accepted=state.accepted,
            tallies=state.tallies,
            lowered=lowered,
            refused=redraw_uniforms,
        )
        if allowed is not None:
            # Contexts leave a little to tokens that the network rules out: once in some 100,000 tokens.
            is_ruled_out = allowed[rows, tokens] == 0
            tokens[is_ruled_out] = network[is_ruled_out].argmax(1)
            chances[is_ruled_out] = network[is_ruled_out, tokens[is_ruled_out]]
            redraw_uniforms[is_ruled_out] = -1.0
        chances_by_expert: Doubles = np.stack((chances, network[rows, tokens], head.uniform[tokens]), 1)
        return DrawnTokens(tokens, chances_by_expert, redraw_uniforms)

    def plan_redraws(self, drawn: DrawnTokens, uniform: Floats) -> RedrawPlan:
        """Decide which tokens do not simply stay. uniform: (n,) in [0, 1), which decide."""
        state, passages, num_samples = self.state, self.limits.passages, len(drawn.tokens)
        probabilities = (state.share.weights * drawn.chances).sum(1)  # (n,)
        if state.accepted is not None and self.min_p > 0.0:
            probabilities *= self.head.mixer.acceptance_of(state.rows, drawn.tokens, state.accepted)
        is_open, has_left = probabilities < self.min_p, np.zeros(num_samples, dtype=np.bool_)
        exact_above = np.full(num_samples, self.min_p, dtype=np.float32)
        if passages is not None:
            accepted = np.where(drawn.is_refused, NO_TOKEN, drawn.tokens)
            stays, has_left, uniform = passages.accept(accepted, probabilities, uniform)
            is_open = np.where(passages.is_following, ~stays, is_open)
            # Tokens that leave a passage are compared only with each other: down to min_p of the best one, which may itself have min_p
            exact_above[passages.is_following] *= self.min_p
        # It is not decided yet whether a refused token leaves a passage of the training text
        has_left = has_left & ~drawn.is_refused
        uniforms = np.where(drawn.is_refused, drawn.redraw_uniforms, uniform)
        return RedrawPlan(is_open | drawn.is_refused, has_left, uniforms, exact_above)

    def candidates(
        self, rows: Ints, plan: RedrawPlan, *, excluded: Ints | None = None, is_counted: bool = True
    ) -> Candidates:
        """What the next tokens of samples (k,) may be.

        Args:
            excluded: (n,) a token that each must not have; NO_TOKEN for none.
            is_counted: See `TextSurplusLimit.cut_apart`.
        """
        mixed, weights = self._weights(rows, plan.exact_above)
        passages, own_passages = self.limits.passages, self.limits.own_passages
        if own_passages is not None:
            weights = own_passages.lower(weights, rows)
        if excluded is not None:
            has_excluded = excluded[rows] != NO_TOKEN
            weights[has_excluded] = _without(weights[has_excluded], excluded[rows][has_excluded])
        cut = partial(token_choice.above_min_p, min_p=self.min_p)
        if passages is None:
            return Candidates(mixed, weights, cut(weights))
        candidates = passages.cut_apart(weights, rows, cut, plan.has_left[rows], is_counted=is_counted)
        return Candidates(mixed, weights, candidates)

    def kept_or_redrawn(self, rows: Ints, candidates: Floats, drawn: DrawnTokens, plan: RedrawPlan) -> Ints:
        """(k,) the tokens of samples (k,): the drawn one if it is a candidate after all, otherwise another candidate."""
        passages, tokens = self.limits.passages, drawn.tokens[rows]
        alternatives = token_choice.sample_tokens(candidates, plan.uniforms[rows].astype(np.float32))
        is_kept = ~drawn.is_refused[rows] & (candidates[np.arange(len(rows)), tokens] > 0.0)
        if passages is not None:
            is_kept &= ~passages.is_following[rows]
        return np.where(is_kept, tokens, alternatives)

    def _weights(self, rows: Ints, exact_above: Floats) -> tuple[Floats, Floats]:
        """Distributions (k, V) of contexts and network together, and the weights (k, V) of the next tokens, those of errors lowered.
        For the arguments see `candidates` and `RedrawPlan`."""
        head, network, state, allowed = self.head, self.network, self.state, self.limits.allowed
        is_wanted = np.isin(np.arange(len(network)), rows)

        def exact(least: Floats) -> tuple[Floats, Floats]:
            mixed = head.mixer.step(state.rows, state.joint, network, is_wanted, least)[rows]
            weights = state.share.select(rows).mix([mixed, network[rows], head.uniform])  # (k, V)
            return mixed, weights if allowed is None else weights * allowed[rows]

        mixed, weights = exact(exact_above)
        if state.accepted is None:
            return mixed, weights
        accepted = head.mixer.weights_if_accepted(state.rows, rows, weights, state.accepted, exact_above[rows])
        # Where the top token is an error, the next one is the measure, and more tokens have their share of it
        lowering = np.ones(len(network), dtype=np.float32)
        lowering[rows] = accepted.max(1) / weights.max(1)
        if lowering.min() > 0.999:
            return mixed, accepted
        mixed, weights = exact(exact_above * lowering)
        return mixed, head.mixer.weights_if_accepted(state.rows, rows, weights, state.accepted, exact_above[rows])


def _choose_expert(weights: Doubles, uniform: Floats) -> tuple[Ints, Floats]:
    """(n,) the expert that each sample's token is drawn from, by their weights (n, E), and numbers (n,) that are uniform in [0, 1)
    again, given the expert."""
    edges = np.cumsum(weights, 1)  # (n, E)
    edges /= edges[:, -1:]
    expert: Ints = (uniform[:, None] >= edges).sum(1)  # (n,)
    low = np.where(expert > 0, np.take_along_axis(edges, np.maximum(expert - 1, 0)[:, None], 1)[:, 0], 0.0)
    width = np.take_along_axis(edges, expert[:, None], 1)[:, 0] - low
    return expert, np.clip((uniform - low) / width, 0.0, 1.0 - 2.0**-24).astype(np.float32)


def _without(weights: Floats, tokens: Ints) -> Floats:
    """Weights (k, V) of all tokens but one (k,) each; that one keeps what makes a sum, if it has all the weight."""
    others, k = weights.copy(), np.arange(len(tokens))
    others[k, tokens] = 0.0
    is_only = others.sum(1) < MIN_WEIGHT
    others[is_only] = weights[is_only]
    return others
