"""The page of a run: with the same random numbers it makes the samples of the run, in Node and in a browser without a network."""

from __future__ import annotations

import json
import re
import shutil
import wave as wave_file
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import one_hot

import anew
from anew.core.random import evenly_spread, generator, normal_rows, sample_generator
from anew.core.specs import Condition, SampleRequest
from anew.data.formats.images import pixel_steps, plain_areas
from anew.exporting.graph import WEB, Container
from anew.exporting.html import PAGE, bundle, page
from anew.exporting.sampler import whole_sampler
from anew.families.known import known_values
from anew.families.vae.filling import gibbs_sweep
from anew.functional.latents import latent_mask
from anew.sampling.latents import in_family_space
from denoising import drawn_inputs
from samples import clips, prose, shapes, stereo_tones, tones

from .conftest import TINY_CONV, train
from .families import OWN_FAMILY
from .interpreter import needs_node, node, run_graphs
from .own_samples import SEED, N, values

OVERHEAD = 300_000  # bytes of a page beside its weights
CHROMIUM = Path("/usr/bin/chromium")


def exported(run: Path, out: Path, number_type: str | None = "f32") -> tuple[anew.Model, Path]:
    """The run in fp32, as pages compute, and its page."""
    from anew.exporting.sampler import set_fp32

    model = anew.load(run, "cpu")
    set_fp32(model.family)
    if model.codec is not None:
        set_fp32(model.codec)  # type: ignore[arg-type]
    return model, anew.export(run, "html", out, number_type=number_type).folder


def sampled(page: Path, **request: Any) -> Any:
    """Samples of the page; tensors among `known` are what it would draw."""
    inputs = {name: as_json(value) for name, value in request.pop("known", {}).items()}
    file = page.with_suffix(".json")
    file.write_text(json.dumps({**request, "known": inputs}))
    sample = node(Path(__file__).with_name("run_page.mjs"), page, file)["sample"]
    return np.array(sample["values"], np.float32).reshape(sample["shape"]) if isinstance(sample, dict) else sample


