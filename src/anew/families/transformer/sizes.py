"""Which network suits a data set and a budget, and how much of the data is counted besides."""

from __future__ import annotations

from collections.abc import Mapping

from anew.core.specs import Tokens
from anew.families._sizes import at_size
from anew.families.base import Scale
from anew.families.transformer.config import TransformerConfig

# Tokens a step at the smallest model size, 8 windows of 128: on proteins, batches of 8 and 16 were within 0.03 bits of each other
# (docs/log.md, 2026-11-25).
TOKENS_PER_STEP = 1024
# Factor of the tokens a step, by model size: a larger network is trained for longer, where larger batches pay; chosen.
STEP_GROWTH = (1, 2, 2, 4, 4, 4, 4, 8, 16)
GRID_STEP_GROWTH = (2, 2, 2, 4, 4, 4, 4, 8, 16)  # the same for codes on a grid, whose records are short; chosen
# Factor of the tokens a step on a GPU, where small steps leave it idle and take as long as larger ones; chosen, no GPU was measured.
CUDA_STEP_GROWTH = 8
LARGE_SIZES = ((12, 768), (16, 1024), (24, 1280), (28, 1792))  # up to a billion weights, for GPUs
SIZES = ((2, 128), (4, 128), (4, 192), (6, 256), (6, 384), (8, 512), *LARGE_SIZES)  # layers, width by model size
GRID_SIZES = ((3, 96), (4, 128), (4, 192), (6, 256), (6, 384), (8, 512), *LARGE_SIZES)  # for tokens on a grid
CPU_SIZES = 7  # the first so many are worth measuring on a CPU: the next has 85 million weights; chosen
MAX_COUNTED_TOKENS = 2_000_000  # bounds the memory of counting (under 1 GB) and the size of a run
# Tokens for each second of training: takes about a tenth of it, and with aligned records a fifth. Up to 2,000,000 tokens whatever
# the time, proteins took 5 s of a core, which busy cores made 25 s of a budget of 45 s (docs/log.md, 2026-11-29).
COUNTED_A_SECOND, LEARNED_A_SECOND = 60_000, 4_000
# Seconds of a core for each token that is counted: contexts of a text of 1,700,000 tokens took 13 to 14 s, n-grams of 2,000,000 symbols of
# proteins 5.3 s (docs/log.md, 2026-11-29 and 2026-12-03)
CONTEXT_SECONDS, NGRAM_SECONDS = 8e-6, 2.7e-6
# Largest vocabulary that is counted: counts for larger ones are too sparse, and too large; sub-words are worse counters from 512 on
# (docs/log.md, 2026-11-25).
MAX_NGRAM_VOCAB = 8192
# Largest vocabulary for context mixing, which keeps a number for every pair of tokens: 19 million numbers. Counts hold the room of a
# context in 15 bits, which suffice for it.
MAX_CONTEXT_VOCAB = 4400
WITHOUT_CONTEXTS = (
    "without context mixing, which predicts text better: its loops could not be compiled in the time that can be spared, "
    "so they are compiled beside the training"
)
SMALL_VOCAB = 300  # letters rather than words: longer contexts are counted, and known records may be aligned
# Least tokens for each weight. With fewer, a smaller network learns more in the time: 4 x 128 beat 4 x 192 on proteins and molecules
# (docs/log.md, 2026-11-25).
TOKENS_PER_WEIGHT = 1.5
USUAL_EPOCHS = 6.0  # assumed without a budget: dropout helps from 4 to 6 on (docs/log.md, 2026-11-25)
# Passes over the data: weights are averaged from FEW on; they decay, and dropout is 0.1, from MANY on, 0.2 from VERY_MANY on. Below 4 to
# 6 dropout costs (docs/log.md, 2026-11-25); where it begins beyond that is chosen, as the others are.
FEW_EPOCHS, MANY_EPOCHS, VERY_MANY_EPOCHS = 2, 10, 20
# Weights x tokens a second of an ordinary machine, to estimate the epochs, on which dropout depends; sizes are timed
# instead.
CUDA_SPEED = 3e11
CPU_SPEED = 2e10  # the same for one thread of a core with bf16 products


