"""SMILES: which texts are molecules that may exist, and which beginnings can go on."""

from __future__ import annotations

import numpy as np
import pytest

from anew.core.grammars.smiles import begins_molecule, is_molecule

VALID = [
    "C",
    "[Na+].[Cl-]",
    "CC(=O)Oc1ccccc1C(=O)O",
    "Cn1c(=O)c2c(ncn2C)n(C)c1=O",  # caffeine: atoms with a double bond beside the ring need none in it
    "c1ccc2[nH]ccc2c1",
    "c1ccc(-c2ccccc2)cc1",
    "c1ccccc1c1ccccc1",  # the bond between the rings is no aromatic one
    "C1CC1C%10CC%10",
    "O=[N+]([O-])c1ccccc1",
    "CN(=O)=O",  # nitro groups without charges
    "N[C@@H](C)C(=O)O",
    "F/C=C/F",
    "C1=CC=CC=C1",
    "[13CH3][2H]",
    "c1cc[n+](C)cc1",
    "O=S(=O)(N)c1ccsc1",
    "c1cc2cccc3ccc(c1)c23",
    "[cH-]1cccc1",
    "o1cccc1.C(F)(Cl)(Br)I",
    "C#N",
    "[O-]Cl",
    "C=1CCCCC=1",
]
INVALID = [
    "",
    "(C)",
    "C(",
    "C)",
    "C()C",
    "C((C))C",
    "C1CC",
    "C11",
    "C12CC12",
    "CC=",
    "C==C",
    "=C",
    "C..C",
    "C.",
    ".C",
    "C(C)(C)(C)(C)C",
    "FCF.C(F)=F",
    "C=C=C=C(C)C#C=C",
    "N(C)(C)(C)C",
    "c1cccc1",  # five atoms, each of which needs a double bond
    "c1ccccc1c",
    "cC",
    "n1cccc1",
    "[nH]1ccccc1",
    "[C",
    "[Qq]",
    "[]",
    "C=1CCCCC#1",
    "C C",
    "CA",
    "%1",
]


@pytest.mark.parametrize("text", VALID)
def test_molecules(text: str) -> None:
    assert is_molecule(text)
    assert all(begins_molecule(text[:length]) for length in range(len(text) + 1))


@pytest.mark.parametrize("text", INVALID)
def test_what_no_molecule_is(text: str) -> None:
    assert not is_molecule(text)


@pytest.mark.parametrize("text", ["(", ")", "=C", "C()", "C)", "C11", "C==", "A", "C A", "[C]]"])
def test_what_no_molecule_begins_with(text: str) -> None:
    assert not begins_molecule(text) and not is_molecule(text)


def test_large_aromatic_systems_take_no_time() -> None:
    """A ladder of rings, with one atom too many for its double bonds: no choice leads to an end."""
    ladder = "c1cc2cc3cc4cc5cc6cc7cc8cc9ccccc9cc8cc7cc6cc5cc4cc3cc2cc1"
    assert is_molecule(ladder)
    assert not is_molecule(ladder.replace("ccccc9", "cccc9"))


def test_changed_molecules_are_valid_where_rdkit_says_so() -> None:
    """Atoms that are written as aromatic, but have no aromatic bond, are refused, and RDKit takes them: nobody writes them."""
    chem = pytest.importorskip("rdkit.Chem", reason="RDKit, of the extra `molecules`, is not installed")
    from rdkit import rdBase

    rng = np.random.default_rng(0)
    changed = [change(str(rng.choice(VALID)), rng) for _ in range(4000)]
    with rdBase.BlockLogs():
        is_valid = np.array([chem.MolFromSmiles(text) is not None for text in changed])
    is_accepted = np.array(list(map(is_molecule, changed)))
    assert 400 < is_valid.sum() < 3600
    assert (is_accepted & ~is_valid).mean() < 0.002, [text for text in np.array(changed)[is_accepted & ~is_valid]]
    assert (is_valid & ~is_accepted).mean() < 0.02, [text for text in np.array(changed)[is_valid & ~is_accepted]]


def change(text: str, rng: np.random.Generator) -> str:
    """A text with up to three characters replaced, left out or put in."""
    letters = list(text)
    for _ in range(rng.integers(1, 4)):
        place, letter = int(rng.integers(len(letters) + 1)), str(rng.choice(list("CNOSFcnos()=#12[]H+-")))
        letters[place : place + int(rng.integers(2))] = [letter] if rng.random() < 0.7 else []
    return "".join(letters) or "C"
