"""FASTA as it comes: what is read, what is mended, what is refused; clusters of relatives; both directions."""

from __future__ import annotations

import gzip
import random
import string
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anew.cli.summary import describe
from anew.data import limits, source_store
from anew.data.dataset import Dataset
from anew.data.formats.text import fasta
from anew.data.formats.text.fasta import (
    PROTEIN,
    FastaRecord,
    Headers,
    clean_sequence,
    detect_alphabet,
    layout_of,
    looks_like,
    parse,
    to_fasta,
)
from anew.data.modalities.protein import Protein, ProteinConfig
from anew.data.sources import folder
from anew.data.sources.source import Source
from anew.data.types import DataBudget, Item, SkippedItem
from anew.errors import ConfigError, DataError
from anew.estimators.sequence_clusters import NearestSequences, SequenceClusters, kmers
from anew.workflows.inspect import inspect_data
from samples import sequences

SIZE = DataBudget(60.0, 40, 40_000)
HEADER = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=30
)
BODY = st.text(st.sampled_from(PROTEIN + "BXZ"), min_size=1, max_size=200)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(HEADER.map(str.strip), BODY), min_size=1, max_size=8), st.sampled_from(["\n", "\r\n", "\r"]))
def test_what_is_written_is_read_back(pairs: list[tuple[str, str]], end: str) -> None:
    records = [FastaRecord(*pair) for pair in pairs]
    assert list(parse(to_fasta(records).replace("\n", end))) == records


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from(string.printable), max_size=300))
def test_any_text_is_read_without_an_error(text: str) -> None:
    for record in parse(text):
        clean, _ = clean_sequence(record.sequence)
        assert not set(clean) & set("-~\n\r ")


@pytest.mark.parametrize("empty", ["  ", "12 ", "\n10\t20\n"])
def test_lines_without_residues_before_the_first_header_are_no_record(empty: str) -> None:
    text = f"{empty}\n>a\nMKVLL\n"
    assert list(parse(text)) == [FastaRecord("a", "MKVLL")]
    assert fasta.first_sequence(text.encode()) == "MKVLL"


def test_case_gaps_stops_numbers_and_comments_are_mended() -> None:
    text = "; a comment\n>one two\r\nac-g t..M\r\n  1 KL 10\r\n\r\n>empty\n>stop\nMKV*\n"
    records = list(parse(text))
    assert [r.header for r in records] == ["one two", "empty", "stop"] and records[0].name == "one"
    assert [clean_sequence(r.sequence)[0] for r in records] == ["ACGTMKL", "", "MKV"]


@pytest.mark.parametrize(
    ("sequences", "alphabet"),
    [
        (["ACGT", "ACGTN"], "dna"), (["ACGU"], "rna"), (["MKVLAAG"], "protein"), (["ACGT" * 9 + "RK"], "dna"),
        (["ACGA" * 9 + "E"], "protein"), ([], "protein"),
    ],
)  # fmt: skip
def test_alphabets_are_recognised(sequences: list[str], alphabet: str) -> None:
    assert detect_alphabet(sequences) == alphabet


@pytest.mark.parametrize(
    ("head", "is_fasta"),
    [
        (b">a\nMKVLAAGIVGLLLAQWERTY\n", True), (b">a\r\nacgtacgtacgtacgtacgtacgtacgtacgtacgt\r\n>b\r\n", True),
        (b"\xef\xbb\xbf>a\nMKVLAAGIV\n", True),
        (">a\nMKVLAAGIV\n".encode("utf-16"), True), (b">a\x00\x01\nMKV\n", False), (b">a\nMKV-LAA*\n", True),
        (b"> he said\nand she went on to say this\n", False), (b"> quoted\nWell\n", False), (b"plain\n", False),
        (b">a\n>b\n", False), (b"", False),
    ],
)  # fmt: skip
def test_content_tells_fasta(head: bytes, is_fasta: bool) -> None:
    assert looks_like(head) is is_fasta


