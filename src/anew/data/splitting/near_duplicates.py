"""Duplicates and near-duplicates: such items get the same key, and stay in one part."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import evenly_spaced
from anew.core.sequences import by_place
from anew.core.splitmix import splitmix64
from anew.data.modality import Modality
from anew.data.types import DecodedItem, FileSlice, Item

SHINGLE = 12  # characters: about two words, which unrelated texts seldom share
SIGNATURE_SIZE = 64  # smallest shingle hashes kept of a document: the standard error of the similarity is about 0.06
INDEXED_HASHES = 16  # hashes by which candidates are found: near-duplicates share one of these almost certainly
MAX_CANDIDATES = 8  # most documents that are looked up by one hash, so that a phrase in all of them costs little
# Least characters of a text that is compared by shingles. Shorter texts have few; they are near-duplicates only if they are equal when
# normalized
MIN_SHINGLED_CHARACTERS = 200
MIN_SIMILARITY = 0.7  # share of common shingles (Jaccard) that makes two documents near-duplicates
MAX_DOCUMENTS = 20_000  # documents that are compared by their signatures: about 10 s of one core
MAX_CHARACTERS = 4_000  # characters of each of so many documents that are compared, for the same reason
# If this allows fewer documents, so many characters in total are compared, in about 1 s.
COMPARED_CHARACTERS = 8_000_000
# Records of one schema and alleles of one gene are alike by nature. A group of more than so many is taken for that, since few texts have
# as many edited copies; of JSON lines, held-out parts of whole groups were like train with up to 4, and not with 16.
LARGEST_GROUP = 4
# Where fewer items are in such groups, they can hardly make a held-out part unlike the data; chosen.
USUAL_SHARE = 0.05
# Base of the polynomial hash of a shingle: a prime, far larger than the alphabet of most texts
_BASE = np.uint64(1_000_003)

Signature = NDArray[np.uint64]  # (<=SIGNATURE_SIZE,) ascending


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def item_key(item: Item, modality: Modality) -> int:
    """A 64-bit hash that copies share: of the text without case and spacing, of the modality's signature, or of the bytes."""
    try:
        return usable_key(item, modality)
    except ValueError:
        return exact_key(item)


def usable_key(item: Item, modality: Modality) -> int:
    """`item_key` of an item that must be usable. Raises ValueError (one clause) if its signature cannot be computed."""
    signature = None if isinstance(item.data, str) else modality.signature(item)
    return exact_key(item) if signature is None else signature_key(signature)


def signature_key(signature: bytes) -> int:
    """A 64-bit hash of a modality's signature."""
    return _hash(b"signature" + signature)


def exact_key(item: Item) -> int:
    """A 64-bit hash that exact copies share: of the text without case and spacing, or of the bytes."""
    if isinstance(item.data, str):
        return _hash(" ".join(item.data.casefold().split()).encode("utf-8", "surrogatepass"))
    if isinstance(item.data, np.ndarray):
        return _hash(repr(item.data.shape).encode() + np.ascontiguousarray(item.data).tobytes())
    return _hash(item.data.digest() if isinstance(item.data, FileSlice) else bytes(item.data))


def name_hash(name: str) -> int:
    """A 64-bit hash of a name, the same on every machine."""
    return _hash(name.encode("utf-8", "surrogateescape"))


