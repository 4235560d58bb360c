"""Programs: indentation in one piece, gaps that are filled in, what is taken as code; molecules by content."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from anew.core.specs import GAP_MARKS, Batch, spec_from_json, spec_to_json
from anew.data.dataset import Dataset
from anew.data.formats.text import word_rules
from anew.data.modalities.code import Code, CodeConfig
from anew.data.modalities.molecule import Molecule
from anew.data.sources.selected_data import detect_modality
from anew.data.types import DataBudget, DataListing, Item
from anew.errors import ConfigError
from samples import molecule, molecules, names, program, programs, prose

SIZE = DataBudget(60.0, 40, 40_000)


def fitted(**settings: object) -> Code:
    modality = Code(CodeConfig(**{"context": 64, **settings}))  # type: ignore[arg-type]
    items = [Item(f"{i}.py", program(i)) for i in range(40)]
    modality.inspect(items)
    modality.fit(items, SIZE, ())
    return modality


def test_indentation_is_one_piece() -> None:
    text = "def f(x):\n    if x:\n\n        return x  # why\n\ty = 1\r\n"
    pieces = re.findall(word_rules.sub_word_rule(with_marks=False), text)
    assert "".join(pieces) == text
    assert pieces[:2] == ["def", " f"] and "\n   " in pieces and " if" in pieces and "\n\n       " in pieces


def test_tokens_give_any_text_back() -> None:
    modality = fitted()
    for text in (program(99), "\t\n\n  \n x", "é\n        ∑ = '\u4e2d'\n", "    indented first"):
        ids = modality.encode(Item("x.py", text))
        assert modality.decode(ids[None].astype(np.int64)) == [text]


def test_a_folder_of_programs_is_code_and_says_what_was_left(tmp_path: Path) -> None:
    programs(tmp_path, 30)
    prose(tmp_path / "read.txt", 20)
    chosen = detect_modality(str(tmp_path), None)
    assert chosen.modality == "code" and chosen.other == {"text": 1} and "; 1 text" in chosen.notes[0]


def test_pages_are_said_to_be_learned_with_their_tags(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}.html").write_text(f"<!DOCTYPE html>\n<p>{'Page ' * 30}{number}</p>\n")
    notes = Dataset.open(tmp_path).scan.notes
    assert "Pages are learned with their tags; to learn their text alone, convert .html files to .txt files." in notes
    for number in range(20):
        (tmp_path / f"{number}.py").write_text(f"def f{number}():\n    return {number}\n")
    assert not any("tags" in note for note in Dataset.open(tmp_path).scan.notes)


@pytest.mark.parametrize("suffix", ["tcl", "adb", "groovy", "d", "awk", "sol", "zig", "nim", "jl", "vhdl", "mk", "f95"])
def test_programs_of_many_languages_are_code(tmp_path: Path, suffix: str) -> None:
    for i in range(3):
        (tmp_path / f"{i}.{suffix}").write_text(f"proc f{i} {{x}} {{ return [expr {{$x + {i}}}] }}\n" * 20)
    chosen = detect_modality(str(tmp_path), None)
    assert chosen.modality == "code" and not chosen.notes and not chosen.source.notes


def test_any_text_is_code_if_the_user_says_so(tmp_path: Path) -> None:
    for i in range(30):
        (tmp_path / f"{i}.q").write_text(f"f{i}: {{x + {i}}}\n" * 20)
    data = Dataset.open(tmp_path, modality="code")
    assert isinstance(data.modality, Code) and data.modality.suffix == ".q"


def test_kinds_of_file_of_one_language_are_said(tmp_path: Path) -> None:
    files = [Item(f"{i}{('.ml', '.mli')[i % 2]}", b"let x = 1\n") for i in range(9)]
    modality = Code(CodeConfig())
    note = " ".join(modality.inspect(files))
    assert note.startswith(
        "The source files are in 2 kinds of file (5 .ml, 4 .mli of those looked at). Samples are written as .ml, but may mix "
    )
    assert note.endswith("; to learn .ml files alone, train on a copy of the folder without the others.")
    assert modality.kinds == (".ml", ".mli")
    notes = modality.inspect(
        [*files[::2], *[Item(f"{i}.ml", b"let x = 1\n") for i in range(30)], Item("a.sh", b"ls\n")]
    )
    assert notes[-1].endswith("Samples are written as .ml.") and modality.kinds == (".ml",)


def test_suffixes_that_are_common_are_classes() -> None:
    files = [Item(f"a/{i}{('.ml', '.mli')[i % 2]}", b"let x = 1\n") for i in range(70)]
    files += [Item("run", b"#!/bin/sh\nls\n")]
    modality = Code(CodeConfig())
    modality.survey_listing(DataListing((item.name for item in files), len(files), None))
    note = " ".join(modality.inspect(files))
    assert note.startswith(
        "The source files are in several languages (35 .ml, 35 .mli, 1 .sh of those looked at). Each suffix is a class"
    )
    assert modality.traits.supports_labels
    labels = [record.label for item in files[-3:] for record in modality.split_records(item)]
    assert labels == [".ml", ".mli", ".ml"]  # a script has the class of most files
    assert modality.class_suffix(".mli") == ".mli" and modality.class_suffix(None) == ""
    for config, budget in ((CodeConfig(labels="off"), None), (CodeConfig(), replace(SIZE, only_compared=True))):
        without = Code(config)
        without.survey_listing(DataListing((item.name for item in files), len(files), None))
        assert (
            not any("Each suffix" in note for note in without.inspect(files, budget))
            and not without.traits.supports_labels
        )
        assert [record.label for item in files[:2] for record in without.split_records(item)] == [None, None]


@pytest.mark.parametrize(
    ("names", "first_line", "suffix"),
    [
        (["a.svg", "b.svg", "c.py"], "<svg>", ".svg"),
        (["add-shell", "b", "c.pl"], "#!/bin/sh -e", ".sh"),
        (["a", "b"], "#!/usr/bin/env -S python3.11 -u", ".py"),
        (["Makefile", "b-2.0_x"], "all: b", ".txt"),
    ],
)
def test_samples_end_as_most_files_do(names: list[str], first_line: str, suffix: str) -> None:
    modality = Code(CodeConfig())
    modality.inspect([Item(name, f"{first_line}\nx = 1\n".encode()) for name in names])
    assert modality.save_item("x").suffix == suffix


def test_training_shows_gaps_that_hold_the_same_tokens() -> None:
    modality = fitted(fim=0.9)
    ids = modality.encode(Item("x.py", program(7, 30)))[: 4 * 65].reshape(4, 65)
    batch = modality.batch(ids, None, None)
    out = modality.augment(batch, np.arange(4, dtype=np.uint64) * np.uint64(2**62)).x.numpy()
    special = modality.spec.special
    changed = [row for row in range(4) if out[row, 0] == special[GAP_MARKS[0]]]
    assert changed
    for row in changed:
        own, original = out[row].tolist(), ids[row, :61].tolist()
        middle = own.index(special[GAP_MARKS[2]])
        suffix = own.index(special[GAP_MARKS[1]])
        whole = own[1:suffix] + own[middle + 1 : -1] + own[suffix + 1 : middle]
        assert whole == original and own[-1] == special["end"] and len(own) == 65
    plain = Code(replace(modality.config, fim=0.0))
    plain.tokenizer, plain.layout = modality.tokenizer, "document"
    plain._set_spec(64, True)
    assert torch.equal(plain.augment(batch, np.arange(4, dtype=np.uint64)).x, batch.x)


@pytest.mark.parametrize("sizes", [(1, 1), (1, 12), (12, 1), (12, 12)])
def test_a_filled_gap_is_the_whole_file(sizes: tuple[int, int]) -> None:
    modality = fitted()
    prefix, suffix, middle = program(1, sizes[0]), program(2, sizes[1]), "x = 1\n"
    condition = modality.condition_from_prompt(prefix, suffix)
    window = len(condition) - int((condition == modality.spec.special[GAP_MARKS[0]]).nonzero()[0])
    assert window <= modality.spec.length
    drawn = torch.cat(
        (condition, torch.from_numpy(modality.tokenizer.encode(middle).astype(np.int64)), torch.tensor([0]))
    )
    drawn[-1] = modality.spec.special["end"]
    assert modality.decode(drawn[None]) == [prefix + middle + suffix]
    with pytest.raises(ConfigError, match="fills no gaps"):
        fitted(fim=0.0).condition_from_prompt("a", "b")


def test_a_saved_tokenizer_comes_back(tmp_path: Path) -> None:
    modality = fitted()
    modality.save(tmp_path)
    again = Code(modality.config)
    again.restore(modality.state(), tmp_path)
    text = program(50)
    assert np.array_equal(again.encode(Item("x", text)), modality.encode(Item("x", text)))
    assert again.spec == modality.spec and isinstance(
        modality.batch(again.encode(Item("x", text))[None], None, None), Batch
    )


def test_molecules_are_known_by_content_and_names_are_not(tmp_path: Path) -> None:
    lines = "".join(molecule(i) + "\n" for i in range(60))
    assert Molecule.sniff(lines.encode()) > 0.8
    listed = names(tmp_path / "n" / "names.txt", 300).read_bytes()
    assert max(Molecule.sniff(head) for head in (listed, b"CON\nNO\nSON\n" * 20, b"")) < 0.1
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "list.txt").write_text(lines)
    assert detect_modality(str(tmp_path / "m"), None).modality == "molecule"


LICENCE = "# Copyright of somebody\n# (see LICENCE)\n#\n"
OTHER = {
    "comments": LICENCE * 20,
    "dates": "".join(f"2020-01-{i:02}\n" for i in range(60)),
    "addresses": "".join(f"192.168.1.{i}\n" for i in range(60)),
    "numbers": "".join(f"-{i}.1\n" for i in range(60)),
    "telephones": "".join(f"+1({i})555-12\n" for i in range(60)),
    "moves": "".join(f"{i}. Nf3 Nc6\n" for i in range(60)),
    "rules": "----\n====\n" * 60,
    "table": "smiles,value\n" + "".join(f"{molecule(i)},{i}\n" for i in range(60)),
}


@pytest.mark.parametrize("text", OTHER.values(), ids=OTHER)
def test_what_is_written_with_the_same_signs_is_no_list_of_molecules(text: str) -> None:
    assert Molecule.sniff(text.encode()) < 0.1


def test_comments_are_no_molecules(tmp_path: Path) -> None:
    lines = LICENCE + "".join(molecule(i) + "\n" for i in range(60))
    assert Molecule.sniff(lines.encode()) > 0.8
    (tmp_path / "a.smi").write_text(lines)
    (tmp_path / "b.smi").write_text(LICENCE)
    data = Dataset.open(tmp_path)
    assert sum(data.scan.parts.values()) == 60
    assert [(r.name, r.reason) for r in data.scan.skipped_items] == [("b.smi", "it holds no molecule")]
    assert "Comments are ignored: 6 lines with # at the beginning" in " ".join(data.scan.notes)
    data.close()


def test_samples_that_are_no_molecules_count(tmp_path: Path) -> None:
    data = Dataset.open(molecules(tmp_path / "data"))
    data.fit(DataBudget(None, 60, 2000))
    (tmp_path / "samples.smi").write_text("CCO\nC(C\nc1c)C\n")
    counts = []
    for samples in (True, False):
        other = Dataset.open_like(data.state(), tmp_path, str(tmp_path / "samples.smi"), samples)
        counts.append(len(other.text("all")))
        other.close()
    assert counts == [3, 1]
    data.close()


def test_molecules_are_read_line_by_line_and_bad_ones_refused(tmp_path: Path) -> None:
    folder = molecules(tmp_path)
    with open(folder / "made.smi", "a") as out:
        out.write("\nC(C\nhello there\n" + "C" * 500 + "\n")
    data = Dataset.open(folder)
    reasons = [r.reason for r in data.scan.skipped_items]
    assert len(reasons) == 3 and "longer than 400" in reasons[1] and "not SMILES" in reasons[0]  # another reason first
    assert "Names after the molecule are ignored" in " ".join(data.scan.notes)
    data.close()


def test_programs_of_one_grammar_have_its_name_which_config_json_does_not() -> None:
    for kinds, grammar in (((".py", ".pyi"), "python"), ((".ml", ".mli"), ""), ((".adb",), "")):
        modality = Code(CodeConfig())
        modality.suffix, modality.kinds = kinds[0], kinds
        assert modality.grammar == grammar
    spec = fitted().spec
    assert (
        spec.grammar == "python" and "grammar" not in spec_to_json(spec) and spec_from_json(spec_to_json(spec)) == spec
    )
