"""Items into a run's own values and latents, and back: what `Model.encode` and `Model.decode` do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anew.data.encoded import encoded_alike
from anew.data.modality import Handle, Item
from anew.errors import ConfigError
from anew.families.family import Codec, Family
from anew.model import Model, Samples
from anew.spec import Tokens


def read(model: Model, item: Any) -> Tensor:
    """(1, *shape) what the run's family sees of the item in a file, an array, or the bytes of a file."""
    return _values(model, model.modality, item)


def _values(model: Model, modality: Any, item: Any) -> Tensor:
    """(1, *shape) the item as this modality, the run's own or the plain one behind it, gives it."""
    named = repr(str(item)) if isinstance(item, str | Path) else "the item given"
    try:
        data = _data(model, Path(item)) if isinstance(item, str | Path) else item
    except OSError as error:
        raise ConfigError(
            f"{named} cannot be read ({error.strerror}); give a file of one {model.modality.name}"
        ) from None
    one = Item(str(item) if isinstance(item, str | Path) else "item", data)
    try:
        reason = model.modality.accepts(one)
        if reason is None:
            found: Tensor = modality.batch(modality.encode(one)[None], None, None).x
            return found.float() if found.is_floating_point() else found
    except ValueError as error:
        reason = str(error)
    raise ConfigError(f"{named} cannot be used: {reason}; give a file of one {model.modality.name}")


def _data(model: Model, path: Path) -> Any:
    """What `Item.data` is of a file."""
    if not model.modality.streams:
        return path.read_bytes()
    path.stat()  # a file that is not there is said here
    return Handle(path)


def encoded(model: Model, items: Sequence[Any]) -> Tensor:
    """(n, *latent) of items, by the codec of the run or the family that is one."""
    codec = _codec(model)
    if not len(items):
        raise ConfigError("nothing to encode was given; give at least one item")
    plain = getattr(model.modality, "plain", model.modality)
    values = torch.cat([_values(model, plain, item) for item in items])
    return encoded_alike(codec, values.to(model.device))


def decoded(model: Model, z: Tensor) -> Samples:
    """Items from latents."""
    codec = _codec(model)
    latent = codec.latent
    wanted = (latent.length,) if isinstance(latent, Tokens) else tuple(latent.shape)
    if z.ndim != len(wanted) + 1 or tuple(z.shape[1:]) != wanted or not len(z):
        raise ConfigError(
            f"latents of shape {tuple(z.shape)} do not fit this run; give (n, {', '.join(map(str, wanted))})"
        )
    if isinstance(latent, Tokens):
        most = min([latent.vocab, *latent.special.values()]) - 1
        if z.is_floating_point() or int(z.min()) < 0 or int(z.max()) > most:
            raise ConfigError(f"these codes do not fit this run; give whole numbers from 0 to {most}")
    plain = getattr(model.modality, "plain", model.modality)
    x = codec.decode(z.to(model.device) if isinstance(latent, Tokens) else z.float().to(model.device)).cpu()
    return Samples(plain.decode(x), plain.write(x), [None] * len(z), plain)


def _codec(model: Model) -> Codec:
    """ConfigError where a run has none."""
    codec: Family = model.codec or model.family
    if codec.as_codec is None or not isinstance(codec, Codec):
        name = model.config["family"]["name"]
        raise ConfigError(f"the family {name!r} has no latents to encode into; train vae, or with space=latent")
    return codec
