"""Equal characters in a row have equal hashes, wherever they stand."""

from __future__ import annotations

import numpy as np
import pytest

from anew.functional.text_hashes import code_points, ngram_cells, window_hashes


def test_code_points_are_those_of_python() -> None:
    text = "aé\U0001f600\udce9"
    assert code_points(text).tolist() == [ord(character) for character in text]


@pytest.mark.parametrize("width", [1, 4, 8])
def test_windows_are_equal_where_their_characters_are(width: int) -> None:
    text = "the cat and the catalogue of the cathedral"
    windows = [text[i : i + width] for i in range(len(text) - width + 1)]
    hashes = window_hashes(code_points(text), width).tolist()
    assert len(hashes) == len(windows) and len(set(hashes)) == len(set(windows)) == len(
        set(zip(windows, hashes, strict=True))
    )


@pytest.mark.parametrize("width", [0, 5])
def test_a_width_that_is_not_a_power_of_two_is_refused(width: int) -> None:
    """Of a width of 5, 8 characters were hashed."""
    with pytest.raises(ValueError, match=f"width={width} is not a power of two"):
        window_hashes(code_points("a river"), width)


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_ngrams_have_one_cell_each(width: int) -> None:
    text = "abcabcab"
    cells = ngram_cells(code_points(text), width, 1 << 30)
    assert len(cells) == len(text) - width + 1 and np.array_equal(cells[3:], cells[: len(cells) - 3])
    assert cells.max() < 1 << 30 and not len(ngram_cells(code_points("a"), 2, 7))