def minhash(text: str, max_characters: int = MAX_CHARACTERS) -> Signature | None:
    """The smallest hashes of a text's shingles (bottom-k MinHash, Broder 1997).

    Args:
        max_characters: From a longer text, its beginning, middle and end are taken, so many characters in total. Its beginning
            alone would not suffice, since pages of one site begin and end alike, and so do programs of one author.

    Returns:
        (<=SIGNATURE_SIZE,) hashes, ascending; None for a text that is too short to be compared by its shingles.
    """
    if len(text) < MIN_SHINGLED_CHARACTERS:
        return None
    if len(text) > max_characters:
        stretch = max_characters // 3
        middle = (len(text) - stretch) // 2
        text = "\n".join((text[:stretch], text[middle : middle + stretch], text[-stretch:]))
    normalized = " ".join(text.casefold().split())
    points = np.frombuffer(normalized.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    if len(points) <= SHINGLE:
        return None
    num_shingles = len(points) - SHINGLE + 1
    hashes = np.zeros(num_shingles, dtype=np.uint64)
    for offset in range(SHINGLE):
        hashes = hashes * _BASE + points[offset : offset + num_shingles]
    ordered = np.sort(splitmix64(hashes))
    is_first = np.append(True, ordered[1:] != ordered[:-1])
    # `np.unique` takes three times as long for so few
    smallest: Signature = ordered[is_first][:SIGNATURE_SIZE]
    return smallest


def similarity(a: Signature, b: Signature) -> float:
    """Estimated Jaccard similarity of two texts by their signatures; below MIN_SIMILARITY an upper bound of the estimate."""
    num_shared = int((a[np.minimum(np.searchsorted(a, b), len(a) - 1)] == b).sum())
    bound = num_shared / min(SIGNATURE_SIZE, len(a) + len(b) - num_shared)
    if bound < MIN_SIMILARITY:  # the estimate itself is never larger, but takes ten times as long
        return bound
    smallest = np.union1d(a, b)[:SIGNATURE_SIZE]
    return float((np.isin(smallest, a) & np.isin(smallest, b)).mean())


class NearDuplicateIndex:
    """Finds near-duplicate texts by the smallest hashes that they share."""

    def __init__(self) -> None:
        self._documents: dict[int, list[int]] = defaultdict(list)  # documents by hash
        self._signatures: list[Signature] = []
        self._keys: list[int] = []

    def match(self, signature: Signature | None) -> int | None:
        """The key of a near-duplicate that was added before, or None."""
        if signature is None:
            return None
        candidates: dict[int, None] = {}  # a set that keeps its order
        for value in signature[:INDEXED_HASHES].tolist():
            candidates.update(dict.fromkeys(self._documents.get(value, ())[:MAX_CANDIDATES]))
        for candidate in candidates:
            if similarity(signature, self._signatures[candidate]) >= MIN_SIMILARITY:
                return self._keys[candidate]
        return None

    def add(self, key: int, signature: Signature | None) -> None:
        """Remember a text's signature under a key."""
        if signature is None:
            return
        for value in signature[:INDEXED_HASHES].tolist():
            self._documents[value].append(len(self._signatures))
        self._signatures.append(signature)
        self._keys.append(key)


def group_keys(items: Sequence[Item], modality: Modality, max_characters: int | None = None) -> list[int]:
    """The key of each item, which near-duplicates share. max_characters: see `shared_keys`."""
    return shared_keys([item_key(item, modality) for item in items], items, max_characters)


def shared_keys(keys: Sequence[int], items: Sequence[Item], max_characters: int | None = None) -> list[int]:
    """Keys of items where near-duplicates have that of the first of them.

    Of more than MAX_DOCUMENTS items, all are compared for equality, but only evenly spread ones for similarity.

    Args:
        keys: `item_key` of each.
        max_characters: Of each text, that are compared; None: as many as the number of items allows.
    """
    max_compared = (
        max(COMPARED_CHARACTERS // max(len(items), 1), MAX_CHARACTERS) if max_characters is None else max_characters
    )
    index = NearDuplicateIndex()
    leader: dict[int, int] = {}  # key -> key of the first of its near-duplicates
    for number in evenly_spaced(range(len(items)), MAX_DOCUMENTS):
        key, item = keys[number], items[number]
        if key in leader or not isinstance(item.data, str):
            continue
        signature = minhash(item.data, max_compared)
        match = index.match(signature)
        leader[key] = key if match is None else leader[match]
        index.add(key, signature)
    return [leader.get(key, key) for key in keys]


def are_usual(own_keys: Sequence[int], keys: Sequence[int]) -> bool:
    """Whether near-duplicates are how the data is: many items are in large groups of different ones.

    Args:
        own_keys: `item_key` of each item.
        keys: `shared_keys` of these.
    """
    num_different = Counter(key for _, key in set(zip(own_keys, keys, strict=True)))
    return sum(num_different[key] > LARGEST_GROUP for key in keys) > USUAL_SHARE * len(keys)


def keys_of_decoded(
    items: Sequence[DecodedItem], modality: Modality, max_characters: int | None = None, only_exact: bool = False
) -> NDArray[np.uint64]:
    """The keys of decoded items (n,); with `only_exact`, or among more than MAX_DOCUMENTS, only exact duplicates share one.

    See `group_keys`."""
    if len(items) <= MAX_DOCUMENTS and not only_exact:
        records = [Item("", item) for item in items]
        return np.array(group_keys(records, modality, max_characters), dtype=np.uint64)
    keys = np.empty(len(items), dtype=np.uint64)
    for number, item in by_place(items):
        keys[number] = exact_key(Item("", item))
    return keys
