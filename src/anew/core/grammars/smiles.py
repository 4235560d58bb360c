"""SMILES, the notation of molecules: whether a text is one (syntax, valences, aromatic rings), and whether one begins with it.

What no molecule can be is refused, and what chemistry leaves open is accepted: valences of metals, charges that are seldom met, radicals.
The notation is that of OpenSMILES (opensmiles.org/opensmiles.html).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

ATOM_OPENERS = "[BCNOPSFIbcnops*"  # the characters that a molecule may begin with
ELEMENTS = frozenset(
    re.findall(
        "[A-Z][a-z]?",
        "HHeLiBeBCNOFNeNaMgAlSiPSClArKCaScTiVCrMnFeCoNiCuZnGaGeAsSeBrKrRbSrYZrNbMoTcRuRhPdAgCdInSnSbTeIXeCsBaLaCePrNdPmSmEuGdTbDyHoErTmYb"
        "LuHfTaWReOsIrPtAuHgTlPbBiPoAtRnFrRaAcThPaUNpPuAmCmBkCfEsFmMdNoLrRfDbSgBhHsMtDsRgCnNhFlMcLvTsOg",
    )
)
ANY_ATOM = "*"
AROMATIC = frozenset(("b", "c", "n", "o", "p", "s", "as", "se", "te"))
BRACKET_SYMBOLS = ELEMENTS | AROMATIC | {ANY_ATOM}
# Elements by the electrons in their outer shell, 3 to 7: with a charge, an element bonds like the one that has as many electrons then
_COLUMNS = (
    ("B", "C", "N", "O", "F"),
    ("Al", "Si", "P", "S", "Cl"),
    ("Ga", "Ge", "As", "Se", "Br"),
    ("In", "Sn", "Sb", "Te", "I"),
)
# Numbers of bonds, of the elements as above. Nitrogen with five is how nitro groups and azides are often written.
_VALENCES: tuple[tuple[tuple[int, ...], ...], ...] = (
    ((3,), (4,), (3, 5), (2,), (1,)),
    ((3, 6), (4, 6), (3, 5), (2, 4, 6), (1,)),
    ((3,), (4,), (3, 5), (2, 4, 6), (1,)),
    ((3,), (2, 4), (3, 5), (2, 4, 6), (1, 3, 5)),
)
_ORDERS = {"-": 1, "/": 1, "\\": 1, "=": 2, "#": 3, "$": 4}  # orders of bonds, as OpenSMILES defines them
_AROMATIC_BOND = 0  # its order is 1 or 2, which `_has_kekule_form` decides
# So many ways to place the double bonds of a molecule are tried; those that need more are accepted; chosen.
MAX_TRIALS = 2_000

_TOKEN = re.compile(
    r"\[(?P<bracket>[^\[\]\s]*)\]|(?P<atom>Br|Cl|[BCNOPSFIbcnops*])|(?P<bond>[-=#$:/\\])|(?P<ring>\d|%\d\d)|(?P<other>[().])"
)
_BRACKET = re.compile(
    r"\d*(?P<symbol>[A-Z][a-z]?|[a-z]{1,2}|\*)(?:@(?:@|(?:TH|AL|SP|TB|OH)\d+)?)?"
    r"(?P<hydrogens>H\d*)?(?P<charge>\++|-+|[+-]\d+)?(?::\d+)?"
)
_PART_OF_TOKEN = re.compile(r"\[[^\[\]\s]*|%\d?")  # one that is cut


@dataclass(frozen=True, slots=True)
class _Atom:
    """hydrogens: Those in the brackets; None outside brackets, where as many are meant as complete the valence."""

    symbol: str
    hydrogens: int | None = None
    charge: int = 0

    @property
    def is_aromatic(self) -> bool:
        return self.symbol.islower()

    @property
    def valences(self) -> tuple[int, ...]:
        """How many bonds it may have, in rising order; none if any number is accepted."""
        element = self.symbol.capitalize()
        if element == "H":
            return (1,)
        for row, valences in zip(_COLUMNS, _VALENCES, strict=True):
            if element in row:
                column = row.index(element) - self.charge
                return valences[column] if 0 <= column < len(row) else ()
        return ()


@dataclass(slots=True)
class _AtomGraph:
    """The atoms of a molecule, or of several. bonds: Of each atom, the order by the number of the other atom."""

    atoms: list[_Atom] = field(default_factory=list)
    bonds: list[dict[int, int]] = field(default_factory=list)

    def add_atom(self, atom: _Atom) -> int:
        self.atoms.append(atom)
        self.bonds.append({})
        return len(self.atoms) - 1

    def add_bond(self, first: int, second: int, symbol: str) -> bool:
        """Whether two atoms could be bonded. symbol: '' for the usual bond, which is aromatic between aromatic atoms."""
        if first == second or second in self.bonds[first]:
            return False
        both_aromatic = self.atoms[first].is_aromatic and self.atoms[second].is_aromatic
        if symbol == ":" and not both_aromatic:
            return False
        usual = _AROMATIC_BOND if both_aromatic else 1
        order = _ORDERS.get(symbol, usual)
        self.bonds[first][second] = self.bonds[second][first] = order
        return True


class _SmilesReader:
    """Reads a text from left to right. The text is wrong from where `read` returns False."""

    def __init__(self) -> None:
        self.molecule = _AtomGraph()
        self._last: int | None = None  # the atom that the next one is bonded to
        self._bond = ""  # written since
        self._branches: list[int] = []
        self._open_rings: dict[int, tuple[int, str]] = {}
        self._opens_branch = False

    @property
    def is_complete(self) -> bool:
        return self._last is not None and not (self._bond or self._branches or self._open_rings)

    def read(self, token: re.Match[str]) -> bool:
        part, text = str(token.lastgroup), token[0]
        opened_branch, self._opens_branch = self._opens_branch, False
        if part in ("atom", "bracket"):
            atom = _Atom(text) if part == "atom" else _bracket_atom(token["bracket"])
            return atom is not None and self._add(atom)
        if self._last is None:
            return False
        if part == "bond":
            is_first, self._bond = not self._bond, text
            return is_first
        if opened_branch:
            return False
        return self._close_ring(int(text.lstrip("%"))) if part == "ring" else self._turn(text)

    def _add(self, atom: _Atom) -> bool:
        number = self.molecule.add_atom(atom)
        is_bonded = self._last is None or self.molecule.add_bond(self._last, number, self._bond)
        self._last, self._bond = number, ""
        return is_bonded

    def _close_ring(self, ring: int) -> bool:
        assert self._last is not None
        bond, self._bond = self._bond, ""
        if ring not in self._open_rings:
            self._open_rings[ring] = (self._last, bond)
            return True
        other, other_bond = self._open_rings.pop(ring)
        fits = not bond or not other_bond or _ORDERS.get(bond) == _ORDERS.get(other_bond)
        return fits and self.molecule.add_bond(other, self._last, bond or other_bond)

    def _turn(self, text: str) -> bool:
        """Begin or end a branch, or, at a dot, another part of the molecule."""
        if self._bond:
            return False
        if text == "(":
            assert self._last is not None
            self._branches.append(self._last)
            self._opens_branch = True
        elif text == ".":
            self._last = None
        elif not self._branches:
            return False
        else:
            self._last = self._branches.pop()
        return True


def _bracket_atom(text: str) -> _Atom | None:
    match = _BRACKET.fullmatch(text)
    if match is None:
        return None
    symbol, hydrogens, charge = match["symbol"], match["hydrogens"], match["charge"] or ""
    if symbol not in BRACKET_SYMBOLS:
        return None
    sign = -1 if charge.startswith("-") else 1
    size = int(charge[1:]) if charge[1:].isdigit() else len(charge)
    return _Atom(symbol, int(hydrogens[1:] or 1) if hydrogens else 0, sign * size)


def is_molecule(text: str) -> bool:
    """Whether a text is the SMILES of a molecule that may exist."""
    reader = _SmilesReader()
    end = _read_tokens(reader, text)
    return end == len(text) and reader.is_complete and _is_possible(reader.molecule)


def begins_molecule(text: str) -> bool:
    """Whether the syntax lets a SMILES begin with a text. Valences are not looked at."""
    end = _read_tokens(_SmilesReader(), text)
    return end is not None and (end == len(text) or _PART_OF_TOKEN.fullmatch(text, end) is not None)


def _read_tokens(reader: _SmilesReader, text: str) -> int | None:
    """Where the whole tokens at the beginning of a text end; None if one of them cannot stand where it does."""
    end = 0
    while token := _TOKEN.match(text, end):
        if not reader.read(token):
            return None
        end = token.end()
    return end


def _is_possible(molecule: _AtomGraph) -> bool:
    ring_bonds = set(_aromatic_ring_bonds(molecule))
    in_ring = {number for bond in ring_bonds for number in bond}
    needs_double: set[int] = set()
    may_have_double: set[int] = set()
    for number, atom in enumerate(molecule.atoms):
        if atom.is_aromatic and number not in in_ring:
            return False
        num_bonds = _num_bonds(atom, molecule.bonds[number])
        valences = atom.valences
        if valences and num_bonds > valences[-1]:
            return False
        if (
            atom.symbol in ("N", "n")
            and num_bonds > 3
            and not atom.charge
            and not _has_pentavalent_form(molecule, number)
        ):
            return False
        if atom.is_aromatic and num_bonds not in valences:
            may_have_double.add(number)
            if num_bonds + 1 in valences:
                needs_double.add(number)
    return _has_kekule_form(ring_bonds, needs_double, may_have_double)


def _num_bonds(atom: _Atom, bonds: dict[int, int]) -> int:
    """How many bonds an atom has, a double one of an aromatic ring counted once, and hydrogen as far as it is certain."""
    num_bonds = sum(max(1, order) for order in bonds.values())
    if atom.hydrogens is None:  # aromatic carbon has a hydrogen atom where it has only two neighbours
        return max(num_bonds, 3) if atom.symbol == "c" else num_bonds
    return num_bonds + atom.hydrogens


def _has_pentavalent_form(molecule: _AtomGraph, number: int) -> bool:
    """Whether a nitrogen atom with more than three bonds is one that is often written without charges: with two double bonds, one to
    oxygen, or with a double and a triple one; in an aromatic ring, with a double bond to oxygen."""
    bonds = molecule.bonds[number]
    has_oxide = any(order == 2 and molecule.atoms[other].symbol == "O" for other, order in bonds.items())
    if molecule.atoms[number].is_aromatic:
        return has_oxide and len(bonds) == 3
    orders = sorted(bonds.values())[-2:]
    return orders == [2, 3] or (orders == [2, 2] and has_oxide)


def _aromatic_ring_bonds(molecule: _AtomGraph) -> Iterator[tuple[int, int]]:
    """The aromatic bonds that are part of a ring. Those between two rings are single bonds."""
    for first, bonds in enumerate(molecule.bonds):
        for second, order in bonds.items():
            if first < second and order == _AROMATIC_BOND and _is_in_ring(molecule, first, second):
                yield first, second


def _is_in_ring(molecule: _AtomGraph, first: int, second: int) -> bool:
    """Whether two bonded atoms are also connected by other bonds."""
    seen, waiting = {first}, [number for number in molecule.bonds[first] if number != second]
    while waiting:
        number = waiting.pop()
        if number == second:
            return True
        if number not in seen:
            seen.add(number)
            waiting.extend(molecule.bonds[number])
    return False


def _has_kekule_form(ring_bonds: set[tuple[int, int]], needs_double: set[int], may_have_double: set[int]) -> bool:
    """Whether double bonds can be placed on bonds of aromatic rings, so that each atom that needs one has one, and none has two.

    The atom with the fewest choices comes first, so that hardly any choice must be taken back.
    """
    neighbours: dict[int, set[int]] = {number: set() for number in may_have_double}
    for first, second in ring_bonds:
        if first in may_have_double and second in may_have_double:
            neighbours[first].add(second)
            neighbours[second].add(first)
    trials = 0

    def place(missing: frozenset[int], free: frozenset[int]) -> bool:
        nonlocal trials
        trials += 1
        if not missing or trials > MAX_TRIALS:
            return True
        number = min(missing, key=lambda atom: (len(neighbours[atom] & free), atom))
        pairs = ({number, other} for other in sorted(neighbours[number] & free))
        return any(place(missing - pair, free - pair) for pair in pairs)

    return place(frozenset(needs_double), frozenset(may_have_double))
