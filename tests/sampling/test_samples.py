"""Samples are items; a file is made of one when it is saved or shown, once."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from anew.data.formats.images import pixels
from anew.data.formats.video import frames
from anew.data.modality import load_modality
from anew.data.types import Artifact
from anew.errors import ConfigError
from anew.sampling.origins import Origin, origins_in
from anew.sampling.samples import Samples
from anew.sampling.scores import NOTEBOOK_ITEMS


class Files:
    """A kind of data that counts how many files it makes."""

    name = "image"

    def __init__(self) -> None:
        self.made: list[int] = []

    def save_item(self, item: Any, comment: str = "") -> Artifact:
        self.made.append(int(item.flat[0]))
        return Artifact(".bin", item.tobytes(), media="image/png")

    def merge_files(self, artifacts: Any, labels: Any, first: int = 0, *, continues: bool = False) -> None:
        return None

    def class_suffix(self, label: str | None) -> str:
        return ""

    def pictures(self, items: Any) -> list[Any]:
        return list(items)


def thousand(files: Files, labels: list[str | None] | None = None) -> Samples:
    items = [np.full((4, 4), i % 256, np.uint8) for i in range(1000)]
    return Samples(items, labels or [None] * 1000, files)  # type: ignore[arg-type]


def test_saving_36_of_1000_makes_36_files_once(tmp_path: Path) -> None:
    files = Files()
    samples = thousand(files)
    assert not files.made
    first_samples = samples.head(36)
    paths = first_samples.save(tmp_path)
    first_samples.save(tmp_path, overwrite=True)
    assert files.made == list(range(36)) and len(paths) == 36
    assert paths[1].read_bytes() == samples[1].tobytes()


@pytest.mark.parametrize("index", [1000, -1001])
def test_an_index_beyond_the_samples_says_how_many_there_are(index: int) -> None:
    """It said "range object index out of range"."""
    samples = thousand(Files())
    with pytest.raises(IndexError, match=f"^there is no sample {index}: there are 1,000, numbered from 0$"):
        samples[index]
    assert np.array_equal(samples[-1000], samples[0]) and len(list(samples)) == 1000


def test_a_part_of_a_share_keeps_its_numbers() -> None:
    """The first two of a share that begins with sample 256 were written as samples 0 and 1."""
    items = [np.full((4, 4), i, np.uint8) for i in range(4)]
    share = Samples(items, [None] * 4, Files(), first=256, total=512)  # type: ignore[arg-type]

    def names(samples: Samples) -> list[str]:
        return [name for name, _ in samples.files()]

    assert names(share.head(2)) == ["0256.bin", "0257.bin"] and names(share[1:3]) == ["0257.bin", "0258.bin"]
    assert names(share[2:] + share[:1]) == ["0258.bin", "0259.bin", "0260.bin"]
    assert share[1:].total == 512 and names(share[::2]) == ["0000.bin", "0001.bin"]


def test_files_of_many_samples_are_not_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million names took 1 GB more."""
    monkeypatch.setattr("anew.sampling.samples.MAX_KEPT_FILES", 99)
    modality = Files()
    samples = Samples([np.full((200, 200), i, np.uint8) for i in range(100)], [None] * 100, modality)  # type: ignore[arg-type]
    tracemalloc.start()
    begin, _ = tracemalloc.get_traced_memory()
    paths = samples.save(tmp_path)
    assert tracemalloc.get_traced_memory()[1] - begin < 500_000  # the items have 4 MB
    tracemalloc.stop()
    assert modality.made == list(range(100)) and [path.read_bytes()[0] for path in paths] == list(range(100))


