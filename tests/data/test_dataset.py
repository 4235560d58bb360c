"""The contract of a data set: parts, batches, scoring, state, and one sentence for what cannot be used."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.languages import JAPANESE, OLD_ENCODINGS, RUSSIAN, SPANISH

from anew.core.data_record import DataRecord
from anew.data.dataset import Dataset, num_texts
from anew.data.loading.streaming import StreamingStore
from anew.data.types import DataBudget
from anew.errors import ConfigError, DataError

SIZE = DataBudget(60.0, 0, 0)


def prose(n: int = 40_000, seed: int = 0) -> str:
    rng = np.random.default_rng(seed)
    words = ["".join(rng.choice(list("etaoinshr"), k)) for k in rng.integers(1, 8, 300)]
    out, size = [], 0
    while size < n:
        line = " ".join(rng.choice(words, 9)).capitalize() + ",\n" + " ".join(rng.choice(words, 7)) + ".\n\n"
        out.append(line)
        size += len(line)
    return "".join(out)


def names(n: int = 1500) -> str:
    rng = np.random.default_rng(1)
    return "".join("".join(rng.choice(list("abcdefgh"), rng.integers(3, 9))) + "\n" for _ in range(n))


def opened(path: Path, **more: object) -> Dataset:
    data = Dataset.open(path, **more)  # type: ignore[arg-type]
    data.fit(SIZE)
    return data


@pytest.fixture(params=["one", "few", "many", "list"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    if request.param == "one":
        (folder / "book.txt").write_text(prose())
    elif request.param == "list":
        (folder / "names.txt").write_text(names())
    else:
        for i in range(3 if request.param == "few" else 60):
            (folder / f"{i}.md").write_text(prose(3000, i))
    return folder


def test_parts_are_whole_and_scored_once(source: Path) -> None:
    data = opened(source)
    extra = 1 if data.spec.packed is False else 0  # type: ignore[union-attr]
    total = 0
    for part in ("train", "validation", "test"):
        held_out = sum(len(text) + extra for text in data.text(part))
        for stride in (None, 1 + data.spec.length // 3, data.spec.length):  # type: ignore[union-attr]
            batches = list(data.scoring(part, stride=stride, batch=7))
            assert sum(float(b.units.sum()) for b in batches) == held_out  # type: ignore[union-attr]
            assert all(b.x.shape[1] <= data.spec.length + 1 for b in batches)  # type: ignore[union-attr]
        assert data.part_size(part) > 0 and data.items(part, 3)
        total += held_out
    files = sorted(source.iterdir())
    assert total == sum(len(f.read_text()) for f in files)
    units = sum(float(b.units.sum()) for b in data.scoring("train", limit=2000))  # type: ignore[union-attr]
    assert units < 6000


def test_batches_are_pure_and_split_by_rows(source: Path) -> None:
    data, other = opened(source), opened(source)
    whole = data.batch(3, "main", 0, 12, 12)
    assert torch.equal(other.batch(3, "main", 4, 8, 12).x, whole.x[4:])
    assert whole.units is not None and whole.units.shape == (12,)
    assert not torch.equal(data.batch(3, "other", 0, 12, 12).x, whole.x)
    assert not torch.equal(opened(source, seed=1).batch(3, "main", 0, 12, 12).x, whole.x)
    n = data.train_items
    across = data.batch(0, "main", n - 3, 6, 10 * n)
    assert torch.equal(across.x[:3], data.batch(0, "main", n - 3, 3, 10 * n).x)


def test_each_record_once_an_epoch(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text(names())
    data = opened(tmp_path)
    n = data.train_items
    rows = data.batch(0, "main", n, n, 4 * n).x
    records = sorted(data.modality.decode(rows.numpy()))
    assert records == sorted(data.text("train"))


def test_labels_are_those_of_the_items_though_a_long_one_makes_several_examples(tmp_path: Path) -> None:
    for name, letters in (("a", "abcd"), ("e", "efgh")):
        lines = [line.translate(str.maketrans("abcdefgh", letters * 2)) for line in names(400).split("\n")]
        (tmp_path / f"{name}.txt").write_text("\n".join([letters * 12, *lines]))
    data = opened(tmp_path, settings={"context": 16})
    for part in ("train", "test"):
        classes, numbers = data.item_labels(part, 10_000)
        items = data.items(part, 10_000)
        assert len(items) == len(numbers) and classes == ["a", "e"]
        assert all(("efgh".find(str(item)[0]) >= 0) == number for item, number in zip(items, numbers, strict=True))
    data.close()


@pytest.mark.parametrize("streams", [False, True])
def test_records_without_a_class_are_refused_where_classes_are_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streams: bool
) -> None:
    """In memory they were of the first class."""
    lines = names(400).split("\n")[:-1]
    rows = [f"{line},{'ab'[index % 2]}" for index, line in enumerate(lines)]
    (tmp_path / "a.csv").write_text("\n".join(["text,label", *rows, "xyz,", "zyx,"]))
    monkeypatch.setattr("anew.data.sources.selected_data.SAMPLE_ITEMS", 32)
    if streams:
        monkeypatch.setattr("anew.data.sources.selected_data.WHOLE_BYTES", 1000)
    with contextlib.closing(opened(tmp_path, settings={"text_column": "text", "layout": "list"})) as data:
        labels = torch.cat([batch.labels for batch in data.scoring("train") if batch.labels is not None])
        assert isinstance(data.opened_part("train")[0], StreamingStore) == streams
        assert set(labels.tolist()) == {0, 1} and data.label_shares() == pytest.approx([0.5, 0.5], abs=0.02)
        texts = [str(item) for part in ("train", "test") for item in data.items(part, 10_000)]
        assert not {"xyz", "zyx"} & set(texts)
        refusals = [item.reason for item in data.scan.skipped_items]
    assert any("it has no class" in reason for reason in refusals)


def test_rows_of_a_sorted_table_are_held_out_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 58,788 films in alphabetical order two stretches were held out, and samples began with letters that no title begins with."""
    monkeypatch.setattr("anew.data.source_store.MAX_WHOLE_LIST_BYTES", 1000)
    monkeypatch.setattr("anew.data.sources.delimited_rows.SHARD_BYTES", 300)
    rows = [f"{line},{number}" for number, line in enumerate(sorted(names(400).split("\n")[:-1]))]
    (tmp_path / "a.csv").write_text("\n".join(["name,number", *rows]))
    data = opened(tmp_path / "a.csv")
    held_out = {str(item)[0] for item in data.items("validation", 1000)}
    assert len(held_out) > 0.8 * len({row[0] for row in rows}) and data.scan.parts["validation"] > 40
    data.close()
    # A run of an earlier version streamed them, and still does
    with monkeypatch.context() as earlier:
        earlier.setattr("anew.data.sources.selected_data.WHOLE_BYTES", 1000)
        data = opened(tmp_path / "a.csv")
    with contextlib.closing(Dataset.reopen(data.state(), tmp_path)) as again:
        assert isinstance(again.opened_part("train")[0], StreamingStore) and again.scan.parts == data.scan.parts
    data.close()