def file(folder: Path, name: str, data: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("num_dna", [0, 1, 30])
def test_dna_among_proteins_is_said(tmp_path: Path, num_dna: int) -> None:
    source = random.Random(0)
    proteins = [f">p{i}\n{''.join(source.choices(PROTEIN, k=40))}\n" for i in range(100)]
    dna = [f">d{i}\n{''.join(source.choices('acgt', k=40))}\n" for i in range(num_dna)]
    data = Dataset.open(file(tmp_path / "d", "a.fasta", "".join([*proteins, ">short\nACGT\n", *dna]).encode()))
    notes = [note for note in data.scan.notes if "looked like DNA or RNA" in note]
    assert [note.split(" ")[0] for note in notes] == [str(num_dna)] * (num_dna > 0)
    data.close()


def test_bad_records_are_refused_by_name_and_said(tmp_path: Path) -> None:
    source = random.Random(0)
    good = "".join(f">s{i % 40}\n{''.join(source.choices(PROTEIN, k=40)).lower()}\n" for i in range(60))
    bad = ">none\n>odd\nMKV?L\n>gap\nMK--VL" + "A" * 20 + "\n>stop\nMK*VLAAAAAAA\n"
    data = Dataset.open(file(tmp_path / "d", "a.txt", (good + bad).encode()))
    assert data.modality.name == "protein"
    notes = " ".join(data.scan.notes)
    refused = {r.name: r.reason for r in data.scan.skipped_items}
    assert refused == {"a.txt:none": "it has no residues", "a.txt:odd": "it holds '?', which is not a residue"}
    for words in ("by content", "lower case", "contained gaps", "contained a stop", "share their name"):
        assert words in notes
    data.close()


def test_long_sequences_are_learned_in_pieces_and_very_long_ones_as_text(tmp_path: Path) -> None:
    source = random.Random(1)
    short_records = "".join(f">s{i}\n{''.join(source.choices('ACGT', k=60))}\n" for i in range(40))
    long = "".join(f">long{i}\n" + "".join(source.choices("ACGT", k=100_000)) + "\n" for i in range(12))
    data = Dataset.open(file(tmp_path / "d", "a.fna.gz", gzip.compress((short_records + long).encode(), mtime=0)))
    spec = data.fit(SIZE)
    assert "DNA" in " ".join(data.scan.notes) and "protein" not in " ".join(data.scan.notes)
    assert data.modality.layout == "list" and spec.length == 1024  # type: ignore
    data.close()
    genome = Dataset.open(file(tmp_path / "g", "g.fa", long.encode() * 2))
    assert genome.fit(SIZE).packed and "direction" not in " ".join(genome.scan.notes)  # type: ignore[union-attr]
    genome.close()
    genome = Dataset.open(tmp_path / "g", settings={"direction": "both"})
    genome.fit(SIZE)
    assert "direction=both is ignored" in " ".join(genome.scan.notes)
    with pytest.raises(ConfigError, match="as one text"):
        genome.modality.condition_from_prompt("", "ACG")  # type: ignore[attr-defined]
    genome.close()


@pytest.mark.parametrize("text", [">long\n{}\n", "{}\n"])
def test_one_long_sequence_is_one_text(tmp_path: Path, text: str) -> None:
    body = "".join(random.Random(3).choices(PROTEIN, k=6000))
    lines = "\n".join(body[at : at + 60] for at in range(0, 6000, 60))
    data = Dataset.open(file(tmp_path / "d", "a.fasta", text.format(lines).encode()))
    assert data.fit(SIZE).packed and data.train_items > 0  # type: ignore[union-attr]
    assert sum(batch.mask.sum() for batch in data.scoring("test")) == sum(map(len, data.text("test")))  # type: ignore
    assert ("no header" in " ".join(data.scan.notes)) == (">" not in text)
    data.close()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "cp1252"])
def test_any_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    text = "".join(f">s\u00e9{i}\n{'MKVLAAGIVG'[i % 7 :]}{'ACDEFGHIKL'[: i % 9]}\n" for i in range(60))
    bom = "\ufeff" * (encoding == "utf-16-be")
    data = Dataset.open(file(tmp_path / "d", "a.fasta", (bom + text).encode(encoding)))
    assert data.scan.items == 60 and not data.scan.skipped
    data.close()