def test_many_files_are_synced_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync of each took ten times as long as to draw a name: of a million it would have taken five hours."""
    synced: list[str] = []
    monkeypatch.setattr("anew.core.files.os.fsync", lambda handle: synced.append("one"))
    monkeypatch.setattr("anew.core.files.os.sync", lambda: synced.append("all"), raising=False)
    thousand(Files()).head(300).save(tmp_path / "many")
    assert synced == ["all"] and len(list((tmp_path / "many").iterdir())) == 300
    thousand(Files()).head(2).save(tmp_path / "few")
    assert synced[1:] == ["one"] * 4  # each file and its folder


def test_a_notebook_has_no_player_for_what_browsers_do_not_play() -> None:
    class Signals(Files):
        def save_item(self, item: Any, comment: str = "") -> Artifact:
            return Artifact(".wav", b"RIFF", media="audio/wav", is_playable=False)

    samples = thousand(Signals()).head(3)
    html = samples._repr_html_()
    assert html.count("<img") == 3 and "<audio" not in html


def test_a_notebook_makes_what_it_shows() -> None:
    files = Files()
    assert thousand(files)._repr_html_().count("<img") == NOTEBOOK_ITEMS == len(files.made)


def test_parts_keep_the_files_that_were_made() -> None:
    files = Files()
    samples = thousand(files, [str(i) for i in range(1000)])
    samples.artifact(5)
    part = samples[4:8] + samples[:2]
    assert [part.artifact(1).data, part.labels] == [samples[5].tobytes(), ["4", "5", "6", "7", "0", "1"]]
    assert files.made == [5] and len(part) == 6 and np.array_equal(part[-1], samples[1])


def test_samples_are_added_in_place_and_sums_are_new() -> None:
    """Adding a batch copied all samples before it, so that a hundred thousand took seconds."""
    files = Files()
    samples, batch = thousand(files)[:3], thousand(files, ["a"] * 1000)[5:7]
    batch.artifact(1)
    total = samples + batch
    assert (len(samples), len(batch), len(total)) == (3, 2, 5)
    before = samples
    samples += batch
    assert samples is before and samples.labels == total.labels == [None] * 3 + ["a"] * 2
    assert samples.artifact(4).data == total.artifact(4).data == batch[1].tobytes() and files.made == [6]
    assert len(batch) == 2 and not samples.origins


def test_what_their_repr_says() -> None:
    assert repr(thousand(Files())) == "Samples(1,000 items, 'image', shape (4, 4))"
    assert repr(thousand(Files())[:0]) == "Samples(0 items)"
    assert repr(thousand(Files())[:1]) == "Samples(1 item, 'image', shape (4, 4))"
    texts = Samples(["ab", "cde"], [None, None], SimpleNamespace(name="text"))  # type: ignore[arg-type]
    assert repr(texts) == "Samples(2 items, 'text', 5 characters)\n  0  'ab'\n  1  'cde'"
    first, *rows = repr(thousand(Files(), [str(i) for i in range(1000)])).split("\n")
    assert first.startswith("Samples(1,000 items") and rows == [f"  {i}  {i}" for i in range(5)] + ["  ..."]


def test_a_class_is_named_with_one_separator_where_its_name_has_signs(tmp_path: Path) -> None:
    labels = ["perc & cymbal", "../up", "", "großer Baum", "&", "x" + 60 * "𠀀"]
    samples = Samples([np.zeros((4, 4), np.uint8)] * 6, list(labels), Files())  # type: ignore[arg-type]
    names = sorted(path.stem for path in samples.save(tmp_path / "out"))
    assert names == [
        "0000-perc_cymbal",
        "0001-up",
        "0002-label",
        "0003-großer_Baum",
        "0004-label",
        "0005-x" + 14 * "𠀀",
    ]


def of(modality: str, *items: Any) -> Samples:
    owner = load_modality(modality)
    return Samples(items, [None] * len(items), owner(owner.Config()))


PICTURE = np.random.default_rng(0).integers(0, 256, (9, 12, 4), np.uint8)


def test_a_webp_is_the_same_picture_and_a_jpeg_nearly(tmp_path: Path) -> None:
    images = of("image", PICTURE)
    paths = [images.in_format(name).save(tmp_path / name)[0] for name in ("png", "webp", "jpeg")]
    assert [path.name for path in paths] == ["0000.png", "0000.webp", "0000.jpeg"]
    png, webp, jpeg = (pixels.open_image(path.read_bytes()) for path in paths)
    assert np.array_equal(png, PICTURE) and np.array_equal(webp, PICTURE)
    assert np.abs(np.asarray(jpeg, float) - np.asarray(pixels.on_white(png), float)).mean() < 20
    (sheet, cells) = of("image", PICTURE, PICTURE).in_format("webp").save_sprite_sheet(tmp_path)
    assert sheet.suffix == ".png" and "0001.webp" in cells.read_text()


def test_a_clip_has_one_file_of_the_format_that_is_chosen(tmp_path: Path) -> None:
    clips = of("video", np.stack([PICTURE[..., :3]] * 6))
    assert len(list(clips.files())) == 2
    for name in ("gif", "mp4"):
        ((file, data),) = clips.in_format(name).files()
        assert file == f"0000.{name}"
        assert frames.read_comment(data) == "" if name == "mp4" else data[:4] == b"GIF8"


def test_parts_and_enlarged_samples_keep_the_format() -> None:
    images = of("image", PICTURE, PICTURE).in_format("webp")
    for samples in (images[:1], images.head(1), images + images, images.enlarged(2)):
        assert samples.artifact(0).suffix == ".webp"


def test_a_part_of_many_samples_is_numbered_as_one_of_them(tmp_path: Path) -> None:
    """Of 20,000 samples that came in batches, enlarged ones were files 0000 to 9999 beside 10000."""
    part = of("image", np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8))
    part.first, part.num_planned = 300, 20_000
    for samples in (part, part[:], part.enlarged(2), part.in_format("webp"), part.enlarged(2).in_format("png")[0:2]):
        paths = samples.save(tmp_path, overwrite=True)
        assert [path.stem for path in paths] == ["00300", "00301"]
    assert [path.stem for path in part[::-1].save(tmp_path, overwrite=True)] == ["0000", "0001"]


def test_samples_can_be_added_to_themselves() -> None:
    samples = of("image", np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8))
    samples += samples
    assert [int(item[0, 0]) for item in samples if not isinstance(item, str)] == [0, 1, 0, 1]


def test_a_format_that_is_never_written_is_refused_in_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"`format` must be png, webp or jpeg for images .got 'bmp'."):
        of("image", PICTURE).in_format("bmp")
    with pytest.raises(ConfigError, match="`format` is for images, sounds and clips; text has one form of file"):
        of("text", "a").in_format("pdf")


def test_the_sheet_of_texts_has_any_character(tmp_path: Path) -> None:
    """A sampler of bytes may make half of a pair of surrogates, which UTF-8 does not have."""
    place = of("text", "a\ud800b", "é").save_sheet(tmp_path)
    assert place.read_text(encoding="utf-8") == "a?b\né\n"


@pytest.mark.parametrize(("layout", "divider"), [("list", "\n"), ("document", "\n\n----\n\n")])
def test_records_are_a_line_each_however_long_they_are(layout: Any, divider: str, tmp_path: Path) -> None:
    samples = of("text", '{"level": "info"}', f'{{"path": "{"a" * 300}"}}')
    samples.modality.layout = layout
    assert samples.save_sheet(tmp_path).read_text() == divider.join(map(str, samples)) + "\n"


@pytest.mark.parametrize("modality", ["text", "image"])
def test_no_samples_have_no_sheet(modality: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no samples to show"):
        of(modality).save_sheet(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_name_of_a_file_is_no_folder_of_a_sheet(tmp_path: Path) -> None:
    samples = thousand(Files())
    with pytest.raises(ConfigError, match="stem"):
        samples.save_sheet(tmp_path / "new.png")
    assert not list(tmp_path.iterdir())


def texts(*items: str) -> Samples:
    origins = [Origin("run", "0" * 16, 0, i, (0, len(items))) for i in range(len(items))]
    samples = of("text", *items)
    samples.origins = origins
    return samples


def test_files_of_others_are_never_replaced_unasked(tmp_path: Path) -> None:
    mine = tmp_path / "0000.txt"
    mine.write_text("mine")
    with pytest.raises(ConfigError, match="exists and is not empty; give another folder, or overwrite=True"):
        texts("a", "b").save(tmp_path)
    assert mine.read_text() == "mine" and list(tmp_path.iterdir()) == [mine]
    texts("a", "b").save(tmp_path, overwrite=True)
    assert mine.read_text().strip() == "a"


@pytest.mark.parametrize("sheet", ["save_sheet", "save_sprite_sheet"])
def test_sheets_are_never_replaced_unasked(sheet: str, tmp_path: Path) -> None:
    samples = of("image", PICTURE, PICTURE)
    getattr(samples, sheet)(tmp_path)
    with pytest.raises(ConfigError, match="exists; give another `folder` or `stem`, or overwrite=True"):
        getattr(samples, sheet)(tmp_path)
    getattr(samples, sheet)(tmp_path, overwrite=True)


def test_origins_of_other_samples_stay(tmp_path: Path) -> None:
    texts("a", "b", "c").save(tmp_path)
    texts("d").save(tmp_path, overwrite=True)
    assert [origins_in(tmp_path / f"000{i}.txt")[0].batch for i in range(3)] == [(0, 1), (0, 3), (0, 3)]
    (tmp_path / ".origins.json").write_text("{")
    with pytest.raises(ConfigError, match="is damaged; delete it, or give another folder"):
        texts("d").save(tmp_path, overwrite=True)
