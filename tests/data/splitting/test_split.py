"""Twins stay together, parts have their shares, spans cut nothing away."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anew.data.modalities.text import Text, TextConfig
from anew.data.splitting import near_duplicates, split
from anew.data.types import Item
from anew.errors import DataError

TEXT = Text(TextConfig())
WORDS = ("alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau").split()  # noqa: SIM905


def document(seed: int, n: int = 120) -> str:
    rng = np.random.default_rng(seed)
    return " ".join(WORDS[i] + str(rng.integers(100)) for i in rng.integers(0, len(WORDS), n))


def test_twins_by_normal_form_and_by_likeness() -> None:
    base = [document(i) for i in range(60)]
    near = base[3].replace("alpha", "ALPHA").replace(" ", "  ", 3)
    close = base[7][:400] + " inserted words " + base[7][400:]
    items = [Item(str(i), text) for i, text in enumerate([*base, near, close])]
    keys = near_duplicates.group_keys(items, TEXT)
    assert keys[60] == keys[3] and keys[61] == keys[7] and len(set(keys)) == 60


def test_divide_has_its_shares_and_is_stable_under_additions() -> None:
    keys = [near_duplicates.exact_key(Item("", document(i, 20))) for i in range(1000)]
    parts = split.assign_parts(keys, [1] * 1000, 0.1, [split.VALIDATION, split.TEST])
    assert np.bincount(parts).tolist() == [800, 100, 100]
    again = split.assign_parts(keys[:990], [1] * 990, 0.1, [split.VALIDATION, split.TEST])
    assert (again == parts[:990]).mean() > 0.98
    shuffled = np.random.default_rng(0).permutation(1000)
    moved = split.assign_parts([keys[i] for i in shuffled], [1] * 1000, 0.1, [split.VALIDATION, split.TEST])
    assert (moved == parts[shuffled]).all()


@pytest.mark.parametrize("total", [near_duplicates.COMPARED_CHARACTERS, 1])
def test_pages_that_begin_and_end_alike_are_no_copies(total: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "COMPARED_CHARACTERS", total)
    frame = " ".join(f"menu{i}" for i in range(900))
    bodies = [" ".join(f"word{(i * 7919 + j) % 99991}" for j in range(0, 9_000, 3)) for i in range(12)]
    pages = [Item(str(i), frame + body + frame) for i, body in enumerate(bodies)]
    changed = [replace(page, data=page.text.replace("5", "6", 40)) for page in pages]
    keys = near_duplicates.group_keys([*pages, *changed], TEXT)
    assert len(set(keys)) == 12 and keys[:12] == keys[12:]


def drawn(n: int, skew: float, seed: int = 0) -> list[int]:
    """Keys of n draws from 500 records whose frequencies fall as a power of their rank."""
    frequencies = 1.0 / np.arange(1, 501) ** skew
    ranks = np.random.default_rng(seed).choice(500, n, p=frequencies / frequencies.sum())
    return [near_duplicates.exact_key(Item("", f"name {rank}")) for rank in ranks]


def test_copies_of_a_whole_list_are_no_draws() -> None:
    distinct = [near_duplicates.exact_key(Item("", f"name {i}")) for i in range(700)]
    assert not split.are_draws(distinct) and not split.are_draws(distinct * 3) and not split.are_draws([])
    assert not split.are_draws(drawn(600, 0.0))  # two thirds differ
    assert (
        split.are_draws(drawn(1500, 0.0)) and split.are_draws(drawn(1500, 1.0)) and split.are_draws(drawn(30_000, 0.0))
    )


def test_draws_are_held_out_one_by_one() -> None:
    keys = drawn(4000, 1.0)
    own = split.keys_of_draws(keys)
    assert len(set(own)) == 4000
    parts = split.assign_parts(own, [1] * 4000, 0.1, [split.VALIDATION, split.TEST])
    assert np.bincount(parts).tolist() == [3200, 400, 400]
    most_common = max(set(keys), key=keys.count)
    is_common = np.array(keys) == most_common
    assert is_common[parts == split.TEST].mean() == pytest.approx(is_common.mean(), rel=0.35)
    shuffled = np.random.default_rng(0).permutation(4000)  # only how many equal ones precede a record matters
    again = split.assign_parts(
        split.keys_of_draws([keys[i] for i in shuffled]), [1] * 4000, 0.1, [split.VALIDATION, split.TEST]
    )
    assert sorted(zip(keys, parts.tolist(), strict=True)) == sorted(
        zip([keys[i] for i in shuffled], again.tolist(), strict=True)
    )


def test_one_huge_document_is_not_held_out() -> None:
    keys = [near_duplicates.exact_key(Item("", str(i))) for i in range(100)]
    for huge in range(100):
        sizes = [1000] * 100
        sizes[huge] = 100_000
        assert split.assign_parts(keys, sizes, 0.05, [split.VALIDATION, split.TEST])[huge] == split.TRAIN


def test_a_few_huge_documents_do_not_cost_train_the_others() -> None:
    keys = [near_duplicates.exact_key(Item("", str(i))) for i in range(300)]
    sizes = [400_000 if i % 100 == 0 else 5_000 for i in range(300)]
    parts = split.assign_parts(keys, sizes, 0.15, [split.VALIDATION, split.TEST])
    counts = np.bincount(parts).tolist()
    assert parts[::100].tolist() == [split.TRAIN] * 3 and counts[split.VALIDATION] == counts[split.TEST] == 57


def test_groups_are_never_parted() -> None:
    keys = [i // 3 for i in range(300)]
    parts = split.assign_parts(keys, [1] * 300, 0.1, [split.VALIDATION, split.TEST])
    assert all(len(set(parts[i : i + 3].tolist())) == 1 for i in range(0, 300, 3))


@pytest.mark.parametrize(("count", "copies"), [(10, 8), (12, 8), (12, 100)])
def test_each_of_few_items_may_be_there_often(count: int, copies: int) -> None:
    """Of 96 texts of 12 different ones none was small enough to be held out, and the user was told to give 10."""
    keys = [near_duplicates.exact_key(Item("", str(i % count))) for i in range(count * copies)]
    share = split.held_out_share(len(keys), split.ENOUGH_ITEMS)
    carve = [split.VALIDATION, split.TEST]
    parts = split.assign_parts(keys, [1] * len(keys), share, carve)
    split.check(parts, carve, "text item", count)
    assert np.bincount(parts)[split.TRAIN] > len(keys) / 2


def test_too_few_to_split() -> None:
    parts = split.assign_parts([1, 1, 1], [1] * 3, 0.1, [split.VALIDATION, split.TEST])
    with pytest.raises(DataError, match="too few"):
        split.check(parts, [split.VALIDATION, split.TEST], "image item")


@pytest.mark.parametrize(
    ("keys", "sentence"), [(range(3), "3 image items are"), ([7] * 1000, r"1000 image items \(1 diff")]
)
def test_fewer_than_ten_different_items_are_refused(keys: Iterable[int], sentence: str) -> None:
    own, carve = list(keys), [split.VALIDATION, split.TEST]
    with pytest.raises(DataError, match=f"{sentence}.*give at least 10 different ones"):
        split.check(split.assign_parts(own, [1] * len(own), 0.1, carve), carve, "image item", len(set(own)))
    split.check(
        np.array([split.TRAIN, split.VALIDATION, split.TEST], dtype=np.uint8), [], "image item"
    )  # the user's own
    parts = split.assign_parts(list(range(10)), [1] * 10, 0.1, carve)
    split.check(parts, carve, "image item", 10)


@pytest.mark.parametrize("every", [1000, 1900, 30_000])
def test_far_line_ends_do_not_cost_a_part(every: int) -> None:
    text = ("x" * every + "\n") * (20_000 // every) + "y" * 21_013
    for size in (1000, 5000, 20_013, 21_013):
        pieces = split.split_spans([Item("a", text[:size])], [split.VALIDATION, split.TEST])
        sizes = [sum(len(item.data) for item, own in pieces if own == part) for part in range(3)]
        assert sum(sizes) == size and min(sizes) > 0.02 * size


@given(st.lists(st.text("ab \n", min_size=1, max_size=400), min_size=1, max_size=6), st.booleans())
@settings(max_examples=60, deadline=None)
def test_spans_cut_nothing_away(texts: list[str], both: bool) -> None:
    held_out = [split.VALIDATION, split.TEST] if both else [split.VALIDATION]
    try:
        pieces = split.split_spans([Item(str(i), text) for i, text in enumerate(texts)], held_out)
    except DataError as error:
        assert "characters" in str(error) and sum(map(len, texts)) < 50
        return
    assert "".join(item.data for item, _ in pieces) == "".join(texts)
    assert sum(item.begins for item, _ in pieces) == sum(item.ends for item, _ in pieces) == len(texts)
    assert {part for _, part in pieces} <= {split.TRAIN, *held_out}


def test_spans_hold_out_their_share_at_line_ends() -> None:
    text = "".join(f"line number {i}\n" for i in range(110_000))
    pieces = split.split_spans([Item("a", text)], [split.VALIDATION, split.TEST])
    share = sum(len(item.data) for item, part in pieces if part == split.TEST) / len(text)
    assert 0.045 < share < 0.055 and all(item.data.endswith("\n") for item, _ in pieces)
    assert sum(part == split.TEST for _, part in pieces) == split.MAX_REGIONS


def test_the_sentence_on_a_split_says_the_counts_of_each_part() -> None:
    parts = np.repeat([split.TRAIN, split.VALIDATION, split.TEST], [1800, 100, 120]).astype(np.uint8)
    notes = split.split_notes(parts, 1002, False)
    assert notes[0] == "Split at random by content: of 2,020 items 1,800 to train, 100 to validation, 120 to test."
    assert "of 2,020 items (3 more cannot be used) 1,800" in split.split_notes(parts, 0, False, num_refused=3)[0]
    assert (
        notes[1].startswith("1,002 of 2,020 items are the same as an earlier one, or nearly")
        and "by content and length" in split.split_notes(parts, 0, True)[0]
    )


def test_small_data_holds_out_what_a_report_needs() -> None:
    assert split.held_out_share(1_200, split.ENOUGH_ITEMS) * 1_200 == pytest.approx(split.NEEDED_ITEMS)
    assert split.held_out_share(2_000, split.ENOUGH_ITEMS) == split.MAX_SHARE
    assert split.held_out_share(500, split.ENOUGH_ITEMS) == split.NEEDED_SHARE
    assert split.held_out_share(40, split.ENOUGH_ITEMS) == split.NEEDED_SHARE
    assert split.held_out_share(3_657, split.ENOUGH_ITEMS) * 3_657 == pytest.approx(split.ENOUGH_ITEMS)
    assert split.held_out_share(100_000, split.ENOUGH_ITEMS) == split.HELD_OUT_SHARE


def test_a_test_part_that_can_only_show_faults_is_said() -> None:
    small, large = (np.array([split.TRAIN] * 5 * n + [split.TEST] * n, dtype=np.uint8) for n in (24, 300))
    assert "24 held-out items can show faults" in split.split_notes(small, 0, False)[-1]
    assert not any("held-out items can" in note for note in split.split_notes(large, 0, False))
    short, long = (split.split_notes(small, 0, True, test_characters=count) for count in (20_000, 60_000))
    assert (
        short[-1].startswith("20,000 characters in the test part can show faults") and "takes about 80,000" in short[-1]
    )
    # 24 documents are long enough, or their length is not known
    assert len(long) == len(split.split_notes(small, 0, True)) == 1


def recordings(n: int, seed: int) -> tuple[list[int], list[str]]:
    """Keys and classes of clips of n recordings of two classes, most of one clip, a few of up to 80."""
    rng = np.random.default_rng(seed)
    lengths = np.minimum(1 + rng.pareto(0.9, n), 80).astype(int)
    classes = rng.choice(["cat", "dog"], n)
    keys = rng.integers(0, 2**63, n, dtype=np.uint64)
    return np.repeat(keys, lengths).tolist(), np.repeat(classes, lengths).tolist()


@pytest.mark.parametrize("seed", range(6))
def test_recordings_are_held_out_with_the_mix_of_classes_of_the_data(seed: int) -> None:
    keys, classes = recordings(900, seed)
    parts = split.assign_parts_by_class(keys, [1] * len(keys), classes, 0.08, [split.VALIDATION, split.TEST])
    is_cat = np.array(classes) == "cat"
    for part in (split.TRAIN, split.VALIDATION, split.TEST):
        assert is_cat[parts == part].mean() == pytest.approx(is_cat.mean(), abs=0.05)
        assert part == split.TRAIN or 0.06 < (parts == part).mean() < 0.1
    assert len(dict(zip(keys, parts.tolist(), strict=True))) == len(set(zip(keys, parts.tolist(), strict=True)))
    shuffled = np.random.default_rng(0).permutation(len(keys)).tolist()
    again = split.assign_parts_by_class(
        [keys[i] for i in shuffled],
        [1] * len(keys),
        [classes[i] for i in shuffled],
        0.08,
        [split.VALIDATION, split.TEST],
    )
    assert (again == parts[shuffled]).all()


def test_classes_of_one_recording_each_are_not_taken_from_train() -> None:
    keys = [number for number in range(100) for _ in range(5)]
    classes = [f"speaker {key}" for key in keys]
    parts = split.assign_parts_by_class(keys, [1] * 500, classes, 0.1, [split.VALIDATION, split.TEST])
    assert np.bincount(parts).tolist() == [400, 50, 50]
    with_rare = split.assign_parts_by_class(
        keys, [1] * 500, ["rare" if key == 7 else "" for key in keys], 0.1, [split.TEST]
    )
    assert with_rare[35] == split.assign_parts(keys, [1] * 500, 0.1, [split.TEST])[35]


def test_long_recordings_of_equal_length_are_held_out_too() -> None:
    keys = [number for number in range(200) for _ in range(20)]
    classes = ["ABCD"[key % 4] for key in keys]
    parts = split.assign_parts_by_class(keys, [1] * 4000, classes, 0.075, [split.VALIDATION, split.TEST])
    counts = [np.bincount(parts[np.array(classes) == name]).tolist() for name in "ABCD"]
    assert counts == [[840, 80, 80]] * 4
