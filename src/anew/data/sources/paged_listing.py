"""The objects below a prefix of an S3 store, in pages of 1,000, so that a fault costs only one page. A long listing continues
folder by folder, several at once: pages follow each other, so one listing alone takes as long as all its requests together.

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

Entry = tuple[str, Info]  # key with the bucket, description
MAX_STREAMS = 8  # requests at once
# After so many pages the folders are asked for. More folders than that are not listed one by one, as each costs a request:
# objects in folders of their own would cost a thousand times as many as pages do.
FIRST_PAGES, MAX_FOLDERS = 4, 4_000


class PagedStore:
    """A bucket that is listed.

    Args:
        call: Runs a request of S3 by its name.
        bucket: The bucket.
        shown: Its address in sentences.
    """

    def __init__(self, call: Callable[..., object], bucket: str, shown: str) -> None:
        self._call, self._bucket, self._shown = call, bucket, shown

    def entries(self, prefix: str) -> Iterator[Entry]:
        """All objects below a prefix, each at least once, in no order."""
        pages = self._pages(prefix)
        first_pages = list(itertools.islice(pages, FIRST_PAGES))
        folders = self._folders(prefix) if len(first_pages) == FIRST_PAGES else None
        if folders is None:
            for page in itertools.chain(first_pages, pages):
                yield from self._contents(page)
            return
        names, beside = folders
        yield from beside
        with ThreadPoolExecutor(MAX_STREAMS) as pool:
            try:
                for entries in pool.map(self._below, names):
                    yield from entries
            finally:
                pool.shutdown(cancel_futures=True)

    def _folders(self, prefix: str) -> tuple[list[str], list[Entry]] | None:
        """(prefixes of the folders directly below, objects beside them); None if listing by folder does not help."""
        names: list[str] = []
        beside: list[Entry] = []
        for page in self._pages(prefix, Delimiter="/"):
            names += [str(entry["Prefix"]) for entry in cast(list[Info], page.get("CommonPrefixes", []))]
            beside += self._contents(page)
            if len(names) > MAX_FOLDERS or len(beside) > MAX_FOLDERS:
                return None
        return (names, beside) if len(names) > 1 else None

    def _below(self, prefix: str) -> list[Entry]:
        return [entry for page in self._pages(prefix) for entry in self._contents(page)]

    def _pages(self, prefix: str, **more: str) -> Iterator[Info]:
        while True:
            request = functools.partial(self._call, "list_objects_v2", Bucket=self._bucket, Prefix=prefix, **more)
            page = cast(Info, addresses.reached(request, self._shown))
            yield page
            if not page.get("IsTruncated"):
                return
            more = more | {"ContinuationToken": str(page["NextContinuationToken"])}

    def _contents(self, page: Info) -> Iterator[Entry]:
        for entry in cast(list[Info], page.get("Contents", [])):
            description = {
                key: entry.get(name)
                for key, name in (("size", "Size"), ("ETag", "ETag"), ("LastModified", "LastModified"))
            }
            yield f"{self._bucket}/{entry['Key']}", description
