"""Draws tokens from context mixing and network together, far quicker than from the probabilities of all tokens, as only the questions on
the way to a token are asked. Errors (see `error_rates`) and passages, of which samples would have too many, are drawn less often.

Legend for shapes: n samples, k of them, t tokens so far, V vocabulary, E experts.
"""

from __future__ import annotations

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
    allowed, passages, own_passages, programs = limits
    network = softmax(logits if allowed is None else np.where(allowed > 0, logits, -np.inf))[0]
    is_wanted = None if passages is None else ~passages.has_several_continuations
    tokens, chances, refused = _draw_once(
        head, network, state, uniforms[0], allowed=allowed, own_passages=own_passages, is_wanted=is_wanted
    )
    probabilities, is_refused = (state.share.weights * chances).sum(1), refused >= 0.0  # (n,), (n,)
    if state.accepted is not None and min_p > 0.0:
        probabilities *= head.mixer.acceptance_of(state.rows, tokens, state.accepted)
    is_open, has_left, second_uniform = probabilities < min_p, np.zeros(len(tokens), dtype=np.bool_), uniforms[1]
    # Tokens that leave a passage are compared only with each other: down to min_p of the best one, which may itself have min_p
    exact_above = np.full(len(tokens), min_p, dtype=np.float32)
    if passages is not None:
        drawn = np.where(is_refused, -1, tokens)
        stays, has_left, second_uniform = passages.accept(drawn, probabilities, second_uniform)
        is_open = np.where(passages.is_following, ~stays, is_open)
        exact_above[passages.is_following] *= min_p
    # It is not decided yet whether a refused token leaves a passage of the training text
    is_open, has_left = is_open | is_refused, has_left & ~is_refused
    second_uniform = np.where(is_refused, refused, second_uniform)
    rows = np.flatnonzero(is_open)
    if len(rows):
        mixed, weights = _weights_from(head, network, state, rows, exact_above, allowed)
        weights = weights if own_passages is None else own_passages.lower(weights, rows)
        weights[is_refused[rows]] = _without(weights[is_refused[rows]], tokens[is_refused])
        cut = partial(token_choice.above_min_p, min_p=min_p)
        candidates = cut(weights) if passages is None else passages.cut_apart(weights, rows, cut, has_left[rows])
        alternatives = token_choice.sample_tokens(candidates, second_uniform[rows].astype(np.float32))  # (k,)
        follows = np.zeros(len(rows), dtype=np.bool_) if passages is None else passages.is_following[rows]
        is_kept = ~follows & ~is_refused[rows] & (candidates[np.arange(len(rows)), tokens[rows]] > 0.0)
        tokens[rows] = np.where(is_kept, tokens[rows], alternatives)
        chances[rows] = expert_chances((mixed, network[rows], head.uniform), tokens[rows])
        if state.adapts:  # from the others the weights have learned
            head.mixer.draw(state.rows, state.joint, network, uniforms[0], tokens.copy(), is_wanted=is_refused)
    if programs is not None and len(rows := programs.refused(tokens, uniforms[1])):
        mixed, weights = _weights_from(head, network, state, rows, np.zeros_like(exact_above), allowed)
        weights = weights if own_passages is None else own_passages.lower(weights, rows)
        cut = partial(token_choice.above_min_p, min_p=min_p)
        candidates = cut(weights) if passages is None else passages.cut_apart(weights, rows, cut, has_left[rows])
        tokens[rows] = programs.drawn_again(rows, candidates, weights, tokens[rows], uniforms[1][rows])
        chances[rows] = expert_chances((mixed, network[rows], head.uniform), tokens[rows])
    state.propose_drawn(chances)
    return tokens


def _draw_once(
    head: ContextHead,
    network: Floats,
    state: ContextState,
    uniform: Floats,
    *,
    allowed: Floats | None,
    own_passages: OwnSurplusLimit | None,
    is_wanted: Bools | None,
) -> tuple[Ints, Doubles, Doubles]:
    """Draw one of the experts by its weight, then a token from it.

    Args:
        network: (n, V) probabilities of the network.
        is_wanted: (n,) False for samples whose token is not needed; None: all are.

    Returns:
        (n,) tokens, (n, E) the probabilities that the experts gave them, and (n,) numbers in [0, 1) by which another token than
        these must be drawn, where they continue passages of the sample itself; -1 elsewhere.
    """
    from anew.estimators.context_mixing.mixer import DOCUMENT_RATE

    edges = np.cumsum(state.share.weights, 1)  # (n, E)
    edges /= edges[:, -1:]
    expert = (uniform[:, None] >= edges).sum(1)  # (n,)
    low = np.where(expert > 0, np.take_along_axis(edges, np.maximum(expert - 1, 0)[:, None], 1)[:, 0], 0.0)
    width = np.take_along_axis(edges, expert[:, None], 1)[:, 0] - low
    # Uniform again, given the expert
    rescaled = np.clip((uniform - low) / width, 0.0, 1.0 - 2.0**-24).astype(np.float32)
    by_network = token_choice.sample_tokens(network, rescaled)
    even = head.uniform[None].repeat(len(rescaled), 0)
    by_chance = token_choice.sample_tokens(even if allowed is None else even * allowed, rescaled)
    rows = np.arange(len(expert))
    tokens: Ints = np.stack((np.full(len(rows), -1), by_network, by_chance))[expert, rows]
    lowered = None if own_passages is None else own_passages.lowered_tokens(state.share.weights, network, head.uniform)
    refused = np.full(len(rows), -1.0)
    chances = head.mixer.draw(
        state.rows,
        state.joint,
        network,
        rescaled,
        tokens,
        rate=DOCUMENT_RATE if state.adapts else 0.0,
        is_wanted=is_wanted,
        accepted=state.accepted,
        tallies=state.tallies,
        lowered=lowered,
        refused=refused,
    )
    if allowed is not None:
        # Contexts leave a little to tokens that the network rules out: once in some 100,000 tokens.
        is_ruled_out = allowed[rows, tokens] == 0
        tokens[is_ruled_out] = network[is_ruled_out].argmax(1)
        chances[is_ruled_out] = network[is_ruled_out, tokens[is_ruled_out]]
        refused[is_ruled_out] = -1.0
    return tokens, np.stack((chances, network[rows, tokens], head.uniform[tokens]), 1), refused


def _weights_from(
    head: ContextHead, network: Floats, state: ContextState, rows: Ints, exact_above: Floats, allowed: Floats | None
) -> tuple[Floats, Floats]:
    """Distributions (k, V) of contexts and network together, and the weights (k, V) of the next tokens, those of errors lowered.

    Args:
        network, state, allowed: See `draw_next` and `DrawingLimits`.
        rows: (k,) the samples.
        exact_above: (n,) shares of the top weight below which weights need not be exact.
    """
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


def _without(weights: Floats, tokens: Ints) -> Floats:
    """Weights (k, V) of all tokens but one (k,) each; that one keeps what makes a sum, if it has all the weight."""
    others, k = weights.copy(), np.arange(len(tokens))
    others[k, tokens] = 0.0
    is_only = others.sum(1) < MIN_WEIGHT
    others[is_only] = weights[is_only]
    return others
