"""What is refused is called by what the user has, and what would do is named."""

from __future__ import annotations

from pathlib import Path

import pytest

import anew
from samples import clips


@pytest.mark.parametrize(
    ("family", "settings", "says"),
    [
        ("gan", {}, "'gan' does not take videos; give diffusion or transformer"),
        ("diffusion", {"space": "latent"}, "no codec makes what 'diffusion' takes of videos"),
    ],
)
def test_refused_families_and_spaces_of_clips(family: str, settings: dict[str, str], says: str, tmp_path: Path) -> None:
    with pytest.raises(anew.ConfigError, match=says):
        anew.train(clips(tmp_path / "d", 20), tmp_path / "run", steps=2, family=family, settings=settings)
