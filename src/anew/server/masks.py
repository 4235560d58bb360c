"""Masks: the pixels to be filled in are those that the mask shows as transparent, as OpenAI's clients send it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from anew.core import isolation
from anew.core.specs import Condition, Grid
from anew.data.formats.transparency import AlphaReader
from anew.data.types import Item
from anew.errors import ConfigError
from anew.sampling.latents import values_of
from anew.server.catalog import CatalogEntry
from anew.server.faults import bad_request, from_config_error

OPAQUE_FROM = 128  # alpha below which a pixel is filled in: half of the scale


def condition_from_files(entry: CatalogEntry, image: bytes, mask: bytes | None) -> Condition:
    """The condition that keeps part of a picture. Slow, so not for the event loop.

    Args:
        entry: The model.
        image: A file with the picture.
        mask: A file whose transparent pixels are filled in; None: those of the picture.

    Raises:
        ApiError: 400; a file cannot be used.
    """
    files = {"image": image} if mask is None else {"image": image, "mask": mask}
    items = [Item(name, data) for name, data in files.items()]
    alphas: dict[str, NDArray[np.uint8]] = {}
    assert isinstance(entry.spec, Grid)
    height, width = entry.spec.shape[1:]
    for name, alpha in zip(files, isolation.each(AlphaReader().read, items), strict=True):
        if isinstance(alpha, ValueError):
            raise bad_request(f"the {name} cannot be used: {alpha}", name)
        if alpha.shape != (height, width):
            mask_size = f"{alpha.shape[1]}x{alpha.shape[0]}"
            raise bad_request(
                f"the {name} is {mask_size}, and this model makes {width}x{height}; scale it to that", name
            )
        alphas[name] = alpha
    alpha = alphas["image" if mask is None else "mask"]
    if (alpha >= OPAQUE_FROM).all():
        where = "image, or send a mask that is" if mask is None else "mask"
        raise bad_request(f"the mask keeps every pixel: make those to be filled in transparent in the {where}", "mask")
    try:
        x = values_of(entry.modality, image)[0]  # (C, H, W)
    except ConfigError as error:
        raise from_config_error(error, "image") from None
    return Condition(x, torch.from_numpy((alpha >= OPAQUE_FROM).astype(np.float32))[None])
