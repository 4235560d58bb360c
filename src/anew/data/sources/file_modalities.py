"""Assigns files to modalities: content decides, the suffix is a hint."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from anew.core.arrays import evenly_spaced
from anew.core.files import clause
from anew.core.wording import are, listed, plural
from anew.data.file_names import folder_of, suffix_of, unpacked
from anew.data.formats import by_range
from anew.data.formats.gzip_files import inflate_head
from anew.data.formats.video import frame_folders
from anew.data.formats.video.frames import HEAD_BYTES, read_head
from anew.data.modality import CONFIDENT, Modality
from anew.data.sources.beside_data import CONVERSIONS
from anew.data.sources.listing import File, FileTable
from anew.data.types import SkippedItem

# Suffixes of Perl and Prolog, Objective-C and MATLAB, R, assembler and S, Verilog and Coq, and Fortran, which other texts have, too: quotes
# (`debian.pl`), notes, lists
SHARED_SUFFIXES = frozenset((".pl", ".m", ".r", ".s", ".v", ".f"))
MIN_SHARE = 0.1  # share of the lines that are not comments; in prose and chats fewer than 2 in 100 match; chosen
MIN_CODE_LINES = 5  # fewer lines tell nothing if there are more comments than that; chosen
# What only programs have: heredocs, which often hold tables, and pragmas of Perl
_CERTAIN = re.compile(rb"<<\s*~?['\"]?[A-Z]{2,}|^use (strict|warnings)\b", re.MULTILINE)
# Such comments may have several lines, as a licence has. Within a line, `/*` may be a part of a path
_BLOCK_COMMENT = re.compile(r"^[ \t]*/\*.*?(?:\*/|\Z)", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"\s*([#%*;!\"{}]|//|/\*|--|[cC] )")
_STATEMENT = re.compile(
    r".*[;{}]\s*$"  # ends like a statement or a block
    r"|\s*[$@%\w.\[\](){},:>-]{1,40}\s*(=|<-|:=|\+=)\s*\S"  # gives a name a value
    r"|.*:-|=\w+"  # a rule of Prolog, a section of Perl's own documentation
    r"|[a-z]\w*\(.*\)\.\s*$|\s*\(?[a-z]\w*/\d+\s*[,\]]"  # a fact of Prolog, a predicate that it exports
    r"|\s*(function|library|module|endmodule|begin|end|subroutine|program|integer|real|call|else|use|sub|package|import|@\w+)\b"
    r"[^,.!?]*[;)]?\s*$"
    r"|\s*function\s+(\[.*\]|[\w.]+)\s*[=(]|\s*classdef\b"  # MATLAB, with commas
    r"|\s*(PROGRAM|SUBROUTINE|FUNCTION|INTEGER|REAL|COMMON|CALL|RETURN|CONTINUE|END)\b[^.!?]*$"  # Fortran in capitals
    r"|\s*`(include|define|undef|ifn?def|elsif|else|endif|timescale|default_nettype)\b"  # directives of Verilog
    r"|\s*(local)?param(eter)?\s.*=|\s*(input|output|inout|wire|reg)\b.*[,;)]\s*$"  # its parameters and ports
    r"|\s*(Lemma|Theorem|Proof|Qed|Definition|Require|Inductive|Fixpoint)\b.*\.\s*$"
    r"|\s*\.\w+|\s*[\w.$]+:\s*$|\s+[a-z]{2,7}\s+[%$\[\w-].*,"  # directives, marks and instructions of assemblers
)
# How files begin that have the suffix of a programming language and are of another format: time series of the UCR and UEA archives, after
# comments, and translations of Qt Linguist (both .ts, as TypeScript)
_OTHER_FORMATS = {
    ".ts": re.compile(
        rb"(?:\s*#[^\n]*\n)*\s*@(?:problemname|timestamps|missing|univariate|dimension|equallength|serieslength|classlabel|data)\b"
        rb"|\s*<(?:\?xml|!DOCTYPE TS|TS)\b",
        re.IGNORECASE,
    )
}
# Up to so many files each is opened; of more only a sample, which bounds the time of listing.
MAX_FILES_TO_OPEN_ALL = 4096
SAMPLED_FILES = 64  # files of one suffix, evenly spread, that decide for the others if they all agree
MAX_OPENED = 50_000  # most files of one suffix that are opened if the sample does not agree
SHOWN_SUFFIXES = 6  # suffixes that one sentence names
UNKNOWN = "without a suffix"  # key of files without a suffix that no modality recognizes


def contradicts_suffix(suffix: str, head: bytes) -> bool:
    """Whether the beginning of a text contradicts its suffix, one of a programming language that other texts have, too.

    It is that of another format then, or few of its lines are statements; comments do not count for either side.
    """
    if suffix in _OTHER_FORMATS:
        return _OTHER_FORMATS[suffix].match(head.removeprefix(codecs.BOM_UTF8)) is not None
    if suffix not in SHARED_SUFFIXES or head.startswith(b"#!") or _CERTAIN.search(head):
        return False
    text = _BLOCK_COMMENT.sub("", head.decode("latin-1"))
    lines = [line for line in text.splitlines() if line.strip()]
    code_lines = [line for line in lines if _COMMENT.match(line) is None]
    if len(code_lines) < MIN_CODE_LINES and 2 * len(code_lines) < len(lines):
        return False  # a licence and help texts, longer than what is read, say nothing of what follows
    num_statements = sum(_STATEMENT.match(line) is not None for line in code_lines)
    return num_statements < MIN_SHARE * len(code_lines)


class _Named(NamedTuple):
    """How many files there are, and the path of the first."""

    total: int
    first: str


@dataclass(slots=True)
class SortedFiles:
    """Files by modality.

    Attributes:
        files: Files by modality name, or by suffix if no modality reads them.
        refusals: Files that cannot be read.
        other: Files that are of another modality than their suffix, by (plural noun of it, whether it was asked for, suffix).
        gathered: Sentences on folders that are one item each, or may be meant so.
        unknown: Number of files that are of no kind, by suffix; files that could be converted are not among them.
        conversions: For suffixes of files that cannot be read as they are, the modality and the format that they could be converted
            to.
    """

    files: dict[str, FileTable] = field(default_factory=dict)
    refusals: list[SkippedItem] = field(default_factory=list)
    other: dict[tuple[str, bool, str], _Named] = field(default_factory=dict)
    gathered: list[str] = field(default_factory=list)
    unknown: dict[str, int] = field(default_factory=dict)
    conversions: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """Sentences on files that are not what their suffix says, one for each modality."""
        groups: dict[tuple[str, bool], dict[str, _Named]] = {}
        for (modality, is_requested, suffix), names in self.other.items():
            groups.setdefault((modality, is_requested), {})[suffix] = names
        notes = self.gathered + [_counted_among(*group, names) for group, names in sorted(groups.items())]
        other_suffixes = sorted({suffix for _, _, suffix in self.other} & self.conversions.keys())
        for suffix in other_suffixes:
            plural_noun, form = self.conversions[suffix]
            notes.append(f"To learn {suffix} files as {plural_noun}, convert them to {form}.")
        if self.unknown:
            n = sum(self.unknown.values())
            notes.append(
                f"{_by_suffix(self.unknown)} {are(n)} not used: nothing that can be learned is recognised in "
                f"{'its' if n == 1 else 'their'} content."
            )
        return notes


def _counted_among(modality: str, is_requested: bool, names: Mapping[str, _Named]) -> str:
    """A sentence on files that count as a modality (plural noun), by their content or as the user asked. names: files by suffix."""
    n = sum(named.total for named in names.values())
    counted = f"{are(n)} counted among the {modality}"  # which are not read if most files are of another kind
    reason = "as asked" if is_requested else f"by {'its' if n == 1 else 'their'} content"
    if n == 1:
        return f"{next(iter(names.values())).first} {counted}, {reason}."
    if len(names) == 1:
        return f"{n:,} {next(iter(names))} files {counted}, {reason}."
    counts = {suffix: named.total for suffix, named in names.items()}
    return f"{n:,} files {counted}, {reason}: {_by_suffix(counts)}."


def _by_suffix(counts: Mapping[str, int]) -> str:
    """How many files have each suffix: the commonest by name, the others together."""
    commonest = sorted(counts, key=lambda suffix: (-counts[suffix], suffix))
    num_shown = SHOWN_SUFFIXES if len(commonest) > SHOWN_SUFFIXES + 1 else len(commonest)
    phrases = [f"{counts[suffix]:,} {suffix}" for suffix in commonest[:num_shown]]
    if more := commonest[num_shown:]:
        phrases.append(f"{sum(counts[suffix] for suffix in more):,} with {len(more)} other endings")
    return listed(phrases)


def sort_files(
    files: Sequence[File], root: Path, modalities: Mapping[str, type[Modality]], requested: str | None = None
) -> SortedFiles:
    """Sort files by modality.

    Args:
        root: Folder that paths are relative to.
        modalities: All modalities by name.
        requested: The modality that the user asks for, see `Modality.folders` and `_assign_requested`.
    """
    suffixes = {suffix: name for name, modality in modalities.items() for suffix in modality.suffixes}
    texts = {suffix: name for suffix, name in suffixes.items() if modalities[name].traits.is_text}  # read from gzip too
    result = SortedFiles(
        conversions={
            suffix: (modality.traits.plural, form)
            for modality in modalities.values()
            for suffix, form in modality.traits.unsupported_suffixes.items()
        }
    )
    table = _gather_frame_folders(FileTable.of(files), root, modalities, result, requested)
    opens_all = len(table) <= MAX_FILES_TO_OPEN_ALL
    groups: list[_FilesOfSuffix] = []
    for suffix, same_suffix in table.grouped(suffix_of).items():
        if suffix in CONVERSIONS:  # a compressed table must be unpacked first: it is not read as text
            result.files[suffix] = same_suffix
            continue
        owner = suffixes.get(suffix) or texts.get(unpacked(suffix))
        groups.append(_FilesOfSuffix(suffix, owner, same_suffix, root, modalities))
        groups[-1].classify(result, opens_all)
    # Tables and archives have texts too, beside which programs are not meant; they have no other kind of text
    if requested is not None and requested != "text" and modalities[requested].traits.is_text:
        _assign_requested(groups, requested)
    for group in groups:
        group.add_to(result)
    for name, own_files in result.files.items():
        if name not in modalities and name not in result.conversions.keys() | CONVERSIONS.keys():
            result.unknown[name] = len(own_files)
    return result


def _gather_frame_folders(
    files: FileTable, root: Path, modalities: Mapping[str, type[Modality]], out: SortedFiles, requested: str | None
) -> FileTable:
    """Move folders that are one item each to `out`; returns the other files."""
    folders = {
        folder.removesuffix("/"): frames
        for folder, frames in files.grouped(folder_of).items()
        if folder and by_range.find_stored(root / frames.paths[0]) is None  # frames are read from the disk
    }
    gathered: set[str] = set()
    for name, modality in modalities.items():
        paths = {folder: frames.paths for folder, frames in folders.items() if folder not in gathered}
        clip_folders = modality.folders(root, paths, name == requested)
        if clip_folders:
            clips = [(folder, folders[folder]) for folder in sorted(clip_folders)]
            out.files[name] = FileTable.of(
                [File(folder, int(frames.sizes.sum()), int(frames.stamps.max())) for folder, frames in clips]
            )
            gathered.update(clip_folders)
            folders_are = f"{plural(len(clip_folders), 'folder')} of numbered pictures {are(len(clip_folders))}"
            out.gathered.append(f"{folders_are} taken as one {name} item{'' if len(clip_folders) == 1 else ' each'}.")
    if gathered:
        return files.with_paths(lambda path: folder_of(path).removesuffix("/") not in gathered)
    if requested is None:
        out.gathered += frame_folders.note_on_equal_numbers(
            {folder: frames.paths for folder, frames in folders.items()}
        )
    return files


def _assign_requested(groups: Sequence[_FilesOfSuffix], requested: str) -> None:
    """Let a modality of texts that the user asks for have texts that would be of another one.

    It takes all of them if it has no file else, and otherwise those of unknown endings that outnumber its own files."""
    num_own = sum(group.file_modalities.count(requested) for group in groups)
    for group in groups:
        outnumbers = bool(group.suffix) and group.owner is None and len(group.files) > num_own
        if requested in group.claimants and (outnumbers or not num_own):
            group.take_texts(requested)


class _FilesOfSuffix:
    """The files of one suffix. owner: the modality that has the suffix, if any.

    Attributes:
        file_modalities: The modality of each file, None for one that no modality reads.
        claimants: The modalities that may read some of them, judging by their content.
        asked: Whether they are read as the user asks.
    """

    def __init__(
        self,
        suffix: str,
        owner: str | None,
        files: FileTable,
        root: Path,
        modalities: Mapping[str, type[Modality]],
    ) -> None:
        self.suffix, self.owner, self.files, self.root, self.modalities = suffix, owner, files, root, modalities
        self.file_modalities: list[str | None] = []
        self.claimants: set[str] = set()
        self.asked = False

    def classify(self, out: SortedFiles, opens_all: bool) -> None:
        """Set `file_modalities` and `claimants`; refusals go into `out`. opens_all: whether there are so few that each may be
        opened."""
        sampled = list(self.files) if opens_all else evenly_spaced(self.files, SAMPLED_FILES)
        by_range.prefetch(by_range.Range(self.root / file.path, 0, HEAD_BYTES) for file in sampled)
        claims = {file.path: self._claims(file, out) for file in sampled}
        self.claimants = {name for claim in claims.values() for name in claim}
        fallback = self._unsure_modality(list(claims.values()))
        if len(sampled) < len(self.files):
            votes = Counter(self._modality_of(claim, fallback) for claim in claims.values())
            if len(votes) == 1 or len(self.files) > MAX_OPENED:
                self.file_modalities = [votes.most_common(1)[0][0]] * len(self.files)
                return
            claims |= {file.path: self._claims(file, out) for file in self.files if file.path not in claims}
        self.file_modalities = [self._modality_of(claims[file.path], fallback) for file in self.files]

    def take_texts(self, modality: str) -> None:
        """Let a modality have all files that are text of any kind."""
        self.file_modalities = [
            modality if name is not None and self.modalities[name].traits.is_text else name
            for name in self.file_modalities
        ]
        self.asked = True

    def add_to(self, out: SortedFiles) -> None:
        """Put the files into `out`."""
        for owner in dict.fromkeys(self.file_modalities):
            is_own = np.fromiter((name == owner for name in self.file_modalities), dtype=bool, count=len(self.files))
            self._put(out, self.files.where(is_own), owner)

    def _claims(self, file: File, out: SortedFiles) -> dict[str, float]:
        try:
            with by_range.open_file(self.root / file.path, HEAD_BYTES) as stream:
                head = read_head(stream)
        except OSError as error:
            if self.owner is None:  # if a modality has the suffix, its reader refuses the file later
                out.refusals.append(SkippedItem(file.path, f"it cannot be read ({clause(error)})"))
            return {}
        text_head = inflate_head(head)
        claims = {name: m.sniff(text_head if m.traits.is_text else head) for name, m in self.modalities.items()}
        claims = {name: claim for name, claim in claims.items() if claim > 0}
        if self.owner in claims and len(claims) > 1 and contradicts_suffix(unpacked(self.suffix), text_head):
            del claims[self.owner]
            best = max(claims, key=lambda name: claims[name])
            claims[best] = max(claims[best], CONFIDENT)  # the suffix no longer counts
        return claims

    def _unsure_modality(self, claims: Sequence[Mapping[str, float]]) -> str | None:
        """The modality that low confidence is enough for here: that of most files, if the owner of the suffix claims none."""
        if self.owner is not None and any(self.owner in claim for claim in claims):
            return None
        best = Counter(max(claim, key=lambda name: claim[name]) for claim in claims if claim)
        return next((name for name, n in best.most_common(1) if 2 * n > len(claims)), None)

    def _modality_of(self, claims: Mapping[str, float], unsure: str | None) -> str | None:
        """The modality of a file; None: no modality reads it."""
        if not claims:
            return self.owner
        best = max(claims, key=lambda name: (claims[name], name == self.owner))
        has_no_suffix = not unpacked(self.suffix)  # such files have nothing in common, so each is what it looks like
        if unsure in claims and claims[best] < CONFIDENT and not has_no_suffix:
            return unsure
        return best if claims[best] >= CONFIDENT or best in (self.owner, unsure) or has_no_suffix else self.owner

    def _put(self, out: SortedFiles, files: FileTable, owner: str | None) -> None:
        name = owner or self.suffix or UNKNOWN
        out.files[name] = out.files[name].merged(files) if name in out.files else files
        if owner is not None and owner != self.owner and self.suffix:
            key = (self.modalities[owner].traits.plural, self.asked, self.suffix)
            known = out.other.get(key) or _Named(0, files.paths[0])
            out.other[key] = known._replace(total=known.total + len(files))
