"""The objects below a prefix of an S3 store, in pages of 1,000, so that a fault costs only one page. They are listed folder by
folder, several at once: pages follow each other, so one listing alone takes as long as all its requests together, and some
stores walk through everything for each of its pages.

Only the fields that are needed are kept in memory.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from anew.core import addresses
from anew.core.addresses import Info
from anew.core.direct_store import DirectStore
from anew.core.stored_files import Row, size_of, stamp_of

MAX_STREAMS = 8  # requests at once
MAX_LEVELS = 3  # of folders that are looked through until there are as many as streams
# More folders are not listed one by one, nor are many that hold little: each costs a request, and a page holds 1,000 objects.
MAX_FOLDERS, FEW_FOLDERS, MIN_FOLDER_OBJECTS = 4_000, 64, 100


class PagedStore:
    """A bucket that is listed.

    Args:
        call: Runs a request of S3 by its name.
        bucket: The bucket.
        address: Its address in sentences.
        direct: Lists whole folders in less time, where it can; None: only `call` does.
    """

    def __init__(
        self, call: Callable[..., object], bucket: str, address: str, direct: DirectStore | None = None
    ) -> None:
        self._call, self._bucket, self._address, self._direct = call, bucket, address, direct

    def rows(self, prefix: str) -> Iterator[Row]:
        """All objects below a prefix, by their paths there, in no order."""
        folders = self._folders(prefix)
        with ThreadPoolExecutor(MAX_STREAMS) as pool:
            try:
                if folders is None or not self._are_worth_a_request(folders[0], pool):
                    yield from self._below(prefix, prefix)
                    return
                yield from folders[1]
                for rows in pool.map(functools.partial(self._list_below, prefix), folders[0]):
                    yield from rows
            finally:
                pool.shutdown(cancel_futures=True)

    def _folders(self, prefix: str) -> tuple[list[str], list[Row]] | None:
        """(prefixes of folders, objects beside them), at least as many folders as streams where there are; None if too many."""
        names, beside = [prefix], list[Row]()
        for _ in range(MAX_LEVELS):
            if len(names) >= MAX_STREAMS:
                break
            inner: list[str] = []
            for page in itertools.chain.from_iterable(self._pages(name, Delimiter="/") for name in names):
                inner += [str(entry["Prefix"]) for entry in cast(list[Info], page.get("CommonPrefixes", []))]
                beside += _contents(page, prefix)
                if len(inner) > MAX_FOLDERS:
                    return None
            names = inner
        return names, beside

    def _are_worth_a_request(self, names: list[str], pool: ThreadPoolExecutor) -> bool:
        """Whether folders hold so much that listing each takes hardly more requests than pages of all, judged by some of them."""
        if len(names) <= FEW_FOLDERS:
            return True
        step = len(names) // MAX_STREAMS
        sizes = [len(rows) for rows in pool.map(self._first_page, names[::step][:MAX_STREAMS])]
        return sum(sizes) >= MIN_FOLDER_OBJECTS * len(sizes)

    def _first_page(self, prefix: str) -> list[Row]:
        return list(_contents(next(self._pages(prefix)), prefix))

    def _list_below(self, prefix: str, folder: str) -> list[Row]:
        """All objects below a folder, by their paths below the prefix."""
        rows = None if self._direct is None else self._direct.rows(self._bucket, folder, prefix)
        return list(self._below(prefix, folder)) if rows is None else rows

    def _below(self, prefix: str, folder: str) -> Iterator[Row]:
        for page in self._pages(folder):
            yield from _contents(page, prefix)

    def _pages(self, prefix: str, **more: str) -> Iterator[Info]:
        while True:
            request = functools.partial(self._call, "list_objects_v2", Bucket=self._bucket, Prefix=prefix, **more)
            page = cast(Info, addresses.reached(request, self._address))
            yield page
            if not page.get("IsTruncated"):
                return
            more = more | {"ContinuationToken": str(page["NextContinuationToken"])}


def _contents(page: Info, prefix: str) -> Iterator[Row]:
    """The objects of a page, by their paths below the prefix."""
    for entry in cast(list[Info], page.get("Contents", [])):
        yield str(entry["Key"]).removeprefix(prefix), size_of({"size": entry.get("Size")}), stamp_of(entry)
