"""What the codec of codes promises beyond the contract of all families."""

from __future__ import annotations

import pytest
import torch

from anew.core.random import StepContext
from anew.core.specs import Batch, Grid, Tokens, spec_from_json, spec_to_json
from anew.errors import ConfigError
from anew.families.base import Scale
from anew.families.fsq.family import Fsq, FsqConfig
from anew.families.transformer.parts import neighbour_offsets
from anew.planning.build import build_family
from contract.test_families import Made, training

VIDEO = Grid((2, 3, 10, 12), "CTHW", 2, 0.5, bounded=False)


def made(spec: Grid, **config: object) -> Fsq:
    settings = {"width": 8, "levels": (3, 4), "num_clusters": 0, **config}
    return build_family(Fsq, spec, FsqConfig(**settings), 0, torch.device("cpu"))  # type: ignore


def test_frames_are_coded_one_by_one() -> None:
    family = made(VIDEO).eval()
    assert family.latent == Tokens(13, 27, {"begin": 12, "rare": 12}, 2, False, (3, 3, 3))
    x = Made(VIDEO).batch(0, "", 0, 4, 4).x
    z = family.encode(x)
    other = x.clone()
    other[:, :, 1] = -other[:, :, 1]
    moved = (family.encode(other) != z).view(4, 3, 9).any(2).any(0)
    assert moved.tolist() == [False, True, False]
    frame = made(Grid((2, 10, 12), "CHW", 0, 0.5, bounded=False)).eval()
    frame.load_state_dict(family.state_dict())
    assert torch.allclose(family.decode(z)[:, :, 2], frame.decode(z.view(4, 3, 9)[:, 2]), atol=1e-5)
    for stepped in training(made(VIDEO), VIDEO, 2):
        assert stepped.losses["autoencoder"] > 0


def test_the_penalty_does_not_depend_on_how_a_batch_of_clips_is_cut() -> None:
    """Rows were counted in frames within a micro-batch, but in clips before it."""
    family, batch = (
        made(VIDEO, precision="fp32", adversarial_weight=1.0, penalty_interval=5),
        Made(VIDEO).batch(0, "", 0, 8, 8),
    )
    for number, weights in enumerate(family.discriminator.parameters()):  # the last ones are zeros at first
        torch.nn.init.normal_(weights, std=0.1, generator=torch.Generator().manual_seed(number))
    loss = family.phases()[0].loss
    whole = loss(batch, StepContext(0, 3)).total
    parts = [loss(batch.rows(i, i + 2), StepContext(0, 3, first_row=i)).total for i in range(0, 8, 2)]
    torch.testing.assert_close(whole, torch.stack(parts).sum(), rtol=1e-4, atol=1e-4)


def test_the_first_code_names_the_class() -> None:
    spec = Grid((1, 10, 12), "CHW", 0, 0.5)
    family = made(spec, num_clusters=4).eval()
    rng = torch.Generator().manual_seed(0)
    cluster = torch.arange(60) % 3  # fewer clusters than there are codes for them
    x = torch.randn((3, *spec.shape), generator=rng)[cluster] * 0.3
    x = (x + 0.02 * torch.randn(x.shape, generator=rng)).clamp(-1, 1)
    family.fit_closed_form([Batch(x[:30]), Batch(x[30:])])
    z = family.encode(x)
    assert family.latent.length == z.shape[1] == 10 and family.latent.shape == (3, 3)
    assert family.latent.vocab == 17 and int(z[:, 0].min()) >= 12 and int(z[:, 0].max()) < 16
    first = torch.stack([z[cluster == k, 0].float().mean() for k in range(3)])
    # A class may have two of the codes, but no code stands for two classes
    assert sum(len(torch.unique(z[cluster == k, 0])) for k in range(3)) == len(torch.unique(z[:, 0]))
    assert len(torch.unique(first)) == 3
    assert int(z[:, 1:].max()) < 12
    assert all(bool(torch.isfinite(buffer).all()) for buffer in family.buffers())
    # What an item looks like is in the other codes; a cluster where none belongs does no harm.
    other = z.clone()
    other[:, 0] = 12
    assert torch.equal(family.decode(z), family.decode(other))
    other[:, 3] = 13
    assert torch.isfinite(family.decode(other)).all()
    assert family.decode(z[:, :1]).shape == x.shape


def test_what_is_learned_is_the_way_back() -> None:
    spec = Grid((1, 12, 12), "CHW", 0, 0.5)
    family, data = made(spec, precision="fp32"), Made(spec)
    data.batch = lambda step, *remaining: Made(spec).batch(0, *remaining)  # type: ignore[method-assign]
    losses = [s.losses["autoencoder"] for s in _trained(family, data, 60)]
    assert losses[-1] < 0.7 * losses[0]


def _trained(family: Fsq, data: Made, steps: int):  # type: ignore[no-untyped-def]
    from anew.core.processes.world import World
    from anew.training.progress import StepProgress
    from anew.training.trainer import Trainer

    return Trainer(family, data, StepProgress(steps), seed=1, batch_size=8, micro_batch=8, world=World())


def test_a_discriminator_comes_in_where_it_is_asked_for() -> None:
    spec = Grid((3, 10, 12), "CHW", 0, 0.5)
    family = made(spec, adversarial_weight=0.1, adversarial_start=0.5)
    before = {n: p.detach().clone() for n, p in family.discriminator.named_parameters()}
    logged = []
    for stepped in training(family, spec, 4):
        logged.append(sorted(stepped.losses))
        if len(logged) == 2:
            assert all(torch.equal(before[n], p) for n, p in family.discriminator.named_parameters())
    assert logged == [
        ["autoencoder"],
        ["autoencoder"],
        ["autoencoder", "discriminator"],
        ["autoencoder", "discriminator"],
    ]
    assert any(not torch.equal(before[n], p) for n, p in family.discriminator.named_parameters())
    assert not hasattr(made(spec), "discriminator")


@pytest.mark.parametrize("levels", [(), (5, 1)])
def test_levels_that_say_nothing_are_refused(levels: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="2 or more"):
        Fsq(VIDEO, FsqConfig(levels=levels))
    with pytest.raises(ConfigError, match="'CHW' or 'CTHW'"):
        Fsq(Grid((4, 7), "CT"), FsqConfig())


@pytest.mark.parametrize("side", [8, 28, 32, 64, 128, 256])
def test_an_image_becomes_few_codes(side: int) -> None:
    spec = Grid((3, side, side), "CHW")
    with torch.device("meta"):
        latent = Fsq(spec, Fsq.suggest(spec, Scale(1000, 1e6))).latent
    assert 9 <= latent.length <= 300


def test_neighbours_of_a_code_lie_along_the_other_axes() -> None:
    assert neighbour_offsets(()) == () and neighbour_offsets((9,)) == ()
    assert neighbour_offsets((4, 7)) == (7,)
    assert neighbour_offsets((3, 4, 7)) == (28, 7)


def test_the_shape_of_tokens_is_kept_and_older_runs_have_none() -> None:
    spec = Tokens(13, 12, {"begin": 12}, 2, False, (3, 4))
    assert spec_from_json(spec_to_json(spec)) == spec
    assert spec_from_json({k: v for k, v in spec_to_json(spec).items() if k != "shape"}).shape == ()  # type: ignore
    for name in ("special", "classes", "packed"):
        with pytest.raises(KeyError):
            spec_from_json({k: v for k, v in spec_to_json(spec).items() if k != name})