def test_damaged_gzip_is_refused(tmp_path: Path) -> None:
    folder = file(tmp_path / "d", "bad.fasta.gz", gzip.compress(b">a\nMKV\n" * 50, mtime=0)[:30])
    sequences(folder / "good.fasta", 100)
    data = Dataset.open(folder)
    assert [r.name for r in data.scan.skipped_items] == ["bad.fasta.gz"]
    data.close()


def test_labels_come_from_headers_on_request(tmp_path: Path) -> None:
    path = sequences(tmp_path / "a.fasta", 100)
    data = Dataset.open(path, settings={"labels": "organism"})
    spec = data.fit(SIZE)
    assert data.scan.labels == ("Genus a", "Genus b") and spec.classes == 2
    assert "labels" not in " ".join(data.scan.notes)
    data.close()
    with pytest.raises(ConfigError, match="one pair of parentheses"):
        Protein(ProteinConfig(labels="OS=.*"))


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ("family", "none of the 100 headers that were read has PF, IPR, "), ("folder", "lie in no class folders"),
        (r"G=(\w+)", r"none of the 100 headers that were read has what matches G=(\w+), so no classes"),
        (r"(Genus) ", "each of the 100 headers that were read says 'Genus'"),
        (r"(Genus b)", "50 of the 100 headers that were read have what matches (Genus b); the others are of the class 'other'"),
    ],
)  # fmt: skip
def test_labels_that_headers_do_not_hold_are_said(tmp_path: Path, labels: str, sentence: str) -> None:
    data = Dataset.open(sequences(tmp_path / "a.fasta", 100), settings={"labels": labels})
    assert f"labels={labels}: " in " ".join(data.scan.notes) and sentence in " ".join(data.scan.notes)
    assert len(data.scan.labels) == 2 * ("of the class" in sentence)
    data.close()


def test_sequences_without_headers_have_no_labels(tmp_path: Path) -> None:
    rows = "\n".join(listed(60))
    data = Dataset.open(file(tmp_path / "d", "a.fasta", rows.encode()), settings={"labels": "organism"})
    assert "labels=organism: the sequences have no headers" in " ".join(data.scan.notes)
    data.close()


def test_whole_clusters_are_held_out(tmp_path: Path) -> None:
    data = Dataset.open(sequences(tmp_path / "a.fasta", 600))
    data.fit(SIZE)
    assert data.scan.parts["test_clusters"] >= 20 and "whole clusters" in " ".join(data.scan.notes)
    parts = {part: data.text(part) for part in ("train", "test", "test_clusters")}
    clusters = SequenceClusters(parts["train"] + parts["test_clusters"], 0.25)
    far = np.arange(len(parts["train"]), clusters.n)
    assert clusters.related_to(far).min() >= len(parts["train"])
    again = SequenceClusters(parts["train"] + parts["test"], 0.25)
    assert again.related_to(np.arange(len(parts["train"]), again.n)).min() < len(parts["train"])
    data.close()


def test_sequences_are_called_so(tmp_path: Path) -> None:
    text = "".join(f">s{i}\n{'ACGT' * 9 + 'ACGT'[i % 4] * i}\n" for i in range(6)).encode()
    with pytest.raises(DataError, match="6 sequences are too few to train on some"):
        Dataset.open(file(tmp_path / "few", "a.fna", text))
    with pytest.raises(DataError, match="no usable sequence"):
        Dataset.open(file(tmp_path / "none", "a.fna", b"\x00\x01\x02" * 400))
    inspection = inspect_data(str(sequences(tmp_path / "a.fasta", 100)))
    assert "100 sequences, " in str(describe(inspection))


def test_one_large_cluster_is_said(tmp_path: Path) -> None:
    source = random.Random(2)
    ancestor = source.choices(PROTEIN, k=60)
    own = [[source.choice(PROTEIN) if source.random() < 0.05 else x for x in ancestor] for _ in range(200)]
    text = "".join(f">s{i}\n{''.join(sequence)}\n" for i, sequence in enumerate(own))
    data = Dataset.open(file(tmp_path / "d", "a.faa", text.encode()))
    assert "test_clusters" not in data.scan.parts and "too large to be held out" in " ".join(data.scan.notes)
    notes = " ".join(data.scan.notes)
    assert "All sequences are in clusters" in notes and "single sequences are held out; the figures hold" in notes
    assert "repeat an earlier one" not in notes
    data.close()