def test_windows_cover_the_stream_and_move(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(prose())
    data = opened(tmp_path)
    n, length = data.train_items, data.spec.length  # type: ignore[union-attr]
    first, second = (data.batch(0, "main", e * n, n, 9 * n).x for e in range(2))
    stretch = torch.cat([b.x[0, :-1] for b in data.one_pass()])
    assert abs(n * length - len(stretch)) <= 2 * length + 1
    assert {tuple(r.tolist()) for r in first} != {tuple(r.tolist()) for r in second}


def test_a_pass_stays_in_its_part_and_keeps_limits(source: Path) -> None:
    data = opened(source)
    batches = list(data.one_pass("train", 5))
    if data.spec.packed:  # type: ignore[union-attr]
        assert [b.x.shape for b in batches] == [(1, 5 * data.spec.length + 1)]  # type: ignore[union-attr]
    else:
        assert sum(len(b) for b in batches) == 5 and batches[0].mask is not None


def test_units_of_targets_are_those_that_scoring_reads(source: Path) -> None:
    data = opened(source)
    store, number = data.opened_part("train")
    rows = store.rows(number)
    size = sum(int(batch.mask.sum()) for batch in data.scoring("train") if batch.mask is not None)
    batches = data.scoring("train", limit=rows.units_of(size // 3))
    num_read = sum(int(batch.mask.sum()) for batch in batches if batch.mask is not None)
    assert num_read == pytest.approx(size / 3, rel=0.1) and store.reads_all


def test_a_part_of_a_pass_comes_from_all_documents(tmp_path: Path) -> None:
    # Folders are sorted by author, language, date: the first files would not stand for the others
    rng = np.random.default_rng(0)
    for letters in ("abcd", "wxyz"):
        for number in range(40):
            (tmp_path / f"{letters}{number:02}.txt").write_text("".join(rng.choice(list(letters), 800)))
    data = opened(tmp_path, settings={"tokens": "characters"})
    whole, part = (
        np.concatenate([b.x[0].numpy() for b in data.one_pass("train", limit)])
        for limit in (None, data.train_items // 4)
    )
    stream = data.opened_part("train")[0].rows(0).ids
    assert len(part) < len(whole) / 3 and np.array_equal(np.sort(whole), np.sort(stream))
    assert not np.array_equal(whole, stream)
    # Of each letter of both kinds
    frequent = np.sort(np.bincount(part))[-8:]
    assert frequent.min() > 0.5 * frequent.max()


def test_one_long_document_is_read_in_order_or_in_pieces(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("".join(f"{number:05} " for number in range(20_000)))
    data = opened(tmp_path, settings={"tokens": "characters"})
    stream = data.opened_part("train")[0].rows(0).ids
    (whole,), (part,) = (list(data.one_pass("train", limit)) for limit in (None, data.train_items // 4))
    assert np.array_equal(whole.x[0].numpy(), stream)
    assert not np.array_equal(part.x[0].numpy(), stream[: part.x.shape[1]])


def test_state_is_json_and_reopens_the_same(source: Path, tmp_path: Path) -> None:
    data = opened(source)
    data.modality.save(tmp_path)
    state = DataRecord.model_validate(json.loads(json.dumps(data.state().model_dump())))
    again = Dataset.reopen(state, tmp_path)
    assert torch.equal(again.batch(9, "main", 0, 6, 6).x, data.batch(9, "main", 0, 6, 6).x)
    assert again.scan.parts == data.scan.parts and again.fingerprint == data.fingerprint
    moved = tmp_path / "moved"
    source.rename(moved)
    with pytest.raises(DataError, match="give its new place as `data`"):
        Dataset.reopen(state, tmp_path)
    assert Dataset.reopen(state, tmp_path, str(moved)).train_items == data.train_items
    next(moved.iterdir()).write_text("other words")
    with pytest.raises(DataError, match="not the data of this run"):
        Dataset.reopen(state, tmp_path, str(moved))


def test_a_run_that_held_out_other_items_is_not_judged_by_its_training_items(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text(names(500))
    state = opened(tmp_path).state()
    parts = {"train": 400, "validation": 50, "test": 50}
    with pytest.raises(DataError, match=r"holds out other items .* \(400 were for training, now 350\)"):
        Dataset.reopen(state.model_copy(update={"parts": parts}), tmp_path)


def test_open_like_scores_other_data(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(prose())
    data = opened(tmp_path / "a.txt")
    data.modality.save(tmp_path)
    (tmp_path / "b.txt").write_text("Tiny other text é.\n")
    other = Dataset.open_like(data.state(), tmp_path, str(tmp_path / "b.txt"))
    assert sum(float(b.units.sum()) for b in other.scoring("all")) == 19  # type: ignore[union-attr]


def test_user_parts_are_kept(tmp_path: Path) -> None:
    for part, seed in (("train", 0), ("test", 1)):
        (tmp_path / part).mkdir()
        (tmp_path / part / "a.txt").write_text(prose(20_000, seed))
    data = opened(tmp_path)
    assert "".join(data.text("test")) == prose(20_000, 1)
    assert "".join(data.text("train") + data.text("validation")).count("\n") == prose(20_000, 0).count("\n")
    assert any("own test part is kept" in note for note in data.scan.notes)


def test_validation_alone_is_what_is_scored(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text(names(900))
    (tmp_path / "valid.txt").write_text(names(300))
    data = opened(tmp_path)
    assert data.scan.parts["test"] == 300 and data.scan.parts["validation"] > 20
    assert any("validation part is what gets scored" in note for note in data.scan.notes)


def test_a_test_program_among_others_is_no_test_part(tmp_path: Path) -> None:
    for name in ("train.py", "test.py", "a.py", "b.py", "c.py"):
        (tmp_path / name).write_text(prose(5000, len(name)))
    data = opened(tmp_path)
    assert data.scan.items == 5 and not any("own" in note for note in data.scan.notes)


def test_held_out_names_alone_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_text(prose())
    assert any("all of it is split again" in note for note in opened(tmp_path).scan.notes)


def test_own_parts_that_overlap_are_said(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text(names(900))
    (tmp_path / "test.txt").write_text(names(300))
    assert any("held-out items are in the training part too" in note for note in opened(tmp_path).scan.notes)


def test_repeated_lines_lie_in_one_part(tmp_path: Path) -> None:
    (tmp_path / "n.txt").write_text(names(700) * 3)
    data = opened(tmp_path)
    parts = [set(data.text(part)) for part in ("train", "validation", "test")]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])


def common_names(n: int) -> str:
    """Draws of few names, some of which are common."""
    frequencies = 1.0 / np.arange(1, 301)
    ranks = np.random.default_rng(0).choice(300, n, p=frequencies / frequencies.sum())
    return "".join(f"name {chr(97 + rank % 26)}{rank}\n" for rank in ranks)


@pytest.mark.parametrize(
    "limits",
    [(), ("source_store.MAX_WHOLE_LIST_BYTES",), ("source_store.MAX_WHOLE_LIST_BYTES", "sources.folder.WHOLE_BYTES")],
)
def test_lines_that_mostly_repeat_are_draws(
    limits: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in limits:  # in memory, streamed after a pass, streamed at once
        monkeypatch.setattr(f"anew.data.{limit}", 0)
    monkeypatch.setattr("anew.data.sources.folder.SHARD_BYTES", 3000)
    (tmp_path / "n.txt").write_text(common_names(3000))
    data = opened(tmp_path)
    train, test = data.text("train"), data.text("test")
    assert data.are_draws and any("items count as draws" in note for note in data.scan.notes)
    assert any("too large for a first pass" in note for note in data.scan.notes) == (len(limits) == 2)
    assert sum(name in set(train) for name in test) > 0.9 * len(test)
    assert not any("in the training part too" in note for note in data.scan.notes)
    assert len(set(data.near_duplicate_groups(train[:50]))) == 50


@pytest.mark.parametrize("limits", [(), ("source_store.MAX_WHOLE_LIST_BYTES",)])
def test_draws_of_few_different_lines_are_enough(
    limits: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The advice on lines with a common beginning, layout=list, holds for eight different ones, too."""
    for limit in limits:
        monkeypatch.setattr(f"anew.data.{limit}", 0)
    names = common_names(3000).splitlines()
    common = [name for name, _ in Counter(names).most_common(8)]
    (tmp_path / "n.txt").write_text("".join(f"HTTP/1.1 {name}\n" for name in names if name in common))
    data = opened(tmp_path, settings={"layout": "list"})
    assert data.are_draws and len(set(data.text("train"))) == 8
    (tmp_path / "n.txt").write_text("".join(f"HTTP/1.1 {name}\n" for name in common) * 100)  # copied as a whole
    with pytest.raises(DataError, match="8 different, copies count once"):
        opened(tmp_path, settings={"layout": "list"})


def test_of_more_text_than_a_limit_some_is_drawn_from_all_files(tmp_path: Path) -> None:
    """Folders are sorted by author, language or date: the first texts are unlike the others."""
    for number in range(100):
        (tmp_path / f"{number:03}.txt").write_text(f"{'first' if number < 50 else 'second'} {number:03} " * 30)
    data = opened(tmp_path)
    whole, drawn = data.text("train"), data.text("train", 10_000)
    assert whole == sorted(whole) and sum(map(len, drawn)) == 10_000 and set(drawn[:-1]) < set(whole)
    assert 0.2 < np.mean([text.startswith("first") for text in drawn]) < 0.8
    assert num_texts(data, "train", whole) == num_texts(data, "train", drawn, 10_000) == len(whole)
    assert num_texts(data, "train", whole[:-1]) == len(whole) - 1  # one was refused


def test_carved_draws_are_no_overlap_of_the_own_parts(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text(common_names(2000))
    (tmp_path / "test.txt").write_text("".join(f"other {i}\n" for i in range(200)))
    assert not any("in the training part too" in note for note in opened(tmp_path).scan.notes)


def test_mixed_kinds_say_what_is_taken(tmp_path: Path) -> None:
    for i in range(4):
        (tmp_path / f"{i}.txt").write_text(prose(2000, i))
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    (tmp_path / "b.pdf").write_bytes(b"%PDF\0")
    data = Dataset.open(tmp_path)
    assert data.modality.name == "text" and data.scan.other == {"image": 1, ".pdf": 1}
    assert any("; 1 image (a.png) is ignored (modality=image" in note for note in data.scan.notes)


def test_mixed_encodings_are_read_and_said(tmp_path: Path) -> None:
    text = prose() + "déjà vu"
    (tmp_path / "a.txt").write_bytes(text.encode("utf-8"))
    (tmp_path / "b.txt").write_bytes(text.encode("cp1252"))
    (tmp_path / "c.txt").write_bytes(text.encode("utf-16"))
    (tmp_path / "d.txt").write_bytes(bytes(range(256)) * 20)
    data = opened(tmp_path)
    assert sum(len("".join(data.text(part))) for part in ("train", "validation", "test")) == 3 * len(text)
    assert any("not UTF-8" in note and "b.txt" in note for note in data.scan.notes)
    assert data.scan.skipped == 1 and data.scan.skipped_items[0].name == "d.txt"


def whole_text(data: Dataset) -> str:
    return "".join(text for part in ("train", "validation", "test") for text in data.text(part))


@pytest.mark.parametrize(("text", "encoding"), OLD_ENCODINGS)
@pytest.mark.parametrize("streams", [False, True])
def test_text_in_any_encoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, encoding: str, streams: bool
) -> None:
    """Read whole or in spans, also by a run that is opened again."""
    (tmp_path / "data").mkdir()
    lines = [f"{number}. {line}\n" for number in range(300) for line in text.splitlines()]
    (tmp_path / "data" / "a.txt").write_bytes("".join(lines).encode(encoding))
    if streams:
        monkeypatch.setattr("anew.data.sources.folder.WHOLE_BYTES", 1000)
        monkeypatch.setattr("anew.data.sources.selected_data.WHOLE_BYTES", 1000)
        monkeypatch.setattr("anew.data.sources.folder.SHARD_BYTES", 4000)
    settings = {"layout": "document"}
    data = opened(tmp_path / "data", settings=settings, cache=tmp_path)
    assert set(whole_text(data).splitlines(keepends=True)) <= set(lines)
    assert any("1 file is not UTF-8; read as" in note for note in data.scan.notes)
    data.modality.save(tmp_path)
    monkeypatch.setattr(
        "anew.data.formats.text.encoding_recognition.scores", lambda sample: {}
    )  # what was chosen is kept
    assert whole_text(Dataset.reopen(data.state(), tmp_path)) == whole_text(data)


def test_an_encoding_that_is_asked_for_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes((RUSSIAN * 50).encode("koi8-r"))
    data = opened(tmp_path / "a.txt", settings={"encoding": "cp1251", "layout": "document"})
    garbage = RUSSIAN.encode("koi8-r").decode("cp1251")
    assert garbage.splitlines()[0] in whole_text(data)
    data.modality.save(tmp_path)
    assert whole_text(Dataset.reopen(data.state(), tmp_path)) == whole_text(data)
    (tmp_path / "samples.txt").write_text(RUSSIAN * 50, encoding="utf-8")  # what Anew writes is UTF-8
    other = Dataset.open_like(data.state(), tmp_path, str(tmp_path / "samples.txt"))
    assert RUSSIAN.splitlines()[0] in "".join(other.text("all"))


def test_other_data_may_be_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes((RUSSIAN * 50).encode("koi8-r"))
    (tmp_path / "b.txt").write_bytes((RUSSIAN * 50).encode("cp1251"))
    data = opened(tmp_path / "a.txt", settings={"layout": "document"})
    data.modality.save(tmp_path)
    other = Dataset.open_like(data.state(), tmp_path, str(tmp_path / "b.txt"))
    assert RUSSIAN.splitlines()[0] in "".join(other.text("all"))


def test_other_data_may_name_its_own_encoding_and_column(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes((RUSSIAN * 50).encode("koi8-r"))
    data = opened(tmp_path / "a.txt", settings={"layout": "document", "encoding": "koi8-r"})
    data.modality.save(tmp_path)
    line = RUSSIAN.splitlines()[0]
    (tmp_path / "b.tsv").write_bytes(f"author\tquote\n1\t{line}\n".encode("cp1251"))
    own = {"text_column": "quote", "encoding": "cp1251"}
    other = Dataset.open_like(data.state(), tmp_path, str(tmp_path / "b.tsv"), settings=own)
    assert other.text("all") == [line]
    (tmp_path / "b.txt").write_bytes(RUSSIAN.encode("cp1251"))
    other = Dataset.open_like(data.state(), tmp_path, str(tmp_path / "b.txt"), settings={"encoding": "cp1251"})
    assert other.text("all") == [RUSSIAN]
    with pytest.raises(DataError, match="has no column 'quot'; did you mean 'quote'"):
        Dataset.open_like(data.state(), tmp_path, str(tmp_path / "b.tsv"), settings={"text_column": "quot"})


def test_older_runs_read_windows_1252(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes((SPANISH * 50).encode("cp1252"))
    data = opened(tmp_path / "a.txt", settings={"layout": "document"})
    data.modality.save(tmp_path)
    state = data.state()
    learned = {name: value for name, value in state.learned.items() if name != "files"}
    config = {name: value for name, value in state.config.items() if name != "encoding"}
    again = Dataset.reopen(state.model_copy(update={"learned": learned, "config": config}), tmp_path)
    assert whole_text(again) == whole_text(data)


def test_files_in_another_encoding_than_asked_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes((JAPANESE * 50).encode("euc_jp"))
    (tmp_path / "b.txt").write_bytes((RUSSIAN * 50).encode("koi8-r"))
    data = opened(tmp_path, settings={"encoding": "euc-jp", "layout": "document"})
    assert [(item.name, item.reason.partition(",")[0]) for item in data.scan.skipped_items] == [
        ("b.txt", "it is not EUC-JP")
    ]
    with pytest.raises(ConfigError, match="encoding='utf-16' is not allowed"):
        opened(tmp_path, settings={"encoding": "utf-16"})


def test_programs_in_any_encoding(tmp_path: Path) -> None:
    for number in range(20):
        source = "".join(f"# {line}\nx{number} = {number}\n" for line in RUSSIAN.splitlines() * 3)
        (tmp_path / f"{number}.py").write_bytes(source.encode("cp1251"))
    data = opened(tmp_path)
    assert data.modality.name == "code" and RUSSIAN.splitlines()[0] in whole_text(data)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"  \n ", "no usable text"),
        (b"one line\n", "at least 1,000 are needed"),
        (b"\x00\x01\x02\x03" * 500, "binary|nothing that can be learned|no usable"),
    ],
)
def test_text_that_cannot_be_used(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=message) as refusal:
        Dataset.open(tmp_path).fit(SIZE)
    assert "\n" not in str(refusal.value)


def test_bad_paths_modalities_and_settings(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        Dataset.open(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no files"):
        Dataset.open(tmp_path)
    (tmp_path / "a.txt").write_text(prose())
    with pytest.raises(DataError, match="did you mean 'text'"):
        Dataset.open(tmp_path, modality="texts")
    with pytest.raises(DataError, match="holds no image"):
        Dataset.open(tmp_path, modality="image")
    with pytest.raises(ConfigError, match="did you mean 'vocab'"):
        Dataset.open(tmp_path, settings={"vocabs": 3})
    with pytest.raises(DataError, match="unknown part"):
        opened(tmp_path).text("tests")


def test_batch_is_cheap(tmp_path: Path) -> None:
    import time

    (tmp_path / "a.txt").write_text(prose(200_000))
    data = opened(tmp_path)
    data.batch(0, "main", 0, 32, 32)
    start = time.process_time()
    for step in range(100):
        data.batch(step, "main", 0, 32, 32)
    assert (time.process_time() - start) / 100 < 0.003


def test_records_of_one_shape_are_near_duplicates_but_no_draws(tmp_path: Path) -> None:
    """Most of them are 70% alike, which was taken for repeating an earlier one."""
    shapes = [
        "".join(f'"{key}{shape}": {{"version_added": false, "notes": null}}, ' for key in range(8))
        for shape in range(60)
    ]
    counts = np.minimum(40, 400 // np.arange(1, 61) ** 1.2).astype(int) + 1
    lines = [f'{{{shapes[s]}"id": {s * 100 + i}}}\n' for s, count in enumerate(counts) for i in range(count)]
    assert len(set(lines)) == len(lines) and len(lines) > 2 * len(shapes)
    (tmp_path / "n.txt").write_text("".join(lines))
    data = opened(tmp_path, settings={"layout": "list"})
    assert not data.are_draws and any("nearly the same as an earlier one" in note for note in data.scan.notes)
    assert not {line[:400] for line in data.text("train")} & {line[:400] for line in data.text("test")}
