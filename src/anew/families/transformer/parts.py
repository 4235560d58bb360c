"""The parts of a Transformer: the network, and what is fitted to the data in closed form.

Legend for shapes: n samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from anew.core.specs import Tokens
from anew.errors import ConfigError
from anew.families.base import Family
from anew.families.transformer.config import TransformerConfig
from anew.families.transformer.contexts.context_head import ContextHead
from anew.families.transformer.counts.ngram_mixer import NgramMixer
from anew.families.transformer.drawing.known_records import KnownRecords
from anew.families.transformer.drawing.own_passage_limit import OwnPassageLimit
from anew.families.transformer.drawing.passage_limit import PassageLimit
from anew.families.transformer.drawing.program_limit import ProgramLimit
from anew.families.transformer.drawing.record_acceptance import RecordAcceptance
from anew.families.transformer.drawing.record_syntax import RecordSyntax
from anew.families.transformer.drawing.row_limit import RowLimit
from anew.families.transformer.fitted_buffers import FittedBuffers, shapes_below
from anew.families.transformer.sizes import MAX_CONTEXT_VOCAB
from anew.families.transformer.token_mixer import TokenMixer
from anew.nets.decoder import Decoder, DecoderConfig


class TransformerParts(Family[Tokens, TransformerConfig]):
    """The parts of a Transformer. The fitted parts have no effect before.

    Attributes:
        net: The network.
        mixer: N-gram counts, which are mixed with the network where `ngrams` is set.
        contexts: Context mixing, in their place where `contexts` is set.
        passages: How often samples of running text may continue passages of the training text.
        own_passages: How often samples may continue passages of themselves.
        known: Records of the training part, which samples must not be.
        programs: How often tokens follow each other in code, strings and comments, where samples are programs of a known grammar.
        rows: Fields of rows, and the values that samples have there.
        syntax: The language of records, such as JSON, in which samples parse.
        acceptance: How often samples are accepted that are less probable than held-out records.
    """

    def __init__(self, spec: Tokens, config: TransformerConfig) -> None:
        super().__init__(spec, config)
        c = config
        _check_config(spec, config)
        # A label is a token before the others; the last id means that none is given.
        self.num_label_tokens = 1 if spec.classes else 0
        tokens_before_grid = max(0, spec.length - math.prod(spec.shape))
        self.net = Decoder(
            DecoderConfig(
                vocab_size=spec.vocab + self.num_label_tokens * (spec.classes + 1),
                hidden_size=c.width,
                num_layers=c.layers,
                num_heads=c.heads,
                mlp_size=c.mlp_size,
                context_length=spec.length + self.num_label_tokens,
                tie_embeddings=c.tie_embeddings,
                dropout=c.dropout,
                neighbour_offsets=neighbour_offsets(spec.shape),
                num_prefix=1 + self.num_label_tokens + tokens_before_grid,
            )
        )
        never_targets = [spec.special[name] for name in ("begin", "back", "pad") if name in spec.special]
        end_id = None if spec.packed or spec.shape else spec.special.get("end")
        spellings = spec.spellings if end_id is not None else ()
        self.mixer = NgramMixer(
            spec.vocab,
            c.ngram_order,
            aligned=c.aligned,
            never_targets=never_targets,
            end_id=end_id,
            num_classes=spec.classes,
            spellings=spellings,
        )
        self.contexts = ContextHead(spec.spellings, spec.vocab, never_targets)
        self.passages, self.own_passages = PassageLimit(self.contexts), OwnPassageLimit()
        self.known = KnownRecords(spec.special, spec.spellings)
        self.programs = ProgramLimit(spec.grammar if spec.packed else "", spec.spellings, spec.special)
        record_spellings = spec.spellings if self.is_of_records else ()
        self.rows = RowLimit(record_spellings, spec.special)
        self.syntax = RecordSyntax(record_spellings, spec.special)
        self.acceptance = RecordAcceptance()

    @property
    def _parts(self) -> dict[str, FittedBuffers]:
        """Modules of what is fitted besides the network, by the name of their buffers."""
        return {name: part for name, part in self.named_children() if isinstance(part, FittedBuffers)}

    @property
    def is_of_records(self) -> bool:
        """Whether the data consists of records, not of running text or codes on a grid."""
        return not self.spec.packed and not self.spec.shape

    @property
    def fitted_mixer(self) -> TokenMixer | None:
        """The statistical models that are mixed with the network; None before they are fitted."""
        mixers: tuple[TokenMixer, ...] = (self.mixer, self.contexts)
        return next((mixer for mixer in mixers if mixer.is_fitted), None)

    @property
    def token_mixer(self) -> TokenMixer | None:
        """Those with which samples are drawn."""
        return None if self.fitted_mixer is None else self.fitted_mixer.drawing()

    def allocate_buffers(self, shapes: Mapping[str, torch.Size]) -> None:
        for name, part in self._parts.items():
            part.allocate_buffers(shapes_below(shapes, name))

    def check_state(self) -> None:
        for part in self._parts.values():
            part.check()

    @property
    def left_out(self) -> tuple[str, ...]:
        """Parts of the model that the network alone lacks, as exports name them."""
        return tuple(name for part in self._parts.values() for name in part.left_out)

    def label_ids(self, labels: Tensor | None, n: int) -> Tensor:
        """(n,) ids of the tokens of labels; a negative or missing label has the token for an unknown one."""
        unknown = self.spec.vocab + self.spec.classes
        if labels is None:
            return torch.full((n,), unknown)
        return torch.where(labels < 0, unknown, self.spec.vocab + labels)


def _check_config(spec: Tokens, config: TransformerConfig) -> None:
    c = config
    if c.width % c.heads or c.width // c.heads % 2:
        raise ConfigError(
            f"width must divide into {c.heads} heads of an even size (got {c.width}); "
            f"give a multiple of {2 * c.heads}, or other heads"
        )
    if c.aligned and not c.ngrams:
        raise ConfigError(
            "aligned=true needs ngrams=true; give ngrams=true with it, or leave aligned=true out", "aligned"
        )
    if c.contexts and (c.ngrams or spec.vocab > MAX_CONTEXT_VOCAB or not spec.packed):
        raise ConfigError(
            f"contexts=true is for running text of at most {MAX_CONTEXT_VOCAB} different tokens, and takes the place of "
            "ngrams; give ngrams=false with it, or contexts=false",
            "contexts",
        )


def neighbour_offsets(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Distance in tokens to the neighbours of a token of a grid, one along each axis but the last."""
    return tuple(math.prod(shape[axis:]) for axis in range(1, len(shape)))
