"""Whether a long file is a single sound, and what a lower rate loses of it."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import soundfile

from anew.core.reading_time import ReadingTime
from anew.data.formats.sound.audio import Header, Samples
from anew.data.formats.sound.audio_clips import Shape, choose
from anew.data.formats.sound.sound_survey import (
    LISTENED_SECONDS,
    Contents,
    Extent,
    can_survey_singles,
    describe_changes,
    describe_files,
    extent_of,
    files_in_time,
    is_single,
    listen,
    share_above,
)
from anew.data.types import DataBudget, Item

RATE, SECONDS, CLIP = 8000, 4.0, 0.75
RNG = np.random.default_rng(0)
NOISE = RNG.normal(0.0, 0.3, round(RATE * SECONDS)).astype(np.float32)


def envelope(*hits: tuple[float, float, float], floor: float = 0.0) -> Samples:
    """Noise that begins at each time (s) with a level and dies away within so many seconds (e-fold), over a floor."""
    t = np.arange(len(NOISE)) / RATE
    shapes = [level * np.exp(-(t - begin) / decay) * (t >= begin) for begin, level, decay in hits]
    return np.asarray(NOISE * np.maximum(np.max(shapes, axis=0), floor), np.float32)


def dipping(x: Samples) -> Samples:
    """The same, with a tenth of the level for 50 ms."""
    return np.asarray(np.where(np.arange(len(x)) // (RATE // 20) == 40, 0.1 * x, x), np.float32)


@pytest.mark.parametrize(
    ("x", "single"),
    [
        (envelope((0.0, 1.0, 0.3)), True),
        (envelope((0.5, 1.0, 0.1)), True),  # silence before and after it
        (envelope((0.0, 1.0, 0.8)), True),  # a bell
        (envelope((0.0, 1.0, 0.2), (0.2, 0.6, 0.3)), True),  # two strokes within the first clip
        (dipping(envelope((0.0, 1.0, 0.8))), True),
        (envelope((0.0, 1.0, 0.3), floor=0.003), True),  # the noise of a tape
        (envelope((0.0, 1.0, 0.2), (2.0, 0.5, 0.2)), False),  # a second sound after it
        (envelope((0.0, 1.0, 0.1), (1.5, 0.05, 0.1), floor=0.001), False),  # a soft one, as after a pause
        (envelope((0.0, 0.3, 0.1), (2.0, 1.0, 0.2)), False),  # the loudest comes late
        (envelope((0.0, 1.0, 60.0)), False),  # a steady sound
        (np.zeros(len(NOISE), np.float32), False),
    ],
)
def test_a_single_sound_dies_away_and_nothing_begins_after_it(x: Samples, single: bool) -> None:
    assert is_single(x, RATE, CLIP) == single


def test_the_energy_above_a_frequency() -> None:
    t = np.arange(2 * RATE) / RATE
    x = (np.sin(2 * np.pi * 500 * t) + 0.5 * np.sin(2 * np.pi * 3000 * t)).astype(np.float32)
    assert share_above(x, RATE, 2000.0) == pytest.approx(0.2, abs=0.01)
    assert share_above(x, RATE, 3900.0) < 0.001 and share_above(0.0 * x, RATE, 100.0) == 0.0


def test_files_are_listened_to_for_a_bounded_time() -> None:
    shape = Shape(RATE, 128, 512, 48, 48)
    assert files_in_time([Header(RATE, 1, 2 * RATE)] * 20, shape) == list(range(20))
    # Short, and no single sound
    assert files_in_time([Header(RATE, 1, RATE), Header(RATE, 1, 3600 * RATE)], shape) == []
    many = files_in_time([Header(2 * RATE, 1, 3600 * RATE)] * 200, shape)
    assert 5 <= len(many) <= LISTENED_SECONDS / 30 and many[-1] > 150


class Listener:
    """Stands in for a modality."""

    native = False

    def __init__(self, contents: Callable[[Item], Contents]) -> None:
        self._contents = contents

    def contents(self, item: Item) -> Contents:
        return self._contents(item)


@pytest.mark.parametrize(("seconds", "least", "most"), [(0.001, 300, 300), (0.05, 8, 16)])
def test_enough_files_are_listened_to_however_late_it_is(seconds: float, least: int, most: int) -> None:
    now = 0.0

    def heard(item: Item) -> Contents:
        nonlocal now
        now += seconds
        return Contents(Header(RATE, 1, RATE), False, 0.0)

    budget = DataBudget(60.0, 300, 0, reading=ReadingTime(60.0, elapsed=59.0, clock=lambda: now))
    items, headers = [Item("sound", np.zeros(1))] * 300, [Header(2 * RATE, 1, RATE)] * 300
    shape = Shape(RATE, 128, 512, 48, 48)
    assert least <= len(listen(Listener(heard).contents, items, headers, shape, budget)) <= most


def test_what_a_lower_rate_loses_is_said_of_the_files_that_were_listened_to() -> None:
    shape = Shape(RATE, 128, 512, 48, 48)
    headers = [Header(4 * RATE, 1, RATE)] * 30
    contents = [Contents(header, False, 0.001 * number) for number, header in enumerate(headers)]

    def loss(count: int) -> str:
        notes = describe_files(headers, shape, DataBudget(60.0, 30, 0), contents[-count:])
        return next(note for note in notes if "resampled" in note)

    assert "is lost, 1.5% of the energy of a file on average and up to 2.9%; rate=" in loss(30)
    assert "is lost, 2.8% of the energy of a file on average and up to 2.9% in the 4 that were listened to;" in loss(4)
    assert "is lost, 2.9% of the energy of a file that was listened to;" in loss(1)


def test_how_many_long_files_were_listened_to_is_said() -> None:
    shape = Shape(RATE, 128, 512, 48, 48)
    headers = [Header(RATE, 1, round(2.5 * shape.seconds * RATE))] * 30
    contents = [Contents(header, True, 0.0) for header in headers]
    least = f"{2 * shape.seconds:.1f} s"
    (all_heard,) = _notes_on_singles(describe_files(headers, shape, None, contents))
    assert all_heard.startswith(f"Of 30 files of {least} and more, 30 hold a single sound")
    assert all_heard.endswith("the fainter rest (30 clips) is left out.")
    (some_heard,) = _notes_on_singles(describe_files(headers, shape, None, contents[:9]))
    assert some_heard.startswith(
        f"Of 30 files of {least} and more, 9 were listened to, and 9 of them hold a single sound"
    )
    assert some_heard.endswith("the fainter rest is left out.")
    (one_heard,) = _notes_on_singles(describe_files(headers, shape, None, contents[:1]))
    assert ", 1 was listened to, and 1 of them holds a single sound" in one_heard


def test_a_file_that_is_long_by_its_silent_ends_alone_is_one_clip() -> None:
    shape = Shape(RATE, 128, 512, 48, 48)
    word = np.concatenate([np.zeros(RATE), NOISE[:RATE], np.zeros(RATE)]).astype(np.float32)
    data = io.BytesIO()
    soundfile.write(data, word, RATE, format="WAV")
    heard = extent_of(data.getvalue(), shape, trims=True)
    assert not heard.is_single or heard.stop - heard.start < 2 * shape.length
    assert abs(heard.start - RATE) < RATE // 20 and abs(heard.stop - 2 * RATE) < RATE // 20
    assert extent_of(data.getvalue(), shape, trims=False) == Extent(heard.is_single, 0, 3 * RATE)
    headers = [Header(RATE, 1, 3 * RATE)] * 30
    contents = [Contents(header, False, 0.0, i < 20) for i, header in enumerate(headers)]
    notes = describe_files(headers, shape, None, contents, trims=True)
    assert (
        "Of 30 files of 1.5 s and more, 20 are shorter without the silence at both ends: each is one clip." in notes
        and "Other files of 1.5 s and more are cut into clips." in notes
    )


def test_of_more_sound_than_a_budget_can_hear_every_long_file_is_cut() -> None:
    shape = Shape(RATE, 128, 512, 48, 48)
    headers = [Header(RATE, 1, 3 * RATE)] * 30
    contents = [Contents(header, False, 0.0, True) for header in headers]
    short, long = DataBudget(60.0, 1000, 0), DataBudget(180.0, 1000, 0)
    assert not can_survey_singles(headers, shape, short) and can_survey_singles(headers, shape, long)
    notes = describe_files(headers, shape, short, contents, trims=True)
    assert "Files of 1.5 s and more are cut into clips (30 of the 30 files that were looked at)." in notes
    assert notes[-1].endswith("is too short to listen to every file: with about 2.5 min each such file is one clip.")


def _notes_on_singles(notes: list[str]) -> list[str]:
    return [note for note in notes if "a single sound" in note]


def test_the_settings_named_are_those_of_the_changes() -> None:
    assert describe_changes(True, False, None) == ["Silence is trimmed at both ends (trim=false to leave this out)."]
    (both,) = describe_changes(True, True, None)
    assert both.endswith("every clip is brought to the same peak (trim=false, level=keep to leave this out).")


def test_of_files_that_lose_much_it_is_told_what_learns_whole_ones() -> None:
    """Half of each of 1,500 files of 2 s was left out, of which it was said that they were a little longer than a clip."""
    shape = Shape(RATE, 128, 512, 48, 48)
    usual = 1.9 * shape.seconds
    headers = [Header(RATE, 1, round(usual * RATE))] * 3
    advice = f"seconds={usual:.2g} learns whole files"
    plain, trimmed = (describe_files(headers, shape, None, trims=trims)[-1] for trims in (False, True))
    assert plain == (
        f"Files of about {usual:.2g} s are longer than a clip: their loudest {shape.seconds:.2f} s are learned, and the rest is left "
        f"out (3 of the 3 files that were looked at); {advice}."
    )
    assert trimmed == (
        f"Files of about {usual:.2g} s are longer than a clip: unless they are shorter without the silence at both ends, their loudest "
        f"{shape.seconds:.2f} s are learned, and the rest is left out; {advice}."
    )


def test_long_files_among_those_looked_at_are_not_said_to_be_those_of_all_data() -> None:
    """Of 43 files of 1.5 s and more were spoken of: those of 256 files; 133 files of all were so long."""
    shape = Shape(RATE, 128, 512, 48, 48)
    headers = [Header(RATE, 1, round(seconds * shape.seconds * RATE)) for seconds in (3.0, 3.0, 0.9)]
    contents = [Contents(header, True, 0.0) for header in headers]
    note = next(note for note in describe_files(headers, shape, None, contents) if note.startswith("Of "))
    assert note.startswith(
        f"Of 2 files of {2 * shape.seconds:.1f} s and more among the 3 that were looked at, 2 hold a single sound"
    )


def test_of_files_whose_silence_is_trimmed_no_count_of_those_that_are_cut_is_claimed() -> None:
    """155 of 255 were said to be cut, by the lengths in their headers; without silence at their ends 17 were longer than a clip."""
    shape = Shape(RATE, 128, 512, 48, 48)
    headers = [Header(RATE, 1, round(1.2 * shape.seconds * RATE))] * 3
    cut = f"are cut to their loudest {shape.seconds:.2f} s"
    assert f"Files a little longer than a clip {cut} (3 of the 3 files that were looked at)." in describe_files(
        headers, shape, None
    )
    trimmed = describe_files(headers, shape, None, trims=True)
    assert f"Files a little longer than a clip once silence is trimmed {cut}." in trimmed


def test_of_signals_that_the_budget_does_not_cut_it_is_not_said_to() -> None:
    budget = DataBudget(120.0, 100, 10**6)
    for seconds, is_cut in ((2.0, False), (3_600.0, True)):
        headers = [Header(250, 1, round(250 * seconds))] * 40
        (note, *_) = describe_files(headers, choose(headers, budget, None, None), budget)
        assert ("to fit 120 s" in note) == is_cut
