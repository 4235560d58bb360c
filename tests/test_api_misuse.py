"""Wrong calls of every public function: one AnewError, one sentence, which names the argument; nothing is left behind."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import anew
from samples import names, trained

LONG, NUL, LONE = "n" * 300, "a\0b", "\ud800"
NO_DATA: list[Any] = [5, 1.5, True, b"x", "", NUL, LONE, object(), None]
PATHS: list[Any] = [5, 1.5, True, b"x", "", LONG, NUL, LONE, ["x"], object()]
WHOLES: list[Any] = [True, 1.5, math.nan, "3", None, -1, 2**70, [1]]
TEXTS: list[Any] = [5, True, "", b"x", ["x"], object()]
SETTINGS: list[Any] = ["width=3", ["width"], {1: 2}, 5, {"widht": 3}, {"width": object()}, {"width": "x"}]
BUDGETS: list[Any] = [True, "soon", "", -1, 0, math.nan, math.inf, [1], "10x"]
SWITCHES: list[Any] = ["yes", 1, None]
REPORTERS: list[Any] = [5, "x", object()]

# What a sentence names instead of the argument: a setting, what the run lacks, what is unknown.
NAMED = {
    "settings": "",
    "families": "",
    "widht": "setting 'widht'",
    "items": "",
    "condition": "",
    "name": "",
    "to": "",
    "runs": "",
}

TRAIN: dict[str, list[Any]] = {
    "data": [*PATHS, None], "run": PATHS, "budget": BUDGETS, "steps": [w for w in WHOLES if w is not None],
    "family": [*TEXTS, "difusion", LONG + ".py", NUL + ".py"], "modality": [*TEXTS, "imag"], "prefer": [5, None, "best", ["speed"]],
    "seed": WHOLES, "settings": [*SETTINGS, {"device": 5}, {"device": "tpu"}, {"width": 10**9}], "plan": PATHS, "reporter": REPORTERS,
}  # fmt: skip
EVALUATE: dict[str, list[Any]] = {
    "n": [*WHOLES, 0], "seed": WHOLES, "data": PATHS, "features": PATHS, "modality": ["imag"], "out": PATHS, "held_out": PATHS,
    "trust_code": SWITCHES, "reporter": REPORTERS, "settings": SETTINGS, "budget": BUDGETS,
}  # fmt: skip
COMPARE: dict[str, list[Any]] = {
    "data": PATHS, "out": [*PATHS, None], "families": [5, [5], "vae", ["vae", "vae"], "vae,gan:odd", b"vae"],
    "runs": [5, "x", [5], [""]], "budget": BUDGETS, "steps": [True, 0, "3"], "seed": WHOLES, "seeds": [*WHOLES, 0], "n": [*WHOLES, 0],
    "settings": SETTINGS[:4], "trust_code": SWITCHES, "reporter": REPORTERS, "modality": TEXTS,
}  # fmt: skip
SAMPLE: dict[str, list[Any]] = {
    "n": [*WHOLES, 0], "seed": WHOLES, "first_index": WHOLES, "prompt": [5, b"x", ["x"], True], "suffix": [5, b"x"],
    "label": [5, "cat", ["x"], 1.5], "condition": [5, "x", (1, 2)], "stop": [5, "", ["x"]], "temperature": ["x", None, math.nan, -1],
    "widht": [3],
}  # fmt: skip
MODEL: dict[str, tuple[Callable[[anew.Model, dict[str, Any]], Any], dict[str, list[Any]]]] = {
    "sample": (lambda m, k: m.sample(**{"n": 1, **k}), SAMPLE),
    "stream": (lambda m, k: m.stream(**k), {k: v for k, v in SAMPLE.items() if k not in ("first_index", "stop", "temperature", "widht")}),
    "walk": (lambda m, k: m.walk(**k), {"n": [*WHOLES, 0], "seed": WHOLES, "stops": [*WHOLES, 1], "ends": [5, "ab", (1,)], "label": [5]}),
    "score": (
        lambda m, k: m.score(**{"data": "x", **k}),
        {"data": [*NO_DATA, "no.txt", [], ["x", 5]], "limit": ["x", True, 0, -1, math.nan, [1]], "settings": SETTINGS},
    ),
    "encode": (lambda m, k: m.encode(**k), {"items": [5, None, "x"]}),
    "save": (
        lambda m, k: m.sample(1).save(**{"folder": "new", **k}),
        {"folder": [*PATHS, None], "overwrite": [None, 1, "yes"]},
    ),
    "enlarged": (lambda m, k: m.sample(1).enlarged(**k), {"scale": [*WHOLES, 0, 65, 2]}),
    "save_sprite_sheet": (
        lambda m, k: m.sample(1).save_sprite_sheet(**{"folder": "sheet", **k}),
        {"folder": PATHS, "stem": [5, "", "a/b"]},
    ),
    "save_sheet": (lambda m, k: m.sample(1).save_sheet(**{"folder": "sheet", **k}), {"folder": PATHS, "stem": [5, "", "a/b"]}),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("misuse")
    data = names(folder / "names.txt")
    trained(data, folder / "run", steps=1, settings={"previews": 0, "width": 16, "mlp_size": 16})
    return folder


def wrong(call: Callable[[], Any], argument: str, value: Any) -> None:
    with pytest.raises(anew.AnewError) as refusal:
        call()
    sentence = str(refusal.value)
    assert sentence and "\n" not in sentence and "Traceback" not in sentence
    assert " --" not in sentence, "the library names arguments, not options"
    assert isinstance(refusal.value, anew.UserError), sentence
    assert len(sentence) < 700, sentence
    assert NAMED.get(argument, argument) in sentence, sentence


def every(table: dict[str, list[Any]]) -> list[Any]:
    return [pytest.param(k, v, id=f"{k}-{v!r:.20}") for k, values in table.items() for v in values]


def _train(place: Path, argument: str, value: Any) -> None:
    anew.train(
        **{
            "data": place / "names.txt",
            "run": "made",
            **({} if argument == "budget" else {"steps": 1}),
            argument: value,
        }
    )


@pytest.mark.parametrize(("argument", "value"), every(TRAIN))
def test_train(argument: str, value: Any, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wrong(lambda: _train(place, argument, value), argument, value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("argument", "value"), every(EVALUATE))
def test_evaluate(argument: str, value: Any, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wrong(lambda: anew.evaluate(**{"run": place / "run", argument: value}), argument, value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", PATHS)
def test_evaluate_samples(value: Any, place: Path) -> None:
    wrong(lambda: anew.evaluate(samples=value, data=place / "names.txt"), "samples", value)
    wrong(lambda: anew.evaluate(value), "run", value)


@pytest.mark.parametrize(("argument", "value"), every(COMPARE))
def test_compare(argument: str, value: Any, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    call: dict[str, Any] = {"data": place / "names.txt", "out": "made", "families": "vae,gan", argument: value}
    if argument == "runs":
        call = {"data": None, "out": "made", "runs": value}
    wrong(lambda: anew.compare(**call), argument, value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", sorted(MODEL))
def test_model(verb: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = anew.load(place / "run")
    call, table = MODEL[verb]
    for argument, values in table.items():
        for value in values:
            try:
                wrong(lambda argument=argument, value=value: call(model, {argument: value}), argument, value)
            except BaseException as error:
                raise AssertionError(f"{verb}({argument}={value!r:.60})") from error


LOOK: dict[str, list[Any]] = {
    "data": [*PATHS, None], "modality": [*TEXTS, "imag"], "prefer": [5, None, "best"], "seed": WHOLES, "settings": SETTINGS[:4],
}  # fmt: skip
RESUME: dict[str, list[Any]] = {
    "run": [*PATHS, None], "budget": BUDGETS, "steps": [0, True, "3", 1.5], "data": PATHS, "trust_code": SWITCHES,
    "reporter": REPORTERS,
}  # fmt: skip
LOAD: dict[str, list[Any]] = {
    "run": [*PATHS, None],
    "device": [5, None, "tpu", "cuda:99", ["cpu"]],
    "trust_code": SWITCHES,
}


@pytest.mark.parametrize(("argument", "value"), every(LOOK))
def test_look(argument: str, value: Any, place: Path) -> None:
    wrong(lambda: anew.look(**{"data": place / "names.txt", argument: value}), argument, value)


@pytest.mark.parametrize(("argument", "value"), every(RESUME))
def test_resume(argument: str, value: Any, place: Path) -> None:
    wrong(lambda: anew.resume(**{"run": place / "run", argument: value}), argument, value)


@pytest.mark.parametrize(("argument", "value"), every(LOAD))
def test_load(argument: str, value: Any, place: Path) -> None:
    wrong(lambda: anew.load(**{"run": place / "run", argument: value}), argument, value)


@pytest.mark.parametrize("value", [*SETTINGS[:4], {"n": 3}, {"seed": 1}])
def test_settings_of_a_walk(value: Any, place: Path) -> None:
    wrong(lambda: anew.walk(place / "run", settings=value), "settings", value)


@pytest.mark.parametrize("value", [*PATHS, None])
def test_example_folder(value: Any) -> None:
    wrong(lambda: anew.example("prose", value), "folder", value)


@pytest.mark.parametrize("value", [*TEXTS, "digitz"])
def test_example_name(value: Any, tmp_path: Path) -> None:
    wrong(lambda: anew.example(value, tmp_path / "made"), "name", value)


AGAIN: dict[str, list[Any]] = {
    "file": [*PATHS, None], "run": PATHS, "device": [5, "tpu"], "trust_code": SWITCHES,
}  # fmt: skip
EXPORT: dict[str, list[Any]] = {
    "run": [*PATHS, None], "to": [*TEXTS, None, "pdf"], "out": [*PATHS, None], "number_type": [5, "", "f8", ["f32"]],
    "push": [5, "", "owner/name"], "trust_code": SWITCHES,
}  # fmt: skip
SERVE: dict[str, list[Any]] = {
    "runs": [*PATHS, None, []], "host": [5, "", None, NUL, "256.1.1.1"], "port": [*WHOLES, 70_000], "api_key": [5, "", [5], "a b", "é"],
    "unload_after": ["soon", "", -1, True, None, [1]], "chat": [5, "", "gpt"], "device": [5, "tpu"], "trust_code": SWITCHES,
    "on_ready": [5, "x"],
}  # fmt: skip
STUDIO: dict[str, list[Any]] = {
    "runs": [*PATHS, None], "folder": PATHS, "port": [*WHOLES, 70_000], "browser": SWITCHES, "on_ready": [5, "x"],
}  # fmt: skip


@pytest.mark.parametrize(("argument", "value"), every(AGAIN))
def test_again(argument: str, value: Any, place: Path) -> None:
    file = next((place / "run" / "samples").glob("*"), place / "names.txt")
    with pytest.raises(anew.UserError) as refusal:
        anew.again(**{"file": file, "run": place / "run", argument: value})
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("argument", "value"), every(EXPORT))
def test_export(argument: str, value: Any, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wrong(
        lambda: anew.export(**{"run": place / "run", "to": "transformers", "out": "made", argument: value}),
        argument,
        value,
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("argument", "value"), every(SERVE))
def test_serve(argument: str, value: Any, place: Path) -> None:
    wrong(lambda: anew.serve(**{"runs": place / "run", "port": 0, argument: value}), argument, value)


@pytest.mark.parametrize(("argument", "value"), every(STUDIO))
def test_studio(argument: str, value: Any, tmp_path: Path) -> None:
    wrong(lambda: anew.studio(**{"folder": tmp_path, "port": 0, "browser": False, argument: value}), argument, value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [*TEXTS, "widht", LONG])
def test_settings(value: Any) -> None:
    wrong(lambda: anew.settings(value), "settings", value)


def test_how_many_wrong_calls_there_are() -> None:
    tables = [
        TRAIN,
        EVALUATE,
        COMPARE,
        LOOK,
        RESUME,
        LOAD,
        AGAIN,
        EXPORT,
        SERVE,
        STUDIO,
        *(table for _, table in MODEL.values()),
    ]
    assert sum(len(values) for table in tables for values in table.values()) > 600


def test_arguments_that_a_function_does_not_have() -> None:
    with pytest.raises(anew.ConfigError, match=r"train\(\) has no argument `familly`; did you mean 'family'\?"):
        anew.train("x", familly="gan")  # type: ignore[call-arg]
    with pytest.raises(
        anew.ConfigError, match=r'train\(\) has no argument `width`; it is a setting: settings=\{"width": ...\}'
    ):
        anew.train("x", width=8)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("verb", "argument", "hint"),
    [
        ("train", "widht", r"; did you mean the setting 'width'\? settings=\{\"width\": ...\}$"),
        ("look", "size", "; it is a setting: "),
        ("walk", "temperature", "; it is a setting: "),
        ("score", "text_column", "; it is a setting: "),
        # Settings that the function refuses are not offered, nor is what the command line alone gives.
        ("train", "temperature", "; allowed: (?!.*started).*steps$"),
        ("look", "width", "; allowed: budget, data, modality, "),
        ("score", "temperature", "; allowed: data, label"),
        ("evaluate", "width", "; allowed: budget, data(?!.*started)"),
        ("load", "temperature", "; allowed: device, run, trust_code$"),
    ],
)
def test_a_setting_in_place_of_an_argument(verb: str, argument: str, hint: str) -> None:
    with pytest.raises(anew.ConfigError, match=rf"{verb}\(\) has no argument `{argument}`{hint}"):
        getattr(anew, verb)("x", **{argument: 8})


@pytest.mark.parametrize(
    ("call", "missing"),
    [
        (lambda: anew.compare("x"), "compare.. needs the argument `out`; help.anew.compare. says what it is"),  # type: ignore[call-arg]
        (lambda: anew.export("x"), "export.. needs the argument `to`"),  # type: ignore[call-arg]
        (lambda: anew.example("towns"), "example.. needs the argument `folder`"),  # type: ignore[call-arg]
        (lambda: anew.train(budget="1m"), "train.. needs the argument `data`"),  # type: ignore[call-arg]
    ],
)
def test_an_argument_that_is_missing(call: Callable[[], object], missing: str) -> None:
    with pytest.raises(anew.ConfigError, match=missing):
        call()


def test_the_last_of_several_seeds_is_in_range(place: Path, tmp_path: Path) -> None:
    with pytest.raises(anew.ConfigError, match=f"seed={2**63 - 2} is out of range; give 0 to {2**63 - 3:,}"):
        anew.compare(place / "names.txt", out=tmp_path / "made", families="vae,gan", steps=1, seed=2**63 - 2, seeds=3)
    assert not list(tmp_path.iterdir())


def test_a_number_in_place_of_a_request_names_the_function_that_takes_one(place: Path) -> None:
    with pytest.raises(anew.ConfigError, match=r"must be a SampleRequest \(got 3\); model.sample\(3\) draws new items"):
        anew.load(place / "run").generate(3)  # type: ignore[arg-type]
