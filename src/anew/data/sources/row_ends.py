"""Where the rows of a table in text end, found in its bytes.

A line break ends a row unless it is quoted. As in the `csv` module, a quote quotes only at the beginning of a cell, and two in a row
within a quoted cell are a letter. Unlike there, it also has to be closed at the end of its cell: other quotes are letters, as in
`3.5" floppy` or in a cell that begins with one.
"""

from __future__ import annotations

import re
from typing import IO

from anew.data import limits

SEARCHED_BYTES = 1 << 16  # bytes read at a time to find the end of a row
QUOTED = '"(?:[^"]++|"")*+"'


class RowEnds:
    """Finds rows in the bytes of a table.

    delimiter: What divides cells, one ASCII character; "" for JSON lines, in which nothing is quoted.
    """

    def __init__(self, delimiter: str = "") -> None:
        self._is_quoting = bool(delimiter)
        end, other = f" *+[{delimiter}\r\n]", f" *+[^{delimiter}\r\n ]"
        # A quote that nothing closes yet fits none of these, since more bytes may follow
        cell = f'(?:{QUOTED}(?={end})|(?!")|(?={QUOTED}{other}))[^{delimiter}\n]*+'
        last_cell = f"(?:{QUOTED}(?={end}|\\Z))?+[^{delimiter}\n]*+"
        row, last_row = (f"{form}(?:[{delimiter}]{form})*+" for form in (cell, last_cell))
        if not self._is_quoting:
            row = last_row = "[^\n]*+"
        self._rows, self._row, self._last_row = (
            re.compile(pattern.encode()) for pattern in (f"(?:{row}\n)*+", f"{row}\n", f"{last_row}(?:\n|\\Z)")
        )

    def first(self, stream: IO[bytes], start: int) -> int:
        """Offset of the first line that begins at or after `start`; if none does within `limits.ROWS.row`, some place after that."""
        if start == 0:
            return 0
        stream.seek(start - 1)
        position = start - 1
        while position - start <= limits.ROWS.row and (data := stream.read(SEARCHED_BYTES)):
            end = data.find(b"\n") + 1
            if end:
                return position + end
            position += len(data)
        return position

    def read(self, stream: IO[bytes], start: int, stop: int) -> tuple[bytes, bool]:
        """Whole rows that begin in [start, stop), where start begins one, and whether the last ended within `limits.ROWS.row` bytes.

        A row that did not is left out.
        """
        if start >= stop:
            return b"", True
        stream.seek(start)
        data = stream.read(stop - start)
        end = self._end_of_rows(data)
        while end < stop - start:
            match = self._row.match(data, end)
            if match is None:
                unread = limits.ROWS.row - (len(data) - end)
                more = stream.read(min(max(len(data) - end, SEARCHED_BYTES), unread)) if unread > 0 else b""
                data += more
                if more:
                    continue
                match = self._last_row.match(data, end)  # a quote that is never closed does not quote
                assert match is not None
                if unread <= 0 and not match[0].endswith(b"\n"):
                    return data[:end], False
                if match.end() == end:  # of the file
                    break
            end = match.end()
        return data[:end], True

    def _end_of_rows(self, data: bytes) -> int:
        """The end of the last whole row of bytes that begin with a row; other rows may follow that are quoted in part."""
        if not self._is_quoting or b'"' not in data:
            return data.rfind(b"\n") + 1
        match = self._rows.match(data)
        assert match is not None
        return match.end()


class StrayQuotes:
    """Makes letters of the quotes that do not quote, for the `csv` module, which takes any quote at the beginning of a cell for one.

    delimiter: What divides cells, one ASCII character.
    """

    def __init__(self, delimiter: str) -> None:
        start, end = f"(?:(?<=[{delimiter}\r\n])|\\A)", f"(?= *+(?:[{delimiter}\r\n]|\\Z))"
        self._quoted = re.compile(f"{start}{QUOTED}{end}")
        self._quote = re.compile(f'{start}"')
        self._cell = re.compile(f'{start}(?:({QUOTED}{end})|"[^{delimiter}\r\n]*+)')

    def quoted(self, text: str) -> str:
        """The text of whole rows with such quotes written as `csv` reads letters: doubled, in a quoted cell."""
        if '"' not in text or not self._quote.search(self._quoted.sub("", text)):
            return text
        return self._cell.sub(lambda cell: cell[0] if cell[1] else '"' + cell[0].replace('"', '""') + '"', text)
