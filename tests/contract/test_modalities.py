"""One battery over every modality. The number of checks that ran is counted, so that none is skipped in silence."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image, ImageSequence

from anew.core import settings as cfg
from anew.core.registry import available, load
from anew.core.specs import Grid, spec_from_json, spec_to_json
from anew.data.dataset import Dataset
from anew.data.modality import Modality
from anew.data.types import DataBudget, Item
from samples import (
    clips,
    molecule,
    molecules,
    moving_dot,
    program,
    programs,
    prose,
    sequences,
    shapes,
    tone,
    tones,
)
from samples import names as name_list

SIZE = DataBudget(60.0, 40, 40_000)


def png(seed: int, mode: str = "RGB") -> bytes:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 256, (10, 14, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(values).convert(mode).save(out, "PNG")
    return out.getvalue()


def wave(seed: int) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, tone(seed), 8000, format="WAV")
    return out.getvalue()


def text_items() -> list[Item]:
    source = random.Random(0)
    words = ["alpha", "beta", "gamma", "délta", "ε", "ζeta", "\u4e2d\u6587", "line\n"]
    return [Item(f"{i}.txt", " ".join(source.choice(words) for _ in range(300)), "ab"[i % 2]) for i in range(40)]


def sequence_items() -> list[Item]:
    source = random.Random(0)
    sequences = (
        "".join(source.choice("ACDEFGHIKLMNPQRSTVWYX") for _ in range(source.randint(30, 80))) for _ in range(40)
    )
    return [Item(f"a.fasta:{i}", sequence, "ab"[i % 2]) for i, sequence in enumerate(sequences)]


def code_items() -> list[Item]:
    return [Item(f"{i}.py", program(i), None) for i in range(40)]


def molecule_items() -> list[Item]:
    return [Item(f"a.smi:{i}", molecule(i)) for i in range(40)]


# what each modality is tried on: items, and the folder of a small data set
ITEMS: dict[str, Callable[[], list[Item]]] = {
    "audio": lambda: [Item(f"{i}.wav", wave(i), "ab"[i % 2]) for i in range(40)],
    "code": code_items,
    "image": lambda: [Item(f"{i}.png", png(i), "ab"[i % 2]) for i in range(40)],
    "molecule": molecule_items,
    "protein": sequence_items,
    "text": text_items,
    "video": lambda: [Item(f"{i}.gif", moving_dot(i), "ab"[i % 2]) for i in range(40)],
}
DATA: dict[str, Callable[[Path], Path]] = {
    "audio": lambda folder: tones(folder, 60),
    "code": programs,
    "image": lambda folder: shapes(folder, 160),
    "molecule": molecules,
    "protein": lambda folder: sequences(folder / "a.fasta").parent,
    "text": lambda folder: prose(folder / "book.txt", 600).parent,
    "video": lambda folder: clips(folder, 60),
}
UNLIKE = {"audio": 12.0}  # mean difference of pictures, of 255, that the way to the model's values and back may make
LOST = {
    ".wav": 40.0,
    ".mp4": 3.0,
}  # mean difference of stored values that writing a sample and reading it again may make


def items(name: str) -> list[Item]:
    return ITEMS[name]()


def as_seen(data: bytes) -> np.ndarray[Any, Any]:
    """(H, W, C) of a picture, (T, H, W, C) of a moving one."""
    with Image.open(io.BytesIO(data)) as image:
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]
    return np.stack(frames) if len(frames) > 1 else frames[0]


def fitted(name: str) -> Modality:
    modality_class = load("data", name)
    modality: Modality = modality_class(modality_class.Config())
    modality.inspect(items(name))
    modality.fit(items(name)[:30], SIZE, ("a", "b"))
    return modality


def check_spec_round_trip(name: str, tmp_path: Path) -> None:
    spec = fitted(name).spec
    assert spec_from_json(spec_to_json(spec)) == spec


def check_config_round_trip(name: str, tmp_path: Path) -> None:
    modality_class = load("data", name)
    config = modality_class.Config()
    cfg.check(config)
    assert cfg.from_json(modality_class.Config, cfg.to_json(config)) == config
    assert all(len(k.help) > 5 for k in cfg.settings_of(modality_class.Config).values())


def check_fit_and_encode_are_deterministic(name: str, tmp_path: Path) -> None:
    first, second = fitted(name), fitted(name)
    assert first.spec == second.spec
    for item in items(name)[:5]:
        assert np.array_equal(first.encode(item), second.encode(item))


def check_decode_undoes_encode(name: str, tmp_path: Path) -> None:
    modality = fitted(name)
    for item in items(name)[35:]:  # items that fit never saw
        stored = modality.encode(item)
        if isinstance(modality.spec, Grid):
            decoded = modality.decode(modality.batch(stored[None], None, None).x)[0]
            if name in UNLIKE:
                first, second = (modality.picture(x).astype(int) for x in (modality.to_items(stored[None])[0], decoded))
                assert np.abs(first - second).mean() <= UNLIKE[name]
                continue
            assert np.abs(as_seen(item.data).astype(int) - decoded.astype(int)).max() <= 1
        else:
            assert modality.decode(stored[None].astype(np.int64))[0] == item.data


def check_batches_fit_the_spec(name: str, tmp_path: Path) -> None:
    modality = fitted(name)
    if isinstance(modality.spec, Grid):
        rows = np.stack([modality.encode(i) for i in items(name)[:6]])
        batch = modality.batch(rows, np.zeros(6, np.int64), None)
        assert tuple(batch.x.shape) == (6, *modality.spec.shape)
        assert batch.x.dtype == torch.float32
        assert float(batch.x.abs().max()) <= 1.0
    else:
        width = modality.spec.length + 1
        rows = np.resize(modality.encode(items(name)[0]), (3, width))
        batch = modality.batch(rows, None, None)
        assert tuple(batch.x.shape) == (3, width)
        assert batch.x.dtype == torch.int64
        assert int(batch.x.max()) < modality.spec.vocab


def check_written_files_are_ordinary(name: str, tmp_path: Path) -> None:
    modality = fitted(name)
    stored = modality.encode(items(name)[0])
    x: Any = stored[None].astype(np.int64)
    if isinstance(modality.spec, Grid):
        x = modality.batch(stored[None], None, None).x
    artifact = modality.save_item(modality.decode(x)[0])
    assert artifact.suffix in modality.suffixes
    if name in UNLIKE:  # a phase was found, not kept: what was written is what is read again
        stored = modality.encode(Item("made", modality.decode(x)[0]))
    for file in (artifact, *artifact.also):
        again = Item(f"again{file.suffix}", file.data)
        again = next(iter(modality.split_records(again))) if modality.traits.is_text else again
        lost = np.abs(modality.encode(again).astype(int) - stored.astype(int)).mean()
        assert lost <= LOST.get(file.suffix, 0.0)


def check_state_restores(name: str, tmp_path: Path) -> None:
    import json

    modality = fitted(name)
    modality.save(tmp_path)
    state = json.loads(json.dumps(modality.state()))
    again: Modality = load("data", name)(modality.config)
    again.restore(state, tmp_path)
    assert again.spec == modality.spec
    for item in items(name)[:3]:
        assert np.array_equal(again.encode(item), modality.encode(item))


def check_garbage_is_refused_with_a_clause(name: str, tmp_path: Path) -> None:
    modality = fitted(name)
    garbage = Item("x", b"\x00\xff\x00\x01" * 50, None)
    reason = modality.validate_header(garbage)
    assert reason is not None
    assert "\n" not in reason and len(reason) < 200


def check_a_data_set_of_it_is_whole(name: str, tmp_path: Path) -> None:
    path = DATA[name](tmp_path / "d")
    data = Dataset.open(path, seed=3)
    assert data.modality.name == name
    data.fit(SIZE)
    sizes = [data.part_size(p) for p in ("train", "validation", "test")]
    assert all(s > 0 for s in sizes)
    assert data.scan.notes and all(note.endswith(".") and not note[0].islower() for note in data.scan.notes)
    first, second = data.batch(5, "main", 2, 3, 8), data.batch(5, "main", 0, 8, 8)
    assert torch.equal(first.x, second.x[2:5])
    again = Dataset.open(path, seed=3)
    again.fit(SIZE)
    assert torch.equal(again.batch(5, "main", 2, 3, 8).x, first.x)
    data.close()
    again.close()


CHECKS: list[Callable[[str, Path], None]] = [
    check_spec_round_trip,
    check_config_round_trip,
    check_fit_and_encode_are_deterministic,
    check_decode_undoes_encode,
    check_batches_fit_the_spec,
    check_written_files_are_ordinary,
    check_state_restores,
    check_garbage_is_refused_with_a_clause,
    check_a_data_set_of_it_is_whole,
]


@pytest.mark.parametrize("name", available("data"))
@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__.removeprefix("check_"))
def test_modality(check: Callable[[str, Path], None], name: str, tmp_path: Path) -> None:
    check(name, tmp_path)


def test_the_battery_is_complete() -> None:
    assert set(available("data")) == set(ITEMS) == set(DATA)
    assert set(available("data")) == set(available("evaluation"))
    assert (len(available("data")), len(CHECKS)) == (7, 9)


def test_a_list_counts_every_character(tmp_path: Path) -> None:
    path = name_list(tmp_path / "names.txt")
    data = Dataset.open(path)
    data.fit(SIZE)
    units = sum(
        float(b.units.sum())
        for part in ("train", "validation", "test")
        for b in data.scoring(part)
        if b.units is not None
    )
    assert units == len(path.read_text())
    data.close()
