"""Molecules: predicted as text is; whether samples are molecules, different ones and new ones (RDKit, an extra)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from anew.evaluation.metrics.statistics import Score
from anew.evaluation.modalities.text import KNOWN_MOST, TextEvaluation


class MoleculeEvaluation(TextEvaluation):
    """What lists of text have, and validity, uniqueness and novelty as MOSES defines them (arXiv 1811.12823)."""

    noun = "molecules"

    def own(self) -> Iterator[Score]:
        yield from self._chemistry()
        yield from super().own()

    def _chemistry(self) -> Iterator[Score]:
        samples = [str(s) for s in self.evidence.samples]
        if not samples:
            return
        try:
            made = canonical(samples)
        except ImportError:
            self.leave_out(
                "validity, uniqueness, novelty", "they need RDKit; install it with `pip install 'anew[chem]'`"
            )
            return
        held = canonical(self.evidence.test(len(samples)))
        valid, real = ([one for one in part if one is not None] for part in (made, held))
        n = len(samples)
        yield Score(
            "valid_share", len(valid) / n, *_share(len(valid), n), len(real) / max(len(held), 1), "higher", n,
            "samples that RDKit reads and sanitises; floor: held-out molecules",
        )  # fmt: skip
        if not valid or not real:
            return
        unique, different = set(valid), set(real)
        yield Score(
            "unique_share", len(unique) / len(valid), *_share(len(unique), len(valid)), len(different) / len(real),
            "higher", len(valid), "different canonical SMILES among the valid samples; floor: among held-out molecules",
        )  # fmt: skip
        if self.clock.over(0.7):
            self.leave_out("novelty of molecules", "the time was spent")
            return
        known = {one for one in canonical(self._part("train", KNOWN_MOST)) if one is not None}
        new, fresh = len(unique - known), len(different - known)
        source = f"unique samples that are none of {len(known):,} training molecules; floor: held-out molecules"
        floor = fresh / len(different)
        yield Score(
            "novel_share", new / len(unique), *_share(new, len(unique)), floor, "higher", len(unique), source
        )  # fmt: skip


def _share(hits: int, n: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share."""
    z, share = 1.96, hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(float(middle - half), 0.0), min(float(middle + half), 1.0)


def canonical(molecules: Sequence[str]) -> list[str | None]:
    """The canonical SMILES of each, None for what is no molecule. ImportError without RDKit."""
    from rdkit import Chem, rdBase

    out: list[str | None] = []
    with rdBase.BlockLogs():
        for text in molecules:
            one = Chem.MolFromSmiles(text) if text else None
            out.append(None if one is None else Chem.MolToSmiles(one))
    return out


EXPORT = MoleculeEvaluation
