"""Data for exports with their own sampler: graphs, steps, classes, and the format of an item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace

from anew.core.specs import Grid, Tokens
from anew.data.formats.text.tokenizer import SubWords
from anew.data.modalities.audio import Audio
from anew.data.modalities.image import Image
from anew.data.modalities.text import Text
from anew.data.modalities.video import Video
from anew.errors import ConfigError
from anew.families import portable
from anew.families.base import Family
from anew.families.portable import PortableSampler
from anew.sampling.model import Model


def whole_sampler(model: Model) -> PortableSampler:
    """The steps up to an item: those of the family, then the codec's."""
    set_fp32(model.family)
    sampler = model.family.portable_sampler()
    sampler = replace(sampler, steps=tuple({**step, **_modality_sampling(model, step)} for step in sampler.steps))
    codec = model.codec
    if codec is None:
        return sampler
    if not isinstance(codec, Family):
        raise ConfigError("the codec of this run cannot be exported as a graph; export to hub instead")
    set_fp32(codec)
    decoder = codec.portable_decoder()
    last = portable.run(decoder.name, str(sampler.steps[-1]["out"]), out="item")
    steps = (*sampler.steps, last)
    views = (codec.portable_encoder(),) if isinstance(model.spec, Grid) and model.family.fills_in else ()
    return replace(sampler, graphs=(*sampler.graphs, decoder), steps=steps, views=views)


def _modality_sampling(model: Model, step: Mapping[str, object]) -> dict[str, object]:
    """Settings of a step in which the modality's defaults differ from the family's."""
    defaults = model.modality.traits.default_sampling if step["step"] == "tokens" else {}
    return {name: value for name, value in defaults.items() if name in step}


def set_fp32(family: Family) -> None:
    """Set the precision of a family to fp32: other machines may not support that of this one."""
    config = family.config
    if is_dataclass(config) and not isinstance(config, type) and "precision" in {f.name for f in fields(config)}:
        family.config = replace(config, precision="fp32")


def class_labels(model: Model) -> dict[str, object] | None:
    """Names and frequencies of the classes; None without classes."""
    return {"names": model.labels, "shares": model.label_shares} if model.spec.classes else None


def item_format(model: Model) -> dict[str, object]:
    """Format of a sample, with all that is needed to write it to a file."""
    modality = model.item_modality
    if isinstance(modality, Text) and isinstance(model.item_spec, Tokens):
        skip = sorted(set(model.item_spec.special.values()))
        suffixes = {"suffix": modality.suffix, "suffixes": class_suffixes(model)}
        return {"kind": "text", "tokens": _token_texts(modality), "skip": skip, **suffixes}
    if isinstance(modality, Image):
        return {"kind": "image", "matching": modality.matching.model_dump(mode="json")["steps"]}
    if isinstance(modality, Video):
        return {"kind": "clip", "rate": modality.rate, "matching": modality.matching.model_dump(mode="json")["steps"]}
    if isinstance(modality, Audio):
        return {"kind": "sound", **modality.sound_scale()}
    return {"kind": "array"}


def class_suffixes(model: Model) -> list[str] | None:
    """The ending of the file of a text of each class; None where they do not differ."""
    plain = model.item_modality.save_item("").suffix
    suffixes = [model.item_modality.class_suffix(label) or plain for label in model.labels]
    return suffixes if set(suffixes) - {plain} else None


def _token_texts(modality: Text) -> list[str]:
    """The text of each id, its bytes as the characters 0 to 255."""
    tokenizer = modality.tokenizer
    if isinstance(tokenizer, SubWords):
        return [piece.decode("latin-1") for piece in tokenizer.pieces]
    return [tokenizer.decode([index]).encode("utf-8", "replace").decode("latin-1") for index in range(tokenizer.size)]
