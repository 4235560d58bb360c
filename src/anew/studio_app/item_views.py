"""Items as the page shows them: images, sounds and clips as data URLs, texts as they are."""

from __future__ import annotations

import base64

from anew.evaluation.reporting.sheet import png, shrink
from anew.sampling.samples import Samples

# Pixels of the sides of an image on the page, at most and at least: smaller ones are enlarged; chosen.
MAX_SIDE, MIN_SIDE = 512, 96
# So much of a text is shown, ten pages of a book, so that the browser stays responsive; chosen.
MAX_CHARACTERS = 20_000


def data_url(media: str, data: bytes) -> str:
    """Bytes as a data URL."""
    return f"data:{media};base64,{base64.b64encode(data).decode()}"


def item_views(samples: Samples, is_draft: bool = False) -> list[dict[str, object]]:
    """Each item as JSON values: "type" is "picture", "sound", "video" or "text"; "src" of a sound that browsers do not play is None.

    Args:
        samples: The items.
        is_draft: Whether to show only an image of sounds and clips, since their files take long.
    """
    pictures = samples.pictures()
    entries: list[dict[str, object]] = []
    for index, label in enumerate(samples.labels):
        picture = None if pictures is None else data_url("image/png", png(shrink(pictures[index], MAX_SIDE), MIN_SIDE))
        if is_draft and picture:
            view: dict[str, object] = {"type": "picture", "src": picture}
        else:
            view = _item_view(samples, index, picture)
        entries.append(view | {"label": label})
    return entries


def _item_view(samples: Samples, index: int, picture: str | None) -> dict[str, object]:
    item = samples[index]
    if isinstance(item, str):
        return {"type": "text", "text": item[:MAX_CHARACTERS]}
    artifact = samples.artifact(index)
    media_type = artifact.media.partition("/")[0]
    if media_type == "audio":
        source = data_url(artifact.media, artifact.data) if artifact.is_playable else None
        return {"type": "sound", "src": source, "picture": picture}
    if media_type == "video" or artifact.media == "image/gif":
        element = "video" if media_type == "video" else "picture"
        return {"type": element, "src": data_url(artifact.media, artifact.data), "picture": picture}
    return {"type": "picture", "src": picture or data_url(artifact.media, artifact.data)}
