"""Samples of lists of JSON records, XML records or molecules parse: one that does not is drawn again, which changes nothing else of their
distribution.

Legend for shapes: n samples, L tokens of the longest, l tokens of a prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from anew.core.arrays import Bools, Ints, spaced_indices
from anew.core.grammars.record_languages import RECORD_LANGUAGES, RecordLanguage, language_of
from anew.families.transformer.fitted_buffers import FittedBuffers

MAX_ASKED = 4000  # training records that show the language, from everywhere in the data: JSON takes 10 us each, a molecule 100; chosen
# Largest share of training records that may fail to parse. If more do, samples that fail are like the data and are kept; chosen
MAX_BROKEN = 0.001
INCONSISTENT = "the language of records is inconsistent"


class RecordSyntax(FittedBuffers):
    """The language that nearly all training records are written in, as a buffer. Without one, samples are not asked.

    Args:
        spellings: (V,) the bytes of each token; () where there are none.
        special: Ids of the symbols that are not part of a record's content, by name.
    """

    # (1,) the number of the language
    dtypes: Mapping[str, torch.dtype] = {"language": torch.uint8}

    def __init__(self, spellings: Sequence[bytes], special: Mapping[str, int]) -> None:
        super().__init__()
        # Records that are read from both ends are sequences
        self.spellings = () if "back" in special or "end" not in special else spellings
        self.begin_id, self.end_id, self.pad_id = (special.get(name, -1) for name in ("begin", "end", "pad"))

    @property
    def is_fitted(self) -> bool:
        return "language" in self._buffers

    @property
    def left_out(self) -> tuple[str, ...]:
        if not self.is_fitted:
            return ()
        return (f"the check that draws a sample again if it is not valid {self._language.name}",)

    @property
    def _language(self) -> RecordLanguage:
        return RECORD_LANGUAGES[int(self.get_buffer("language"))]

    def fit(self, records: Sequence[Ints]) -> None:
        """Learn the language of records (ids with begin and end), if they have one. Parts of long ones are passed over."""
        self.drop_buffers(*self.dtypes)
        if not self.spellings:
            return
        numbers = spaced_indices(len(records), min(MAX_ASKED, len(records))).tolist()
        texts = [self._text_of(records[number]) for number in numbers if self._is_whole(records[number])]
        language = language_of(texts, MAX_BROKEN)
        if language is not None:
            self.set_buffers({"language": np.array([RECORD_LANGUAGES.index(language)], dtype=np.uint8)})

    def check(self) -> None:
        if self.is_fitted:
            language = self.get_buffer("language")
            if language.shape != (1,) or int(language) >= len(RECORD_LANGUAGES):
                raise ValueError(INCONSISTENT)

    def are_broken(self, rows: Ints, prompts: Ints) -> Bools:
        """(n,) whether samples (n, L) do not parse, or not as far as they go if they have no end; none of those whose prompts (n, l) do
        not, either."""
        pairs = zip(rows, prompts, strict=True)
        return np.array([self._is_broken(row) and self._can_go_on(prompt) for row, prompt in pairs], dtype=bool)

    def _is_broken(self, ids: Ints) -> bool:
        has_end = bool((ids == self.end_id).any())
        return not (self._language.is_whole(self._text_of(ids)) if has_end else self._can_go_on(ids))

    def _can_go_on(self, ids: Ints) -> bool:
        return self._language.can_go_on(self._text_of(ids))

    def _is_whole(self, ids: Ints) -> bool:
        is_beginning = self.begin_id < 0 or (len(ids) > 0 and ids[0] == self.begin_id)
        return is_beginning and bool((ids == self.end_id).any())

    def _text_of(self, ids: Ints) -> str:
        """The text of a record's ids, up to its end."""
        content = ids.tolist()
        stop = content.index(self.end_id) if self.end_id in content else None
        tokens = (token for token in content[:stop] if token not in (self.begin_id, self.pad_id))
        return b"".join([self.spellings[token] for token in tokens]).decode("utf-8", "replace")