def test_few_small_clusters_are_said(tmp_path: Path) -> None:
    source = random.Random(4)
    families = [source.choices(PROTEIN, k=60) for _ in range(24)]
    text = "".join(
        f">s{i}_{j}\n{''.join(source.choice(PROTEIN) if source.random() < 0.05 else x for x in own)}\n"
        for i, own in enumerate(families)
        for j in range(10)
    )
    data = Dataset.open(file(tmp_path / "d", "a.faa", text.encode()))
    notes = " ".join(data.scan.notes)
    assert "test_clusters" not in data.scan.parts and "too large" not in notes
    assert "Only 4 clusters of relatives could be held out whole, and at least 10 are needed" in notes
    data.close()


@pytest.mark.parametrize("own", ["test", "validation"])  # either is what gets scored
def test_clusters_beside_a_part_of_the_users_own(tmp_path: Path, own: str) -> None:
    sequences(tmp_path / "train" / "a.fasta", 600)
    sequences(tmp_path / own / "b.fasta", 100, seed=1)
    data = Dataset.open(tmp_path)
    notes = " ".join(data.scan.notes)
    assert data.scan.parts["test"] == 100 and "test_clusters" not in data.scan.parts and "0 of them" not in notes
    assert "clusters" not in notes and data.scan.parts["validation"] == pytest.approx(90, abs=20)
    data.close()


def test_older_runs_keep_the_clusters_of_their_validation_part(tmp_path: Path) -> None:
    data = Dataset.open(sequences(tmp_path / "a.fasta", 600))
    data.fit(SIZE)
    state = data.state()
    assert state.validates_at_random
    assert Dataset.reopen(state, tmp_path).text("validation") == data.text("validation")
    older = Dataset.reopen(state.model_copy(update={"validates_at_random": False, "parts": {}}), tmp_path)
    assert older.text("validation") != data.text("validation") and not older.state().validates_at_random
    data.close()


def test_kmers_and_nearest() -> None:
    owner, kmer = kmers(["ABCDEF", "ABC", "", "ABCDEFABCDEF"], 5)
    assert np.bincount(owner, minlength=4).tolist() == [2, 0, 0, 6] and len(np.unique(kmer)) == 6
    near = NearestSequences(["MKVLAAG", "WWWWWWW", "MKVLAAC"])
    assert near.candidates("MKVLAAGI", 2)[0] == 0 and near.candidates("PPPPP") == []


def both(texts: list[str]) -> Protein:
    modality = Protein(ProteinConfig(direction="both"))
    items = [Item(str(i), text) for i, text in enumerate(texts)]
    modality.inspect(items)
    modality.fit(items, SIZE, ())
    return modality


def test_both_directions_are_codings_of_one_sequence() -> None:
    modality = both(["MKVLAAGIVG" * 8, "MK" + "LAGG" * 30, "ACDEF" * 12])
    rows = [modality.encode(Item("x", text)) for text in ("MKV", "MKVLA")]
    padded = np.zeros((2, 12), dtype=np.int64)
    for at, row in enumerate(rows):
        padded[at, : len(row)] = row
    forward, backward = modality.orderings(modality.batch(padded, None, np.array([5, 7])))
    assert modality.decode(backward.x) == ["MKV", "MKVLA"] == modality.decode(forward.x)
    assert backward.x[0].tolist()[1:4] == forward.x[0].tolist()[1:4][::-1]
    assert modality.decode(modality.condition_from_prompt("", "VLA").tolist()) == ["VLA"]
    with pytest.raises(ConfigError, match="needs a run trained with direction=both"):
        modality.condition_from_prompt("MK", "VLA")
    with pytest.raises(ConfigError, match="is not a residue"):
        modality.condition_from_prompt("M1")


def test_prompts_are_read_as_the_data_is(tmp_path: Path) -> None:
    for letters, prompt in (("ACGT", "acgu"), ("ACGU", "ac-g\nT"), ("ACDEU", "acdu")):
        modality = Protein(ProteinConfig())
        items = [Item(str(i), letters * 30) for i in range(3)]
        modality.inspect(items)
        modality.fit(items, SIZE, ())
        expected = {"acdu": "ACDU"}.get(prompt, letters)
        assert modality.decode(modality.condition_from_prompt(prompt).tolist()) == [expected]


