"""Masks as OpenAI's clients send them: transparent pixels are filled in."""

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

OPAQUE_FROM = 128  # alpha from which a pixel is kept: half of the scale


def condition_from_files(entry: CatalogEntry, image: bytes, mask: bytes | None) -> Condition:
    """The condition that keeps a part of an image. Slow, so not for the event loop.

    Args:
        entry: The model.
        image: An image file.
        mask: An image file whose transparent pixels are filled in; None: those of the image.

    Raises:
        ApiError: 400 a file cannot be used.
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
            size = f"{alpha.shape[1]}x{alpha.shape[0]}"
            raise bad_request(f"the {name} is {size}, and this model needs {width}x{height}; resize it", name)
        alphas[name] = alpha
    alpha = alphas["image" if mask is None else "mask"]
    if (alpha >= OPAQUE_FROM).all():
        where = "image, or send a mask that is" if mask is None else "mask"
        raise bad_request(f"no pixel is to be filled in; make some transparent in the {where}", "mask")
    try:
        x = values_of(entry.modality, image)[0]  # (C, H, W)
    except ConfigError as error:
        raise from_config_error(error, "image") from None
    return Condition(x, torch.from_numpy((alpha >= OPAQUE_FROM).astype(np.float32))[None])