def suggest_config(spec: Tokens, scale: Scale) -> TransformerConfig:
    """Few epochs need no regularisation; many need dropout, weight decay and a wide average of weights, so that more training does no harm
    (the two regimes of the many-epoch records, and what won on one megabyte of English)."""
    on_grid = bool(spec.shape)
    layers, width = at_size(GRID_SIZES if on_grid else SIZES, scale.model_size)
    mlp_size = round(width / 12) * 32
    growth = at_size(GRID_STEP_GROWTH if on_grid else STEP_GROWTH, scale.model_size)
    growth *= CUDA_STEP_GROWTH if scale.device.startswith("cuda") else 1
    weights = _block_weights(layers, width, mlp_size) + spec.vocab * width
    epochs = _expected_epochs(spec, scale, weights)
    is_small_vocab = spec.vocab <= SMALL_VOCAB
    examples = round(TOKENS_PER_STEP * growth / spec.length)
    contexts = _can_mix_contexts(spec) and scale.loops_ready
    return TransformerConfig(
        batch_size=max(4, min(examples, max(4, scale.items // 8))),
        layers=layers,
        width=width,
        heads=max(1, width // (64 if spec.packed else 32)),  # whole records gain from more heads, excerpts hardly
        mlp_size=mlp_size,
        dropout=_suggest_dropout(epochs),
        weight_decay=0.0 if epochs < MANY_EPOCHS else 0.2,
        ema_width=0.0 if epochs < FEW_EPOCHS else 0.05,
        # Counted contexts are the tokens that came last, not the neighbours on a grid.
        ngrams=spec.vocab <= MAX_NGRAM_VOCAB and not on_grid and not contexts,
        contexts=contexts,
        context_tokens=_within_budget(scale, COUNTED_A_SECOND),
        context_learned=_within_budget(scale, LEARNED_A_SECOND),
        aligned=is_small_vocab and not spec.packed and not on_grid,
        ngram_order=_suggest_ngram_order(scale.units, is_small_vocab),
    )


def implied_counts(overrides: Mapping[str, object]) -> dict[str, object]:
    """Which counts are off since the user turned others on, which they exclude, or n-grams off, which they need."""
    if overrides.get("contexts"):
        return {"ngrams": False, "aligned": False}
    if "ngrams" not in overrides:
        return {}
    return {"contexts": False} if overrides["ngrams"] else {"aligned": False}


def enough_examples(spec: Tokens, config: TransformerConfig, scale: Scale) -> float:
    """About one and a half tokens for each weight of the blocks. (The spec's length is that of the longest record; most are shorter.)"""
    weights = _block_weights(config.layers, config.width, config.mlp_size)
    mean_length = float(spec.length)
    if not spec.packed and not spec.shape:
        mean_length = scale.units / max(1, scale.items) + 1.0
    return TOKENS_PER_WEIGHT * weights / min(float(spec.length), max(1.0, mean_length))


def _block_weights(layers: int, width: int, mlp_size: int) -> int:
    """Weights of all blocks: four square matrices of attention and three of the gated MLP each."""
    return layers * (4 * width**2 + 3 * width * mlp_size)


def _expected_epochs(spec: Tokens, scale: Scale, weights: int) -> float:
    """Number of times that the budget would see each example, at the speed of an ordinary machine."""
    if scale.seconds is None:
        return USUAL_EPOCHS
    # Threads share the memory, so that speed grows more slowly than their number.
    speed = CUDA_SPEED if scale.device.startswith("cuda") else CPU_SPEED * scale.threads**0.8
    return scale.seconds * speed / weights / max(1.0, float(scale.items) * spec.length)


def _can_mix_contexts(spec: Tokens) -> bool:
    return spec.packed and not spec.shape and bool(spec.spellings) and spec.vocab <= MAX_CONTEXT_VOCAB


def notes_on_counts(spec: Tokens, scale: Scale, config: TransformerConfig) -> tuple[str, ...]:
    """Sentences on tokens that are not counted, and on context mixing that is left out, for want of time."""
    tokens = min(scale.items * spec.length, scale.units + scale.items)
    is_counted = config.ngrams or config.contexts
    notes: tuple[str, ...] = ()
    if is_counted and config.context_tokens < min(MAX_COUNTED_TOKENS, tokens):
        notes = (f"in this time {config.context_tokens:,} training tokens are counted; a longer budget counts more",)
    without_contexts = not scale.loops_ready and not config.contexts and _can_mix_contexts(spec)
    return (*notes, WITHOUT_CONTEXTS) if without_contexts else notes


def _within_budget(scale: Scale, tokens_a_second: float) -> int:
    """Tokens that counting or learning may take in this time."""
    if scale.seconds is None:
        return MAX_COUNTED_TOKENS
    return min(MAX_COUNTED_TOKENS, round(tokens_a_second * scale.seconds / scale.slowdown))


def fitting_seconds(spec: Tokens, config: TransformerConfig, scale: Scale) -> float:
    """About how many seconds of an idle core counting takes, and learning from what was counted last."""
    if not (config.contexts or config.ngrams):
        return 0.0
    tokens = min(scale.items * spec.length, scale.units + scale.items, config.context_tokens)
    if config.contexts:
        learned = min(tokens, config.context_learned)
        return CONTEXT_SECONDS * (tokens + 2.0 * learned)  # learning takes three times as long as counting
    return NGRAM_SECONDS * tokens * (2.0 if config.aligned else 1.0)


def _suggest_ngram_order(units: float, is_small_vocab: bool) -> int:
    """Longest context that is counted: longer ones of letters than of words, and of much data."""
    if not is_small_vocab:
        return 4
    return 6 if units < 5e6 else 8


def _suggest_dropout(epochs: float) -> float:
    if epochs < MANY_EPOCHS:
        return 0.0
    return 0.1 if epochs < VERY_MANY_EPOCHS else 0.2