@pytest.mark.parametrize(
    ("content", "prompt"),
    [
        (b">one the first\nMKV\nLA\n>two\nWW\n", "MKVLA"), (b"MKV\nLA\n", "MKVLA"), (gzip.compress(b">a\nMK\n", mtime=0), "MK"),
        (b">one\n>two\nMK\n", "no sequence"), (b"", "no sequence"), (b"RIFF\x00\x00\x00\x01", "is binary"),
    ],
)  # fmt: skip
def test_the_first_sequence_of_a_file_is_a_prompt(tmp_path: Path, content: bytes, prompt: str) -> None:
    path = tmp_path / "x.fasta"
    path.write_bytes(content)
    if " " in prompt:
        with pytest.raises(ValueError, match=prompt):
            Protein(ProteinConfig()).prompt_file(path)
    else:
        assert Protein(ProteinConfig()).prompt_file(path) == prompt


def test_the_alphabets_hold_their_unknown() -> None:
    assert all(alphabet.unknown in alphabet.all for alphabet in fasta.ALPHABETS.values())


def test_more_sequences_than_are_searched_for_relatives_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Protein, "traits", replace(Protein.traits, max_cluster_bytes=3000))
    place = sequences(tmp_path / "a.fasta", 600)
    data = Dataset.open(place)
    notes = " ".join(data.scan.notes)
    assert (
        "test_clusters" not in data.scan.parts
        and "no part `test_clusters`" in notes
        and "not for new families" in notes
    )
    monkeypatch.setattr(source_store, "MAX_WHOLE_LIST_BYTES", 3000)  # the same where they are streamed
    monkeypatch.setattr(folder, "WHOLE_BYTES", 3000)
    monkeypatch.setattr(folder, "SHARD_BYTES", 2000)
    data = Dataset.open(place)
    assert "no part `test_clusters`" in " ".join(data.scan.notes)
    assert sum(data.scan.parts.values()) == pytest.approx(600, rel=0.2)  # sequences, not shards of them


def test_packed_files_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GZIP_TEXT_BYTES", 1000)
    assert fasta.decode_file(gzip.compress(b">a\nACDE\n", mtime=0)) == ">a\nACDE\n"
    for bomb in (gzip.compress(b"A" * 1001, mtime=0), gzip.compress(b"A" * 600, mtime=0) * 2):  # one member, and two
        with pytest.raises(ValueError, match="inflates to more than 1000 bytes; unpack it"):
            fasta.decode_file(bomb)
    with pytest.raises(ValueError, match="damaged gzip"):
        fasta.decode_file(gzip.compress(b">a\nACDE\n", mtime=0) + b"garbage")


