"""What a report shows of items: pictures, sound and film that play, texts with passages marked, and pairs of them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Item:
    """One thing on the page; what is given of it is shown, one below the other.

    picture: a PNG; media: bytes that a browser plays, of the type `kind` ("audio/wav", "video/mp4"); text: shown as it is,
    with the characters from mark[0] up to mark[1] highlighted.
    """

    picture: bytes | None = None
    media: bytes | None = None
    kind: str = ""
    text: str | None = None
    mark: tuple[int, int] = (0, 0)

    @property
    def marked(self) -> tuple[str, str, str]:
        """The text before, within and after the mark."""
        text, (start, stop) = self.text or "", self.mark
        return text[:start], text[start:stop], text[stop:]


@dataclass(frozen=True, slots=True)
class Beside:
    """A sample beside a training item, None where nothing is near. said: how near they are, a few words; close: so near
    that it looks like a copy."""

    sample: Item
    nearest: Item | None
    said: str = ""
    close: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """sheet, real: PNG of many samples, and of held-out items; pairs: samples in the order they were drawn, each beside its
    nearest training item; nearest: what the search was and how to read it, whole sentences; suspects: the samples that the
    audit for copies found closest."""

    sheet: bytes | None = None
    real: bytes | None = None
    pairs: list[Beside] = field(default_factory=list)
    nearest: str = ""
    suspects: list[Beside] = field(default_factory=list)

    @property
    def layout(self) -> str:
        """How pairs stand on the page: "tiles" of pictures, "rows" of short texts, "texts" one below the other."""
        every = [i for p in self.pairs for i in (p.sample, p.nearest) if i is not None]
        if any(i.picture is not None or i.media is not None for i in every):
            return "tiles"
        short = all(len(i.text or "") < 120 and "\n" not in (i.text or "") for i in every)
        return "rows" if short else "texts"
