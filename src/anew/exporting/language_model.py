"""A run over text or sequences in the parts that other libraries load: a stock network, a tokenizer, and special ids."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anew.core.specs import Tokens
from anew.data.formats.text.tokenizer import ESCAPE, Characters
from anew.data.modalities.text import Text
from anew.errors import ConfigError, printable
from anew.exporting.card import notes_on_parts
from anew.families.portable import StockDecoder
from anew.sampling.model import Model

if TYPE_CHECKING:
    from tokenizers import Tokenizer

NO_LABEL = "<|label|>"
REPLACEMENT = "\ufffd"


@dataclass(frozen=True)
class LanguageModel:
    """A run's language model in stock parts.

    Attributes:
        tokenizer: A `tokenizers.Tokenizer`. It prepends the begin token to a text, unless the run has labels.
        begin_id: The begin token; None if a text begins with its first character.
        end_id: The end token; None without one.
        pad_id: The token that pads samples after their end; None without one.
        never_sampled: Ids that the run never samples, such as those of labels.
        context: Number of tokens that the network was trained on at once.
        notes: Clauses on what differs from the run.
    """

    decoder: StockDecoder
    tokenizer: Tokenizer
    begin_id: int | None
    end_id: int | None
    pad_id: int | None
    never_sampled: tuple[int, ...]
    context: int
    notes: tuple[str, ...]

    def token(self, index: int | None) -> str | None:
        """The token of an id; None for None."""
        return None if index is None else str(self.tokenizer.id_to_token(index))


def language_model(model: Model) -> LanguageModel:
    """The run as a stock language model.

    Raises:
        ConfigError: The run has no stock network, or no tokenizer for it.
    """
    decoder = model.family.stock_decoder()
    modality, spec = model.modality, model.spec
    if not isinstance(modality, Text) or not isinstance(spec, Tokens):
        raise ConfigError(
            f"{model.modality.name} data has no tokenizer that other programs could use; export to onnx instead"
        )
    special = spec.special
    begin_id, end_id = special.get("begin", special.get("end")), special.get("end")
    num_ids = int(decoder.config["vocab_size"])
    labels = range(spec.vocab, num_ids)
    tokenizer = _tokenizer(modality, model.labels[: spec.classes] if labels else (), begin_id)
    if tokenizer.get_vocab_size() != num_ids:
        raise ConfigError(f"The tokenizer has {tokenizer.get_vocab_size()} ids, and the network {num_ids}; train again")
    return LanguageModel(
        decoder,
        tokenizer,
        begin_id,
        end_id,
        special.get("pad", end_id),
        (*spec.unsampled_ids, *labels),
        int(decoder.config["max_position_embeddings"]),
        (
            *notes_on_parts(model, decoder.left_out),
            *_tokenizer_notes(modality),
            *_prompt_notes(
                modality,
                model.labels if labels else (),
                "" if begin_id is None else str(tokenizer.id_to_token(begin_id)),
            ),
        ),
    )


def _tokenizer(modality: Text, labels: Sequence[str], begin_id: int | None) -> Tokenizer:
    """The run's tokenizer, with the tokens of labels after its own."""
    from tokenizers import AddedToken, Regex, decoders, processors

    tokenizer = modality.stock_tokenizer()
    if labels:
        names = [_label_token(index, name) for index, name in enumerate(labels)]
        tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in (*names, NO_LABEL)])
    if isinstance(modality.tokenizer, Characters):
        digit = decoders.Replace(Regex(r"^<\|[0-9a-f]\|>$"), "")
        tokenizer.decoder = decoders.Sequence([decoders.Replace(ESCAPE, REPLACEMENT), digit, decoders.Fuse()])
    if begin_id is not None and not labels:
        begin = tokenizer.id_to_token(begin_id)
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", pair=f"{begin} $A $B:1", special_tokens=[(begin, begin_id)]
        )
    return tokenizer


def _tokenizer_notes(modality: Text) -> list[str]:
    if not isinstance(modality.tokenizer, Characters):
        return [
            "A token may be a part of a character. Anew draws only whole characters, while another program may cut one, which is "
            "then decoded as U+FFFD."
        ]
    return [
        f"The tokenizer has {len(modality.tokenizer.letters)} characters. Every other one becomes the token {ESCAPE} and is decoded as "
        "U+FFFD, where Anew keeps it."
    ]


def _prompt_notes(modality: Text, labels: Sequence[str], begin: str) -> list[str]:
    """begin: the token that texts begin with; "" if there is none."""
    notes = []
    if labels:
        both = f"the token of a label and `{begin}`" if begin else "the token of a label"
        rest = "the tokenizer adds neither" if begin else "the tokenizer does not"
        notes.append(f"Begin each prompt with {both}, as in `{_label_token(0, labels[0])}{begin}`; {rest}.")
    if "back" in modality.spec.special:
        notes.append(
            "The run learned both directions; "
            f"`{modality.special_names['back']}` begins a sequence that is generated from its last residue."
        )
    return notes


def _label_token(index: int, name: str) -> str:
    return f"<|label {index}: {printable(name)}|>"


def tokenizer_json(tokenizer: Tokenizer) -> str:
    """Contents of tokenizer.json."""
    return json.dumps(json.loads(tokenizer.to_str()), indent=1, ensure_ascii=False) + "\n"