def test_records_that_are_too_long_are_refused_by_span(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FASTA_RECORD_BYTES", 50_000)
    monkeypatch.setattr(folder, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(folder, "SHARD_BYTES", 4000)
    (tmp_path / "a.fasta").write_text(">a\nACDE\n" + ">b\n" + "ACDE\n" * 20_000 + ">c\nACDE\n" * 1000)
    source = Source.open(tmp_path, {"protein": Protein})
    records = [item for shard in source.shards("protein") for item in source.read(shard)]
    assert [item.reason for item in records if isinstance(item, SkippedItem)] == [
        "it holds a record of more than 48.8 KB; split it"
    ]
    assert sum(bytes(item.data).count(b">c") for item in records if isinstance(item, Item)) >= 990


def test_lines_are_cut_the_same_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    text = ">a\r\nAC\r\n\r\nDE\r>b\nAC\n\n"
    whole = list(fasta.parse(text))
    monkeypatch.setattr(fasta, "CHARACTERS_AT_ONCE", 3)
    assert list(fasta.parse(text)) == whole == [fasta.FastaRecord("a", "ACDE"), fasta.FastaRecord("b", "AC")]


def test_samples_are_written_as_the_data() -> None:
    written = ">a\r\nMKVLA\r\nGGST*\r\n>b\r\nMKVLA\r\nGG*\r\n>c\r\nMKV*\r\n"
    layout = layout_of([written])
    assert (layout.width, layout.has_crlf, layout.has_stop) == (5, True, True)
    records = [FastaRecord(record.header, record.sequence.rstrip("*")) for record in parse(written)]
    assert to_fasta(records, layout) == written
    assert layout_of([">a\n" + "MKV" * 30 + "\n"]).width == 0
    assert layout_of([">a\nMKV\n"]) == layout_of([])


def test_digits_between_residues_are_said_but_not_line_numbers(tmp_path: Path) -> None:
    """MKV1LL2 was read as MKVLL without a word."""
    file(tmp_path, "a.fa", b">one\nMKV1LL2\n>two\n1 MKVLLAAG 8\n9 MKV\n>three\nMKVLLA\n")
    modality, item = Protein(ProteinConfig()), Item("a.fa", (tmp_path / "a.fa").read_bytes())
    assert [record.data for record in modality.split_records(item)] == ["MKVLL", "MKVLLAAGMKV", "MKVLLA"]
    assert modality.remarks() == ["1 sequence contained digits between letters, which were left out."]


def listed(count: int, letters: str = PROTEIN) -> list[str]:
    """Short sequences of several lengths."""
    rng = np.random.default_rng(0)
    return ["".join(rng.choice(list(letters), rng.integers(8, 50))) for _ in range(count)]


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\n\n"])
def test_short_lines_without_headers_are_a_list(separator: str) -> None:
    peptides = listed(30)
    text = separator.join([*peptides, ""])
    assert [record.sequence for record in parse(text)] == peptides
    assert looks_like(text.encode())
    nines = [peptide[:8] + "A" for peptide in peptides]
    assert [record.sequence for record in parse("\n".join(nines))] == nines


@pytest.mark.parametrize("width", [50, 60, 80])
def test_equal_lines_without_headers_are_one_sequence(width: int) -> None:
    sequence = "".join(listed(40))
    lines = [f"{at + 1:>6} {sequence[at : at + width]}" for at in range(0, len(sequence), width)]
    assert [record.sequence for record in parse("\n".join(lines))] == [sequence]
    assert not fasta.is_list(sequence) and not fasta.is_list(f">a\n{sequence[:20]}\n{sequence[20:70]}")


@pytest.mark.parametrize(
    "lines",
    [
        ["ANNA", "PETER", "JOSUA", "BURKHARD", "XAVER"] * 8,
        ["WLLWWLDW", "LLDWLDLL", "WWWLD"] * 20,  # results of games: few letters
        ["AF", "AL", "DE", "SE", "GR", "PL", "IT", "CN", "IN", "MA", "VE", "QA", "KW", "YE", "HT"] * 4,
        listed(10),
    ],
)
def test_other_words_in_capitals_are_not_taken_for_a_list_of_sequences(lines: list[str]) -> None:
    assert not looks_like("\n".join(lines).encode())


def test_a_list_of_short_dna_is_recognised() -> None:
    assert looks_like("\n".join(listed(30, "ACGT")).encode())


def test_the_lines_of_a_list_are_records(tmp_path: Path) -> None:
    """400 peptides, one a line, had been scored as one protein of 11,265 residues."""
    peptides = listed(100)
    (tmp_path / "peptides.txt").write_text("\n".join(peptides))
    data = Dataset.open(tmp_path / "peptides.txt")
    assert data.modality.name == "protein" and data.scan.items == 100
    assert "no header" not in " ".join(data.scan.notes)
    data.close()
    items = Protein(ProteinConfig()).split_records(Item("a.txt", "\n".join(peptides).encode()))
    assert [item.text for item in items] == peptides


def test_each_value_that_is_named_as_allowed_is() -> None:
    """`none` was named, and then refused."""
    with pytest.raises(ConfigError, match="invalid labels") as caught:
        Headers("(")
    allowed = str(caught.value).partition("expected ")[2].removesuffix(", or a regular expression").split(", ")
    assert [Headers(value).read for value in allowed] == [False, False, True, True]


def test_an_expression_needs_a_group_that_is_the_class() -> None:
    assert Headers("kind=([a-z]+)").label("P1 kind=toxin", None) == "toxin"
    with pytest.raises(ConfigError, match="'kind=' has 0 groups; mark what the class is"):
        Headers("kind=")
