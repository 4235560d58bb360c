"""Comparisons from the data to the page: several families, runs that exist, what goes wrong."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import anew
from anew.data.dataset import Dataset
from anew.data.types import DataBudget
from anew.errors import BudgetError
from anew.evaluation.reporting.ranking import RunResult
from anew.planning.family_choice import choose_family
from anew.runs import events
from anew.runs.folder import RunFolder
from anew.runs.record import Request
from anew.workflows.compare.comparable import comparable, differing_settings
from anew.workflows.compare.measure import BITS_SECONDS, draw, measure
from anew.workflows.compare.run import (
    _shown_real_items,
    check_reading,
    is_hopeless,
    no_ranking,
    steps_within,
    too_short,
    training_time,
)
from anew.workflows.compare.subprocesses import ComparedRun, command_of, parse_families
from commands import anew as command
from samples import names, prose, shapes, trained

QUICK = {"width": 8, "batch_size": 8, "evaluate_samples": 4, "previews": 0}


@pytest.fixture(scope="module")
def duel(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("duel")
    data = shapes(folder / "data")
    anew.compare(data, out=folder / "out", families="gan,diffusion:pixel", steps=2, settings=QUICK, n=24)
    return data, folder / "out"


def test_what_no_budget_limits_is_said_beforehand() -> None:
    """Two families of 75 s each took 201 s."""
    assert (
        training_time(2, 75.0) == "training takes at most 2.5 min; comparing comes after that, which no budget limits"
    )


def test_a_budget_that_is_too_short_to_rank_a_family_is_said_beforehand(tmp_path: Path) -> None:
    """It was said after two minutes."""
    assert too_short(50.0, {"vae": 32, "gan": 20}) == (
        "50 s for each is too short to rank vae (about 32 steps) and gan (about 20 steps) at the present load: runs of fewer than 50 "
        "steps are in no ranking, so nothing will be ranked; give a longer budget"
    )
    assert "no ranking; give" in too_short(50.0, {"vae": 32, "gan": 70, "diffusion": 90})
    assert too_short(50.0, {"vae": 50}) == ""
    with contextlib.closing(Dataset.open(shapes(tmp_path / "data", 60))) as data:
        data.fit(DataBudget(60.0, 0, 0, 1, "cpu"))
        choice = choose_family(data.spec, "vae")
        assert steps_within(data, choice, 3_600.0, 1.0) > 50 > steps_within(data, choice, 20.0, 20.0) == 0


def test_that_nothing_will_be_ranked_is_said_before_runs_are_measured() -> None:
    """A comparison of a failed training and one of 2 steps went on for 107 s."""
    assert no_ranking({"vae": 2}, ["gan"]) == (
        "nothing will be ranked: gan failed and vae was hardly trained (2 steps); Ctrl-C stops here, and the runs stay"
    )
    assert no_ranking({"vae": 90, "gan": 2}, []) and no_ranking({"vae": 90}, ["gan"])
    assert not no_ranking({"vae": 90, "gan": 60, "diffusion": 3}, [])


def test_a_budget_in_which_no_family_can_be_ranked_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was refused after 87 s, when both trainings had failed."""
    assert is_hopeless({"vae": 22, "gan": 18}) and not is_hopeless({"vae": 22, "gan": 30})
    monkeypatch.setattr("anew.workflows.compare.run.steps_within", lambda *_: 22)
    data, out = shapes(tmp_path / "data", 60), tmp_path / "out"
    with pytest.raises(BudgetError, match=r"too short to rank vae .* and gan .* give a longer budget"):
        anew.compare(data, out=out, families="vae,gan", budget=40.0)
    assert not out.exists()