def as_json(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    number_type = "f32" if value.is_floating_point() else "i32"
    return {"type": number_type, "shape": list(value.shape), "values": value.flatten().tolist()}


def gan_noise(model: anew.Model, request: SampleRequest) -> dict[str, Tensor]:
    family: Any = model.family
    latents = family.initial_latents(request, SEED)
    size = family.config.latent_dim
    return {"z": latents[:, :size], "component": latents[:, size:].argmax(1)}


def vae_noise(model: anew.Model, request: SampleRequest) -> dict[str, Tensor]:
    family: Any = model.family
    top = family.config.top_dim
    size = top + int(np.prod(family.latent.shape))
    keys = request.sample_keys(SEED)
    noise = normal_rows([sample_generator(row_seed, "draw", index) for row_seed, index in keys], size)
    component = family.prior.sample_components(evenly_spread(keys, "component"), request.labels)
    weights = one_hot(component, family.prior.num_clusters + 1).float()
    return {"weights": weights, "noise": noise[:, :top], "deviations": float(family.temperature) * noise[:, top:]}


def diffusion_noise(model: anew.Model, request: SampleRequest) -> dict[str, Tensor]:
    return drawn_inputs(model.family, request, SEED)


NOISE = {"gan": gan_noise, "vae": vae_noise, "diffusion": diffusion_noise}
PIXEL = {**TINY_CONV, "space": "pixel"}
GRIDS: dict[str, tuple[str, Callable[[Path, int], Path], dict[str, object]]] = {
    "gan": ("gan", shapes, TINY_CONV),
    # Matched to flat data, the faint samples of three steps would be one colour.
    "vae": ("vae", shapes, {**TINY_CONV, "top_dim": 8, "match_pixels": False}),
    "diffusion": ("diffusion", shapes, PIXEL),
    "student": ("diffusion", shapes, {**PIXEL, "distillation": 0.5}),
    "patches": ("diffusion", shapes, {"net": "dit", "width": 64, "depth": 2, "batch_size": 8, "space": "pixel"}),
    "latents": ("diffusion", shapes, {**TINY_CONV, "space": "latent", "match_pixels": False}),
    "sound": ("diffusion", tones, PIXEL),
    "stereo": ("diffusion", stereo_tones, PIXEL),
    "clips": ("diffusion", clips, PIXEL),
}


@pytest.fixture(scope="module")
def grid_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A run over pictures or sound by the name of its sort."""
    runs: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in runs:
            place = tmp_path_factory.mktemp("grids")
            family, make_data, settings = GRIDS[name]
            runs[name] = train(make_data(place / "data", 40), place / "run", settings, steps=3, family=family)
        return runs[name]

    return make


@needs_node
@pytest.mark.parametrize("name", ["gan", *(pytest.param(n, marks=pytest.mark.slow) for n in list(GRIDS)[1:])])
def test_grids_are_those_of_the_run(name: str, grid_run: Callable[[str], Path], tmp_path: Path) -> None:
    model, page = exported(grid_run(name), tmp_path / "page.html")
    expected, request = values(model)
    inputs = NOISE[GRIDS[name][0]](model, request)
    output = sampled(page, n=N, known=inputs)
    assert output.shape == tuple(expected.shape) and np.abs(output - expected.numpy()).max() < 1e-3
    drawn = sampled(page, n=3, seed=1)
    again = sampled(page, n=2, seed=1, index=1)
    assert np.abs(drawn[1:] - again).max() < 1e-4 and np.abs(drawn[0] - drawn[1]).max() > 1e-2


@needs_node
@pytest.mark.slow
@pytest.mark.parametrize("name", list(GRIDS))
def test_grids_of_half_precision_are_nearly_those_of_the_run(
    name: str, grid_run: Callable[[str], Path], tmp_path: Path
) -> None:
    model, page = exported(grid_run(name), tmp_path / "halves.html", None)
    expected, request = values(model)
    halves = sampled(page, n=N, known=NOISE[GRIDS[name][0]](model, request))
    assert np.abs(halves - expected.numpy()).max() < 2 * 2 / 255  # values span -1 to 1


@pytest.fixture(scope="module")
def text_page(
    text_run: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[anew.Model, Path]]:
    """A run over text by the name of its sort, and its page."""
    pages: dict[str, tuple[anew.Model, Path]] = {}

    def make(name: str) -> tuple[anew.Model, Path]:
        if name not in pages:
            pages[name] = exported(text_run(name), tmp_path_factory.mktemp("pages") / "page.html")
        return pages[name]

    return make


def answer(page: Path, **request: Any) -> Any:
    """What the script says of a page."""
    file = page.with_suffix(".json")
    file.write_text(json.dumps(request))
    return node(Path(__file__).with_name("run_page.mjs"), page, file)


@needs_node
@pytest.mark.parametrize("name", ["gan", *(pytest.param(n, marks=pytest.mark.slow) for n in list(GRIDS)[1:])])
def test_a_walk_leads_from_one_sample_to_the_other(name: str, grid_run: Callable[[str], Path], tmp_path: Path) -> None:
    _, page = exported(grid_run(name), tmp_path / "page.html")
    request = {"seed": 1, "fractions": [0, 0.5, 1], "places": [[0, 0], [1, 0], [0, 1]]}
    for to in range(1, 9):  # until both have chosen differently: another class, another part of the data
        walks = answer(page, walks={**request, "indices": [0, to]})
        if walks["choices"][0] != walks["choices"][1]:
            break
    assert walks["choices"][0] != walks["choices"][1]
    samples, walked, placed = (np.array(walks[key]) for key in ("samples", "walked", "placed"))
    assert np.abs(walked[[0, 2]] - samples[:2]).max() < 1e-4
    apart = np.abs(samples[0] - samples[1]).mean()
    assert 0.02 * apart < np.abs(walked[1] - samples[0]).mean() < 2 * apart
    assert np.abs(placed - samples[2:]).max() < 1e-4


CURVE = ([0.0, 20.0, 90.0, 300.0], [0.0, 2.0, 60.0, 300.0])
STEEP = ([0.0, 110.0, 300.0], [0.0, 0.0, 300.0])  # leaves groups of pixels on a flat background
PLAIN = {"step": "plain", "apart": [CURVE] * len(plain_areas.SPACINGS), "low": CURVE, "high": CURVE}
FADING = ([0.0, 10.0, 40.0, 90.0], [0.0, 4.0, 60.0, 90.0])
DETAIL = {
    "step": "detail",
    "rounds": [[[CURVE, FADING, STEEP], [FADING] * 3, [STEEP, CURVE, FADING]], [[FADING] * 3] * 3],
}
MATCHING: list[list[dict[str, Any]]] = [
    [DETAIL],
    [{"step": "alpha", "clear": CURVE, "opaque": CURVE}, {"step": "specks", "sharpness": 4.0, "apart": CURVE}],
    [{"step": "opaque_images", "shortfall": 128.0}],
    [{"step": "flat", "colour": [255, 0, 30, 255], "reach": 200.0, "near": CURVE}],
    [PLAIN | {"rung": 9, "shares": ([0.0, 1.0], [0.3, 1.0])}],
    [PLAIN | {"rung": 2, "shares": ([0.0, 1.0], [0.2, 1.0])}],
    [PLAIN | {"rung": 5, "shares": ([0.0, 1.0], [1.0, 1.0])}],
    [{"step": "palette", "colours": [[0, 0, 0, 0], [255, 0, 0, 255], [9, 200, 99, 128]], "lenience": 40.0}],
    [{"step": "margin", "colour": [0, 9, 0, 40], "sides": [1, 2, 0, 3]}],
    [{"step": "islands", "dots": 60.0, "holes": 90.0}],
    [{"step": "islands", "dots": 60.0, "holes": 90.0, "colour": [255, 255, 255, 255], "reach": 255.0}],
    [
        {"step": "flat", "colour": [128, 128, 128, 255], "reach": 300.0, "near": STEEP},
        {"step": "fringe", "strength": 140.0, "colour": [128, 128, 128, 255]},
    ],
    [{"step": "few_colours", "slope": 0.5, "intercept": 0.1, "flat": [[3, 1, 200, 190]], "common": [], "reach": 0.0}],
    [
        {
            "step": "few_colours",
            "slope": 0.5,
            "intercept": 0.1,
            "flat": [],
            "common": [[9, 90, 99, 255], [99, 9, 9, 255]],
            "reach": 80.0,
        }
    ],
    [
        {
            "step": "few_colours",
            "slope": 0.5,
            "intercept": -0.5,
            "flat": [[3, 1, 200, 190]],
            "common": [],
            "reach": 0.0,
            "more": ([0.0, 60.0, 60.0, 80.0], [0.5, 1.0, 2.0, 5.0]),
        }
    ],
]


@needs_node
@pytest.mark.parametrize(
    "steps",
    MATCHING,
    ids=[
        "detail",
        "alpha and specks",
        "opaque images",
        "flat",
        "plain areas",
        "areas that need a later rung",
        "areas that need the last rung",
        "palette",
        "margin",
        "holes and dots",
        "dots",
        "fringes",
        "few colours",
        "common colours",
        "more colours",
    ],
)
def test_pixels_are_matched_as_by_the_run(steps: list[dict[str, Any]], tmp_path: Path) -> None:
    levels = np.random.default_rng(0).uniform(0, 255, (2, 4, 6, 7)).astype(np.float32)
    levels[:, 3, :3] = 255.0
    (tmp_path / "page.html").write_text('<script id="program">{}</script>')
    images = [image.ravel().tolist() for image in levels / 127.5 - 1.0]
    values = answer(tmp_path / "page.html", images=images, shape=[4, 6, 7], matching=steps)["values"]
    ours = (np.array(values).reshape(levels.shape) + 1.0) * 127.5
    assert np.abs(ours - pixel_steps.matched(levels, steps)).max() < 0.02


@needs_node
@pytest.mark.parametrize("channels", [3, 4])
def test_colours_of_a_clip_are_those_of_the_run(channels: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    levels = rng.uniform(0, 255, (1, channels, 6, 7)) + rng.normal(0, 40, (5, channels, 6, 7))
    levels[:, 3:, :3], levels[:, 3:, 5:], levels[1:3, :, 0] = 255.0, 20.0, 9.0
    levels = levels.clip(0, 255).astype(np.float32)
    step = {"step": "clip_colours", "slope": 0.3, "intercept": 0.4, "flat": [[9] * channels], "hold": 1.0}
    (tmp_path / "page.html").write_text('<script id="program">{}</script>')
    clip = levels.swapaxes(0, 1) / 127.5 - 1.0
    request = {"images": [clip.ravel().tolist()], "shape": list(clip.shape), "matching": [step]}
    (values,) = answer(tmp_path / "page.html", **request)["values"]
    ours = (np.array(values).reshape(clip.shape).swapaxes(0, 1) + 1.0) * 127.5
    assert np.abs(levels - pixel_steps.matched(levels, [step])).mean() > 5.0
    assert np.abs(ours - pixel_steps.matched(levels, [step])).max() < 0.02


@needs_node
@pytest.mark.parametrize("colours", [1, 3])
def test_files_are_ordinary_ones(colours: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    levels = rng.integers(0, 256, (5, 30, 40, 4)) if colours == 3 else rng.integers(0, 256, (5, 30, 40, 1)).repeat(4, 3)
    levels[..., 3] = 255
    wave = np.sin(np.arange(800) / 9.0)
    request = {"frames": [frame.ravel().tolist() for frame in levels], "width": 40, "height": 30}
    (tmp_path / "frames.json").write_text(json.dumps({**request, "wave": wave.tolist(), "rate": 8000}))
    node(Path(__file__).with_name("run_files.mjs"), tmp_path)
    with Image.open(tmp_path / "made.gif") as gif:
        assert (gif.n_frames, gif.info["duration"], gif.info["loop"]) == (5, 100, 0)  # type: ignore[attr-defined]
        for i, frame in enumerate(levels):
            gif.seek(i)
            pixels = np.asarray(gif.convert("RGB"), np.int64)[1::3, 1::3]  # each pixel is enlarged to 3 x 3
            assert np.abs(pixels - frame[..., :3]).max() <= (26 if colours == 3 else 0)
    with wave_file.open(str(tmp_path / "made.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (8000, 1, 800)
        samples = np.frombuffer(file.readframes(800), "<i2") / 32767
    assert np.abs(samples - wave).max() < 1e-4


@needs_node
@pytest.mark.slow
def test_frames_are_filled_in_as_by_the_run(grid_run: Callable[[str], Path], tmp_path: Path) -> None:
    model, page = exported(grid_run("clips"), tmp_path / "page.html")
    x = values(model)[0][:1]  # (1, C, T, H, W)
    parts = torch.zeros(x.shape[2])
    parts[[0, -1]] = 1
    mask = parts[:, None, None].expand(x.shape[1:])
    request = model.request(N, SEED, condition=Condition(x[0], mask))
    *_, expected = model.family.sample(request, SEED)
    family: Any = model.family
    given_values = known_values(request.condition, N, family.spec.shape, family.device)
    inputs = drawn_inputs(family, request, SEED, given_values) | {"given": parts.expand(N, -1)}
    fill = {"values": x.flatten().tolist(), "mask": mask.flatten().tolist(), "parts": parts.tolist()}
    output = sampled(page, n=N, known=inputs, fill=fill)
    assert np.abs(output - expected.numpy()).max() < 1e-3


@needs_node
@pytest.mark.slow
@pytest.mark.parametrize("name", ["vae", "latents"])
def test_pictures_are_filled_in_as_by_the_run(name: str, grid_run: Callable[[str], Path], tmp_path: Path) -> None:
    model, page = exported(grid_run(name), tmp_path / "page.html")
    x = values(model)[0][:1]  # (1, C, H, W)
    mask = torch.ones_like(x)
    mask[..., 7:] = 0
    filled = answer(page, fill={"values": x.flatten().tolist(), "mask": mask.flatten().tolist(), "seed": 0, "index": 0})
    own = in_family_space(model, Condition(x[0], mask[0]))
    codec: Any = model.codec or model.family
    assert np.abs(np.array(filled["latents"]) - codec.encode(x).flatten().numpy()).max() < 1e-3
    is_kept = latent_mask(mask, codec.autoencoder.sides)
    assert filled["kept"] == is_kept.flatten().tolist() and 0 < sum(filled["kept"]) < is_kept.numel()
    if name == "latents":
        assert own.mask is not None and torch.equal(own.mask, is_kept.expand(own.x.shape))
    is_given = mask.bool().flatten().numpy()
    assert all(np.array_equal(np.array(draft)[is_given], x.flatten().numpy()[is_given]) for draft in filled["drafts"])


@needs_node
def test_a_turn_of_filling_in_is_that_of_the_run(grid_run: Callable[[str], Path], tmp_path: Path) -> None:
    model = anew.load(grid_run("vae"), "cpu")
    (graph,) = whole_sampler(model).views
    family: Any = model.family
    inputs = [torch.randn(example.shape) for example in graph.inputs.values()]
    inputs[1] = (inputs[1] > 0).float()
    container = Container("f32")
    container.add(graph)
    ((output,),), _ = run_graphs(container, [(graph.name, inputs)], tmp_path)
    deviations = inputs[3].view(-1, *family.latent.shape)
    bottom = gibbs_sweep(family.autoencoder, inputs[0], inputs[1], inputs[2], deviations, torch.float32)
    expected = family.autoencoder.decode(bottom, torch.float32).mean()
    assert float((output - expected.detach()).abs().max()) < 1e-4


@needs_node
@pytest.mark.slow
@pytest.mark.parametrize("name", ["sound", "stereo"])
def test_waves_are_those_of_the_run(grid_run: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(grid_run(name), run)
    config = run / "config.json"  # tones alone: noise is drawn from other numbers on a page
    config.write_text(re.sub(r'"noise_from": [\d.]+', '"noise_from": null', config.read_text()))
    model, page = exported(run, tmp_path / "page.html")
    assert model.modality.sound_scale()["noise_from"] is None
    grids = values(model)[0]
    waves = answer(page, grids=[grid.flatten().tolist() for grid in grids])["waves"]
    for ours, theirs in zip(waves, model.modality.decode(grids), strict=True):
        expected = np.asarray(theirs).flatten()  # both channels of stereo, in turn
        assert len(ours) == len(expected) and np.corrcoef(ours, expected)[0, 1] > 0.99
        assert np.abs(ours).max() == pytest.approx(np.abs(expected).max(), rel=1e-3)


@needs_node
@pytest.mark.slow
def test_a_family_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN_FAMILY)
    run = train(shapes(tmp_path / "data", 40), tmp_path / "run", {}, steps=2, family=tmp_path / "own.py")
    page = anew.export(run, "html", tmp_path / "page.html", number_type="f32", trust_code=True).folder
    model = anew.load(run, "cpu", trust_code=True)
    z = torch.stack([torch.randn(4, generator=generator(SEED, i)) for i in range(N)])
    *_, expected = model.family.sample(model.request(N, SEED), SEED)
    assert np.abs(sampled(page, n=N, known={"z": z}) - expected.numpy()).max() < 1e-5


def uniforms() -> list[list[float]]:
    """(tokens, N) random numbers that the tokens of samples are drawn with."""
    sources = [sample_generator(SEED, "draw", i) for i in range(N)]
    blocks = [torch.stack([torch.rand(64, generator=source) for source in sources], 1) for _ in range(12)]
    numbers: list[list[float]] = torch.cat(blocks).tolist()
    return numbers


@needs_node
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) for name in ("list", "sub-words", "characters", "labels")],
)
def test_texts_are_those_of_the_run(
    name: str, text_page: Callable[[str], tuple[anew.Model, Path]], tmp_path: Path
) -> None:
    model, page = text_page(name)
    page = Path(shutil.copy(page, tmp_path))
    network: Any = model.family
    alone = type(network)(network.spec, network.config)
    network.mixer, network.contexts = alone.mixer, alone.contexts  # what stays behind
    expected = model.generate(request := model.request(N, SEED), SEED).tolist()
    inputs: dict[str, Any] = {"uniform": uniforms()}
    if request.labels is not None:
        inputs["classes"] = request.labels.tolist()
    text = page.read_text()
    program = json.loads(text.split('id="program">')[1].split("</script>")[0])
    step = program["steps"][0]
    if step["first"] is not None:  # the unigram is one of the counts
        step["first"] = [1.0] * model.spec.vocab  # type: ignore[union-attr]
        page.write_text(re.sub(r'(id="program">).*?(</script>)', lambda m: m[1] + json.dumps(program) + m[2], text))
    rows = sampled(page, n=N, known=inputs)
    assert rows == expected
    assert name in ("labels", "list") or len(rows[0]) > 300  # longer than the context


@needs_node
@pytest.mark.parametrize("name", ["characters", pytest.param("sub-words", marks=pytest.mark.slow)])
def test_ids_are_those_of_the_run(
    name: str, text_page: Callable[[str], tuple[anew.Model, Path]], tmp_path: Path
) -> None:
    model, page = text_page(name)
    texts = [
        "",
        "Once upon a time, 'twas 1234567890 years ago.\n\n  So é 日本 🙂\t",
        prose(tmp_path / "more.txt", 60, seed=9).read_text(),
    ]
    (tmp_path / "texts.json").write_text(json.dumps({"texts": texts}))
    answer = node(Path(__file__).with_name("run_page.mjs"), page, tmp_path / "texts.json")
    tokenizer = model.modality.tokenizer  # type: ignore[attr-defined]
    assert answer["ids"] == [tokenizer.encode(text).tolist() for text in texts]
    assert answer["texts"] == texts


@needs_node
@pytest.mark.slow
def test_gaps_are_laid_out_as_by_the_run(text_page: Callable[[str], tuple[anew.Model, Path]]) -> None:
    model, page = text_page("programs")
    gaps = [
        ("def f(x):\n    return", "\n\n\ndef g(x):\n"),
        ("", "\n    return x + 1\n"),
        ("def f1(x):\n    return x + 1\n" * 9, "def f2(x):\n    return x + 2\n" * 9),  # longer than the window
    ]
    answered = answer(page, gaps=gaps)
    modality: Any = model.modality
    assert answered["ids"] == [modality.condition_from_prompt(*gap).tolist() for gap in gaps]
    assert answered["middles"] == ["new"] * len(gaps)


@needs_node
@pytest.mark.slow
def test_views_are_those_of_the_network(
    grid_run: Callable[[str], Path], text_run: Callable[[str], Path], tmp_path: Path
) -> None:
    samplers = [whole_sampler(anew.load(run, "cpu")) for run in (grid_run("gan"), text_run("characters"))]
    views = [view for sampler in samplers for view in sampler.views]
    assert [view.name for view in views] == ["stages", "inside"]
    container = Container()
    for view in views:
        container.add(view)
    results, _ = run_graphs(container, [(view.name, list(view.inputs.values())) for view in views], tmp_path)
    for view, outputs in zip(views, results, strict=True):
        with torch.no_grad():
            expected: Any = view.function(*view.inputs.values())
        expected = [expected[place] for place in view.places] if view.places else expected
        for ours, theirs in zip(outputs, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_file_is_small_and_needs_nothing(text_page: Callable[[str], tuple[anew.Model, Path]]) -> None:
    model, page = text_page("characters")
    assert [path.name for path in page.parent.iterdir()] == ["page.html"]
    weights = sum(4 * tensor.numel() for tensor in model.family.parameters())
    assert page.stat().st_size < 1.4 * weights + OVERHEAD
    text = page.read_text()
    assert not re.search(r"(?:src|href|action)=\"(?!data:|#)|https?://", text)
    assert "Left out: counts of what followed many kinds of context" in text and "No copies found." in text
    assert "This export holds only the run's network" in text and "2.50 by the network, 2.00 by the whole run." in text


def test_that_samples_may_be_training_records_is_known_to_the_page(text_run: Callable[[str], Path]) -> None:
    """A page called five of 24 training records new: it does not draw them again, as the run does."""
    of_list, of_text = (whole_sampler(anew.load(text_run(name), "cpu")) for name in ("list", "characters"))
    assert (of_list.may_repeat, of_text.may_repeat) == (True, False)
    assert "so some samples may be copies" in of_list.left_out[-1]
    assert "some of which may be copies of training records" in (PAGE / "about.js").read_text()


@pytest.mark.parametrize(
    "name",
    ["</script><script>alert(1)</script>", "<!--<script>", "]]>", "\u2028\u2029", "\ud800", "a\\", "\"'&{{ body }}"],
)
def test_names_of_strangers_stay_text(name: str) -> None:
    facts = {"name": name, "answers": [name], "scores": [], "differences": [name]}
    document = page(name, {"about": facts, "labels": {"names": [name]}, "container": {}}, b"")
    program = re.search(r'<script type="application/json" id="program">(.*?)</script>', document, re.DOTALL)
    assert program is not None and "<" not in program[1]
    assert json.loads(program[1])["labels"]["names"] == [name]
    plain = page(
        "x", {"about": facts | dict.fromkeys(("name",), "x"), "labels": {"names": ["x"]}, "container": {}}, b""
    )
    assert re.findall(r"</?script|<!--", document) == re.findall(r"</?script|<!--", plain)


def test_bad_places_are_refused(text_run: Callable[[str], Path], tmp_path: Path) -> None:
    run = text_run("characters")
    with pytest.raises(anew.ConfigError, match=r"`out` must be a file that ends in \.html \(got '.*/page'\)"):
        anew.export(run, "html", tmp_path / "page")
    (tmp_path / "page.html").write_text("mine")
    with pytest.raises(anew.ConfigError, match="exists; give another file"):
        anew.export(run, "html", tmp_path / "page.html")
    with pytest.raises(anew.ConfigError, match="unknown `number_type` 'f15' for html; did you mean 'f16'"):
        anew.export(run, "html", tmp_path / "other.html", number_type="f15")
    assert (tmp_path / "page.html").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1


def test_modules_become_one_script(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text('// A.\nimport { b as c } from "./b.js";\n\nexport const a = c + 1;\n')
    (tmp_path / "b.js").write_text("export function b() {}\nexport class B {}\n")
    script = bundle(tmp_path, "a")
    assert script.index("const $b = ") < script.index("const $a = ") and "import" not in script and "// A" not in script
    assert "const { b: c } = $b;" in script and "return { b, B };" in script and "return { a };" in script
    for entry in ("worker", "page/page"):
        folder, name = (WEB / entry).parent, (WEB / entry).name
        assert not re.search(r"^(?:import|export) ", bundle(folder, name), re.MULTILINE)


# ---- in a browser ----


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, without a network."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="pages are opened by playwright (pip install '.[dev]')"
    )
    if not CHROMIUM.exists():
        pytest.skip(f"pages are opened in {CHROMIUM}, which is not there")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Visit:
    """A page that was opened, and what went wrong in it.

    Attributes:
        faults: Errors of the page and its console.
        requests: Addresses that were asked for, but the page's own.
    """

    def __init__(self, browser: Any, path: Path, width: int = 1280) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        own_addresses = (path.as_uri(), "blob:", "data:")
        self.page.on(
            "request", lambda request: request.url.startswith(own_addresses) or self.requests.append(request.url)
        )
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("body[data-state=made]", state="attached", timeout=60_000)

    def close(self) -> None:
        """Assert that all went well."""
        width = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        self.context.close()
        assert not self.faults and not self.requests and width <= 0


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_pictures_in_a_browser(width: int, browser: Any, grid_run: Callable[[str], Path], tmp_path: Path) -> None:
    _, page = exported(grid_run("diffusion"), tmp_path / "page.html")
    visit = Visit(browser, page, width)
    assert visit.page.locator("#grid canvas").count() == 12
    assert visit.page.evaluate("document.body.dataset.kernel") == "vectors"
    visit.page.focus("#tab-make")
    visit.page.keyboard.press("ArrowRight")
    visit.page.wait_for_selector("body[data-walked]", state="attached")
    visit.page.keyboard.press("ArrowRight")
    visit.page.click("#half-right")
    visit.page.click("#fill-go")
    visit.page.wait_for_selector("body[data-filled]", state="attached")
    left_half = ".getContext('2d').getImageData(0, 0, 6, 12).data"
    given_half, generated_half = (
        visit.page.evaluate(f"[...document.getElementById('{name}'){left_half}]") for name in ("paint", "filled")
    )
    assert given_half == generated_half  # the left half is as it was given
    visit.close()


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_texts_in_a_browser(width: int, browser: Any, text_page: Callable[[str], tuple[anew.Model, Path]]) -> None:
    _, page = text_page("list")
    visit = Visit(browser, page, width)
    visit.page.click("#tab-continue")
    visit.page.wait_for_selector("body[data-next]", state="attached")
    first = visit.page.locator("#tokens button:not(:disabled)").first
    first.click()
    visit.page.wait_for_selector("body[data-next='2']", state="attached")
    assert len(visit.page.input_value("#prompt")) == 1
    visit.page.click("#write")
    visit.page.wait_for_selector("body[data-next='3']", state="attached")
    assert len(visit.page.input_value("#prompt")) > 1
    visit.page.click("#tab-look")
    visit.page.wait_for_selector("body[data-looked]", state="attached")
    assert visit.page.locator("#panel-look .words button").count() > 2
    visit.page.click("#tab-about")
    assert "New? No copies found." in visit.page.inner_text("#panel-about")
    assert "2.50 by the network, 2.00 by the whole run" in visit.page.inner_text("header")
    visit.close()


@pytest.mark.slow
def test_only_the_latest_sample_is_shown_and_faults_are_said(
    browser: Any, grid_run: Callable[[str], Path], tmp_path: Path
) -> None:
    _, path = exported(grid_run("diffusion"), tmp_path / "page.html")
    visit = Visit(browser, path)
    page = visit.page
    page.click("#tab-look")
    page.wait_for_selector("body[data-looked]", state="attached")
    num_steps = page.locator("#panel-look .strip figure").count()
    page.evaluate("delete document.body.dataset.looked")
    page.evaluate("""() => {
        const index = document.querySelector("#panel-look input[type=number]");
        for (const value of ["-4", "1e9", "3"]) { index.value = value; index.dispatchEvent(new Event("change")); }
    }""")
    page.wait_for_selector("body[data-looked]", state="attached")
    assert page.locator("#panel-look .strip figure").count() == num_steps
    page.click("#tab-fill")
    page.wait_for_selector("#fill-go:enabled")
    page.evaluate("""() => {
        anew.client.ask = () => ({ promise: Promise.reject(new Error("no memory <b>left</b>")), cancel() {} });
    }""")
    page.click("#half-right")
    page.click("#fill-go")
    page.get_by_text("The model failed: no memory <b>left</b>").wait_for()
    page.click("#tab-make")
    page.click("#make")
    page.locator("#status").get_by_text("The model failed: no memory").wait_for()
    assert page.is_hidden("#stop")
    page.click("#tab-look")
    page.evaluate("document.querySelector('#panel-look input[type=number]').dispatchEvent(new Event('change'))")
    page.locator("#look-status").get_by_text("The model failed").wait_for()
    visit.close()


@pytest.mark.slow
def test_a_worker_that_ends_is_said(browser: Any, grid_run: Callable[[str], Path], tmp_path: Path) -> None:
    """The page waited for ever."""
    _, path = exported(grid_run("diffusion"), tmp_path / "page.html")
    visit = Visit(browser, path)
    visit.page.evaluate("anew.client.port.postMessage = () => {}")  # a worker that answers nothing
    visit.page.click("#make")
    visit.page.wait_for_selector("#stop:visible")
    visit.page.evaluate("anew.client.port.dispatchEvent(new ErrorEvent('error', { message: 'out of memory' }))")
    status = visit.page.locator("#status")
    status.get_by_text("The model failed: out of memory").wait_for()
    visit.page.evaluate("document.getElementById('status').textContent = ''")
    visit.page.click("#make")
    status.get_by_text("The model failed: out of memory").wait_for()
    visit.close()


@pytest.mark.slow
def test_sounds_are_freed(browser: Any, grid_run: Callable[[str], Path], tmp_path: Path) -> None:
    _, path = exported(grid_run("sound"), tmp_path / "page.html")
    visit = Visit(browser, path)
    page = visit.page
    page.evaluate("""() => {
        window.held = 0;
        const [create, revoke] = [URL.createObjectURL, URL.revokeObjectURL];
        URL.createObjectURL = (blob) => { held++; return create.call(URL, blob); };
        URL.revokeObjectURL = (address) => { held--; revoke.call(URL, address); };
    }""")
    page.click("#tab-walk")
    page.wait_for_selector("body[data-walked]", state="attached")
    for position in (3, 9, 24):
        page.evaluate(
            "at => { const way = document.getElementById('walk-position'); way.value = at; way.dispatchEvent(new Event('input')) }",
            position,
        )
    assert page.locator("#walk-view audio").count() == 1 and page.evaluate("held") == 1
    page.click("#tab-make")
    page.fill("#count", "3")
    page.evaluate("delete document.body.dataset.state")
    page.click("#make")
    page.wait_for_selector("body[data-state=made]", state="attached")
    # The addresses of the four before were made before the count began
    assert page.evaluate("held") == 1 + 3 - 4
    visit.close()


@pytest.mark.slow
def test_the_class_of_a_text_is_shown(browser: Any, text_page: Callable[[str], tuple[anew.Model, Path]]) -> None:
    visit = Visit(browser, text_page("labels")[1])
    page = visit.page
    for choice in ("any", "Genus b"):
        page.click("#tab-make")
        page.select_option("#label", label=choice)
        for tab, note in (("continue", "#continue-class"), ("look", "#panel-look p.quiet")):
            page.evaluate("delete document.body.dataset.next")
            page.click(f"#tab-{tab}")
            if tab == "continue":
                page.wait_for_selector("body[data-next]", state="attached")
            page.wait_for_function("note => document.querySelector(note).textContent", arg=note)
            shown = page.inner_text(note)
            if choice == "any":
                assert re.fullmatch(
                    r"Class: Genus [ab], drawn by [a-z ]* text\. Choose another one under Generate\.",
                    shown,
                )
            elif tab == "continue":
                assert shown == "Class: Genus b, as chosen under Generate."
    visit.close()
