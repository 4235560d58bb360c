"""A request is checked before anything is read, and its values are plain."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from anew.core.stores.addresses import is_hub_name
from anew.errors import ConfigError, DataError
from anew.planning.request import make_request, resolve_data


@pytest.mark.parametrize("name", ["owner/name", "hf://owner/name", "owner/name:config", "hf://owner/name:config"])
def test_hub_names_are_taken_with_and_without_their_scheme(name: str) -> None:
    assert is_hub_name(name)
    assert resolve_data(name) == name


@pytest.mark.parametrize("name", ["name", "/owner/name", "./owner/name", "~/owner/name", "a/b/c", "hf:/owner/name"])
def test_other_texts_are_no_hub_names(name: str) -> None:
    assert not is_hub_name(name)
    with pytest.raises(DataError, match="does not exist"):
        resolve_data(name)


def test_settings_become_text(tmp_path: Path) -> None:
    request = make_request(tmp_path, steps=3, settings={"width": 64, "tensorboard": True, "muon_lr": 0.5})
    assert request.settings == {"width": "64", "tensorboard": "True", "muon_lr": "0.5"}
    assert (request.data, request.steps, request.budget) == (str(tmp_path), 3, None)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"budget": "5m", "steps": 3}, "`budget` and `steps` are mutually exclusive"),
        ({"steps": 3, "settings": {"train.train_seconds": 5}}, "`steps` and the setting train_seconds are"),
        ({"family": "difusion"}, "did you mean 'diffusion'"),
        ({"modality": "imag"}, "did you mean 'image'"),
        ({"prefer": "best"}, "`prefer` must be one of quality, speed, latent"),
        ({"settings": {"tile": True}}, "'tile' is a setting of sampling, not of training"),
        ({"settings": {"steps": 3}}, "unknown setting 'steps'; give it by itself"),
        # Diffusion is trained with it
        ({"family": "gan", "settings": {"sigma_min": 0.1}}, "^unknown setting 'sigma_min'"),
        # Samples of a GAN have none
        ({"family": "gan", "settings": {"temperature": 0.9}}, "^unknown setting 'temperature'"),
        ({"settings": {"text": "quote"}}, "unknown setting 'text'; did you mean 'text_column'?"),
        ({"family": "mine.py"}, "the family file 'mine.py' does not exist"),
    ],
)
def test_what_excludes_each_other_or_is_unknown_is_said(
    arguments: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        make_request(tmp_path, **arguments)


@pytest.mark.parametrize(
    ("module", "names"), [("anew.planning.request", {"torch", "numpy"}), ("anew.planning.replay", {"torch"})]
)
def test_a_request_needs_no_arrays(module: str, names: set[str]) -> None:
    code = f"import sys, {module}; sys.exit(bool({names} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