def test_a_budget_of_which_reading_takes_most_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two families was refused after 70 s, and the other had 5 s to train."""
    check_reading(70.0, 15.0, 7.0)
    with pytest.raises(
        BudgetError, match=r"reading the data takes each training 30 s .* of 1 min 10 s .* give at least \d+s for each"
    ):
        check_reading(70.0, 30.0, 7.0)
    monkeypatch.setattr("anew.workflows.compare.run.READING_SHARE", 1e-5)
    with pytest.raises(BudgetError, match="leaves too little of 40 s to train"):
        anew.compare(shapes(tmp_path / "data", 60), out=tmp_path / "out", families="vae,gan", budget=40.0)
    assert not (tmp_path / "out").exists()


def test_a_comparison_is_complete(duel: tuple[Path, Path]) -> None:
    _, out = duel
    output = json.loads((out / "compare.json").read_text())
    assert [r["name"] for r in output["runs"]] == ["gan", "diffusion:pixel"]
    assert output["findings"] == [
        "gan (2 steps) and diffusion:pixel (2 steps) were hardly trained, which says little about a family. They are in the "
        "table, but in no ranking; give a longer budget or more steps."
    ]
    assert not output["best"] and all(run["hardly_trained"] for run in output["runs"])
    for run in output["runs"]:
        scores = {s["name"]: s["value"] for s in run["scores"]}
        assert {"frechet_distance", "coverage", "fine_detail", "path_length", "seconds_per_1000"} <= set(scores)
        assert scores["steps"] == 2
        assert scores["passes_per_1000"] == pytest.approx(1000 if run["name"] == "gan" else 12_000, rel=0.05)
        assert (out / run["run"] / "report" / "report.html").exists()
        assert run["copies"]["samples"] == 4 and run["copies"]["detected"] is False
    assert {c["outcome"] for c in output["claims"]} <= {"yes", "no", "partly", "tie", "not tested"}
    page = (out / "compare.html").read_text()
    parts = output["parts"]
    assert f"compared with the same {parts['test'] + parts['validation']:,} held-out items" in page
    assert page.count("(4 samples)") == 2  # what each report says of copies
    assert page.count("data:image/png;base64") == 5  # two sheets and the real one, two walks
    assert not re.search(r'(src|href)="(?!data:|#|[\w./-]+report\.html)', page)
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_the_same_call_goes_on_and_another_is_refused(duel: tuple[Path, Path]) -> None:
    data, out = duel
    before = (out / "gan" / "model.safetensors").stat().st_mtime_ns
    again = anew.compare(data, out=out, families="gan,diffusion:pixel", steps=2, settings=QUICK, n=24)
    assert (out / "gan" / "model.safetensors").stat().st_mtime_ns == before
    assert "Fréchet distance" in again.table and "real" in again.table
    parameters = next(line for line in again.table.splitlines() if line.startswith("Parameters"))
    assert parameters.endswith("  -")  # real data has none, which is said
    with pytest.raises(anew.ConfigError, match=r"another comparison.*steps was 2, now 3"):
        anew.compare(data, out=out, families="gan,diffusion:pixel", steps=3, settings=QUICK)


def test_finished_runs_are_compared(duel: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, out = duel
    monkeypatch.setattr("anew.workflows.compare.measure.SAMPLE_SECONDS", 0.0)
    monkeypatch.setattr("anew.workflows.compare.measure.SAMPLE_BATCH", 80)
    monkeypatch.setattr("anew.workflows.compare.run.MAX_SAMPLES", 24)
    name = "a #1<b>%41"  # a folder, which may be a stranger's
    shutil.copytree(out / "diffusion-pixel", tmp_path / name)
    output = anew.compare(out=tmp_path / "out", runs=[out / "gan", tmp_path / name]).to_json()
    assert [r["name"] for r in output["runs"]] == ["gan", name]
    page = (tmp_path / "out" / "compare.html").read_text()
    assert 'href="../a%20%231%3Cb%3E%2541/report/report.html"' in page and "#1<b>" not in page
    assert output["n"] == 20 and any("20 samples of each run instead of 24" in note for note in output["notes"])
    comparison = anew.compare(out=tmp_path / "asked", runs=[out / "gan", tmp_path / name], n=24).to_json()
    assert comparison["n"] == 24, "a number that is given does not depend on the clock"
    environment = comparison["environment"]
    provenance = comparison["provenance"]
    assert isinstance(provenance, dict) and {"version", "date", "machine", "command", "seed", "data"} <= set(provenance)
    assert comparison["data"] == duel[0].name and all(len(run["weights"]) == 64 for run in comparison["runs"])
    assert isinstance(environment, dict) and {"anew", "torch", "python", "threads"} == set(environment)


@pytest.mark.slow
def test_runs_of_several_seeds_hold_out_the_same_items(duel: tuple[Path, Path], tmp_path: Path) -> None:
    data, out = duel
    other = anew.train(data, tmp_path / "other", steps=1, seed=1, family="gan", settings=QUICK).folder.path
    report = anew.compare(out=tmp_path / "out", runs=[out / "gan", other], n=500)
    n = report.about["n"]
    assert len(report.runs) == 2
    assert f"At most {n} samples of each run are compared, not 500, since {n} items are held out." in report.notes
    records = [RunFolder.open(run).record() for run in (out / "gan", other)]
    splits = [Dataset.reopen(record.data, out / "gan") for record in records]
    held_out = [sorted(item.tobytes() for item in split.items("test", 1000)) for split in splits]
    assert held_out[0] == held_out[1]
    for split in splits:
        split.close()


def test_runs_that_differ_are_refused(duel: tuple[Path, Path], tmp_path: Path) -> None:
    data, out = duel
    large = trained(data, tmp_path / "large", steps=1, family="gan", settings={**QUICK, "size": 16})
    with pytest.raises(anew.RunError, match="1x12x12 and 1x16x16"):
        anew.compare(out=tmp_path / "out", runs=[out / "gan", large.folder.path])
    more = trained(shapes(tmp_path / "more", 120), tmp_path / "small", steps=1, family="gan", settings=QUICK)
    with pytest.raises(anew.RunError, match="different data"):
        anew.compare(out=tmp_path / "out", runs=[out / "gan", more.folder.path])
    assert not (tmp_path / "out").exists()


def test_a_failed_run_is_reported_and_the_rest_compared(duel: tuple[Path, Path], tmp_path: Path) -> None:
    _, out = duel
    shutil.copytree(out / "gan", tmp_path / "bad")
    (tmp_path / "bad" / "model.safetensors").write_bytes(b"nothing")
    output = anew.compare(out=tmp_path / "out", runs=[out / "gan", tmp_path / "bad"], n=24).to_json()
    assert [bool(r["failed"]) for r in output["runs"]] == [False, True]
    assert any("bad failed" in note for note in output["notes"])
    page = (tmp_path / "out" / "compare.html").read_text()
    assert "samples each. 1 of 2 runs failed, which the notes explain: bad.</p>" in page
    runs = [str(out / "gan"), str(tmp_path / "bad")]
    result = command("compare", "--runs", *runs, "--out", tmp_path / "out", "-n", 24, code=3)
    assert "1 of 2 runs failed, which the notes explain: bad." in result.stdout


def test_nothing_trained_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = shapes(tmp_path / "data", 40)
    monkeypatch.setattr("anew.workflows.compare.run.train_all", lambda *_: dict.fromkeys(("gan", "diffusion"), "no"))
    with pytest.raises(anew.RunError, match="no family could be trained: no"):
        anew.compare(data, out=tmp_path / "out", families="gan,diffusion", steps=1)
    assert not (tmp_path / "out").exists()


def test_a_budget_that_is_too_small_for_all_is_refused_at_once(tmp_path: Path) -> None:
    data = shapes(tmp_path / "data", 40)
    with pytest.raises(anew.BudgetError, match="a budget of 5 s leaves no time to train"):
        anew.compare(data, out=tmp_path / "out", families="gan,diffusion", budget="5s")
    assert not (tmp_path / "out").exists()


def test_families_that_cannot_take_the_data_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Dataset, "fit", None)  # no item is read for that
    monkeypatch.setattr("anew.data.source_store.sample_of", None)
    with pytest.raises(anew.ConfigError, match=r"only one family, 'transformer', takes texts.*`runs`"):
        anew.compare(names(tmp_path / "names.txt"), out=tmp_path / "out", families="transformer,gan", steps=1)
    assert not (tmp_path / "out").exists()


def test_a_folder_whose_request_is_no_object_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "request.json").write_text("[1]")
    with pytest.raises(anew.ConfigError, match="describes no comparison"):
        anew.compare(shapes(tmp_path / "data", 40), out=tmp_path / "out", families="gan,diffusion", steps=2)


@pytest.mark.parametrize(
    ("families", "message"),
    [
        ("gan", "two or more.*give the finished runs with `runs`"),
        ("gan,gan", "given twice.*give the finished runs with `runs`"),
        ("gan,vea", "did you mean 'vae'"),
        ("gan,diffusion:latnt", "did you mean 'latent'"),
    ],
)
def test_odd_families_are_one_sentence(families: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(anew.ConfigError, match=message):
        parse_families(families, tmp_path, 1, 0)


def test_several_seeds_are_several_trainings(tmp_path: Path) -> None:
    entries = parse_families("gan,vae:latent", tmp_path, seeds=2, seed=5)
    assert [entry.name for entry in entries] == ["gan 5", "gan 6", "vae:latent 5", "vae:latent 6"]
    assert [entry.folder.name for entry in entries] == ["gan-5", "gan-6", "vae-latent-5", "vae-latent-6"]
    words = command_of(entries[3], Request("d", budget=60.0, seed=5), ["gan", "vae:latent"])
    assert words is not None and words[words.index("--seed") + 1] == "6" and "space=latent" in words
    assert words[words.index("--family") + 1] == "vae"
    assert (
        "read_all=true" in words
    )  # or each training might read other items, and be scored on what another one learned


def test_runs_that_read_different_parts_of_the_data_are_not_compared() -> None:
    def record(
        row_steps: list[int],
        balances_classes: bool = False,
        draws_records: bool = False,
        splits_near_duplicates: bool = False,
        validates_at_random: bool = False,
        signature_version: int = 1,
    ) -> Any:
        data = SimpleNamespace(
            fingerprint="f",
            learned={"shape": [1, 8, 8]},
            row_steps=row_steps,
            balances_classes=balances_classes,
            draws_records=draws_records,
            splits_near_duplicates=splits_near_duplicates,
            validates_at_random=validates_at_random,
            signature_version=signature_version,
        )
        return SimpleNamespace(status="finished", data=data)

    assert list(comparable({"a": record([3]), "b": record([3])})) == ["a", "b"]
    with pytest.raises(anew.RunError, match="read different parts of the same data"):
        comparable({"a": record([]), "b": record([3])})
    with pytest.raises(anew.RunError, match="hold out different items of the same data"):
        comparable({"a": record([]), "b": record([], balances_classes=True)})
    with pytest.raises(anew.RunError, match="hold out different items of the same data"):
        comparable({"a": record([]), "b": record([], draws_records=True)})
    with pytest.raises(anew.RunError, match="hold out different items of the same data"):
        comparable({"a": record([]), "b": record([], splits_near_duplicates=True)})
    with pytest.raises(anew.RunError, match="hold out different items of the same data"):
        comparable({"a": record([]), "b": record([], validates_at_random=True)})
    with pytest.raises(anew.RunError, match="hold out different items of the same data"):
        comparable({"a": record([]), "b": record([], signature_version=2)})


@pytest.mark.parametrize(
    ("families", "names"),
    [("transformer transformer", ["seed", "ngrams", "width", "vocab"]), ("gan vae", ["seed", "vocab"])],
)
def test_settings_in_which_runs_differ(families: str, names: list[str]) -> None:
    """Of different families, only what was asked for: their networks have nothing in common."""

    def record(family: str, number: int) -> Any:
        config = {"ngrams": number == 1, "width": 64 * number, "layers": 2}
        request = Request("d", budget=60.0, settings={"vocab": "512"} if number == 2 else {})
        return SimpleNamespace(
            request=request, family=SimpleNamespace(name=family, config=config), plan=SimpleNamespace(seed=number)
        )

    first, second = families.split()
    differing = differing_settings({"a": record(first, 1), "b": record(second, 2)})
    assert list(differing) == names and differing["vocab"] == {"a": "–", "b": "512"}
    assert differing.get("ngrams", {}) in ({}, {"a": "true", "b": "false"})


@pytest.mark.slow
def test_a_comparison_of_seeds_gives_the_spread(
    duel: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anew.evaluation.reporting.ranking.BARELY_TRAINED", 1)
    out, settings = tmp_path / "out", {**QUICK, "timelapse": False}
    output = anew.compare(
        duel[0], out=out, families="gan,vae", steps=2, seeds=2, seed=3, settings=settings, n=24
    ).to_json()
    trainings = output["trainings"]
    assert isinstance(trainings, dict) and list(trainings) == ["gan", "vae"]
    assert len(trainings["gan"]["frechet_distance"]["values"]) == 2
    assert "Several trainings of each family" in (out / "compare.html").read_text()
    with pytest.raises(anew.ConfigError, match="`seeds` is for families that are trained"):
        anew.compare(out=tmp_path / "again", runs=[out / "gan-3", out / "vae-3"], seeds=2)


def test_settings_of_one_family_are_for_it_alone(tmp_path: Path) -> None:
    settings = {"gan.width": "8", "batch_size": "4", "train.previews": "0"}
    request, families = Request("d", budget=60.0, seed=3, settings=settings), ("gan", "vae:latent")
    first, other = (command_of(ComparedRun(name, tmp_path / name, name), request, families) for name in families)
    assert first is not None and other is not None
    assert "gan.width=8" in first and "gan.width=8" not in other
    assert "batch_size=4" in first and "batch_size=4" in other and "train.previews=0" in other
    assert "space=latent" in other and first[first.index("--budget") :][:2] == ["--budget", "60s"]


def test_the_training_of_a_codec_counts_and_samples_are_those_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, settings = shapes(tmp_path / "data"), {**QUICK, "width": 48, "layers": 1}
    model = trained(data, tmp_path / "run", steps=3, family="transformer", settings=settings)
    assert model.record.codec is not None and model.record.codec.seconds is not None
    last = events.last_step(tmp_path / "run")
    result = RunResult("transformer", "transformer")
    draw(model, result, 1, 0)
    assert result.scores["training_seconds"].value == pytest.approx(
        (last["seconds"] or 0.0) + model.record.codec.seconds
    )
    np.testing.assert_array_equal(result.samples[0], model.sample(1, seed=0)[0])
    # A model that has diverged was ranked by grey images
    monkeypatch.setattr(model.family, "sample", lambda request, seed: iter([torch.full((request.n, 3), torch.nan)]))
    with pytest.raises(anew.RunError, match="not finite"):
        draw(model, result, 2, 0)


def test_nothing_is_said_of_interpolations_between_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anew.workflows.compare.measure.TEXT_SECONDS", 1.0)
    model = trained(names(tmp_path / "names.txt", 300), tmp_path / "run", steps=1)
    result = RunResult("names", "transformer")
    with contextlib.closing(Dataset.reopen(model.record.data, tmp_path / "run")) as opened:
        draw(model, result, 24, 0)
        measure(model, result, opened, 0)
    assert not result.no_interpolation


def test_the_likelihood_of_images_is_measured_once_on_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All held-out images were scored, and then some of them again, in place of the result."""
    data = shapes(tmp_path / "data", 200)
    model = trained(data, tmp_path / "run", steps=1, family="vae", settings=QUICK)
    monkeypatch.setattr("anew.workflows.compare.measure.BITS_ITEMS", 5)
    monkeypatch.setattr("anew.workflows.compare.measure.PATHS", 2)
    monkeypatch.setattr("anew.workflows.compare.measure.MIN_REAL", 24)
    limits, bits = [], model.bits

    def counted_bits(batches: object, seconds: float | None = None, **more: object) -> object:
        limits.append(seconds)
        return bits(batches, seconds, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "bits", counted_bits)
    result = RunResult(name="vae", family="vae", run="vae")
    with contextlib.closing(Dataset.reopen(model.record.data, tmp_path / "run")) as opened:
        draw(model, result, 24, 0)
        measure(model, result, opened, 0)
    assert result.scores["bits_per_dimension"].n <= 8 and limits.count(BITS_SECONDS) == 1


def test_real_documents_beside_samples_that_begin_documents_are_not_torn(tmp_path: Path) -> None:
    """A page showed "formation on usage and redistribution" as the beginning of a real program."""
    (tmp_path / "quotes").mkdir()
    lines = prose(tmp_path / "source.txt", 2000).read_text().replace("\n\n", " ").split(". ")
    (tmp_path / "quotes" / "quotes").write_text("\n%\n".join(f"#{line}.\n" for line in lines))
    size = DataBudget(10.0, 0, 0, 1, "cpu")
    with contextlib.closing(Dataset.open(str(tmp_path / "quotes"), seed=0, size=size)) as data:
        data.fit(size)
        torn = data.items("test", 50, 0)
        real = _shown_real_items(data, ["#" + 40 * "word "], 0)
    assert real and all(str(text).startswith("#") for text in real)
    assert not all(str(text).startswith("#") for text in torn)


@pytest.mark.parametrize(("names", "message"), [(["a"], "names a single run"), (["a", "b", "a"], "more than once")])
def test_runs_are_two_or_more_each_once(names: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(anew.UserError, match=message):
        anew.compare(out=tmp_path / "out", runs=[tmp_path / name for name in names])
