"""Items as the page shows them: pictures and sound as data addresses, texts as texts."""

from __future__ import annotations

import base64

from anew.evaluation.reporting.sheet import png, shrink
from anew.sampling.samples import Samples

# Pixels a side of a picture on the page, at most and at least: smaller ones are hard to see; chosen.
PICTURE_SIDE, LEAST_SIDE = 512, 96
MAX_CHARACTERS = 20_000  # of a text: a page of a book has 2,000; the browser stays quick; chosen


def data_address(media: str, data: bytes) -> str:
    """Bytes as a `data:` address."""
    return f"data:{media};base64,{base64.b64encode(data).decode()}"


def shown_items(samples: Samples, is_draft: bool = False) -> list[dict[str, object]]:
    """Each item as JSON values: "kind" is "picture", "sound", "video" or "text".

    Args:
        samples: The items.
        is_draft: Whether to leave out what takes long: of sound and clips only pictures are shown.
    """
    pictures = samples.pictures()
    entries = []
    for index, label in enumerate(samples.labels):
        picture = (
            None
            if pictures is None
            else data_address("image/png", png(shrink(pictures[index], PICTURE_SIDE), LEAST_SIDE))
        )
        entries.append(
            (_pictured(picture) if is_draft and picture else _shown(samples, index, picture)) | {"label": label}
        )
    return entries


def _pictured(picture: str) -> dict[str, object]:
    return {"kind": "picture", "src": picture}


def _shown(samples: Samples, index: int, picture: str | None) -> dict[str, object]:
    item = samples[index]
    if isinstance(item, str):
        return {"kind": "text", "text": item[:MAX_CHARACTERS]}
    artifact = samples.artifact(index)
    sort = artifact.media.partition("/")[0]
    if sort == "audio":
        return {"kind": "sound", "src": data_address(artifact.media, artifact.data), "picture": picture}
    if sort == "video" or artifact.media == "image/gif":
        sort_shown = "video" if sort == "video" else "picture"
        return {"kind": sort_shown, "src": data_address(artifact.media, artifact.data), "picture": picture}
    return {"kind": "picture", "src": picture or data_address(artifact.media, artifact.data)}
