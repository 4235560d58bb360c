"""events.jsonl: damaged lines are left out and counted, and nothing that lacks steps is replayed."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import get_args

import pytest

from anew.errors import RunError
from anew.runs import events
from anew.runs.events import (
    MAX_FIELDS,
    MAX_LINE_BYTES,
    NAME,
    PIECE,
    Events,
    discarded_step,
    last_step,
    read,
    recent_losses,
    sampled_step,
    spread,
    starts,
    truncate,
)

STEP = '{"event": "step", "time": 1.0, "step": %d, "progress": 0.%d}\n'
BAD = ["[" * 100_000, "x" * MAX_LINE_BYTES, "\0" * (3 * MAX_LINE_BYTES), "null",
       '{"event": "step", "step": 1, "progress": 0.1, "loss": NaN}',
       '{"event": "step", "step": 1, "progress": 0.1, "seconds": 1' + "0" * 400 + "}", "{",
       '{"event": 5}', '{"event": "step", "step": "x", "progress": 0.1}',
       '{"event": "threads", "step": 1, "threads": 0}', '{"event": "threads", "step": 1, "threads": null}',
       '{"event": "step", "step": 1, "progress": 0.1' + "".join(f', "loss_{i}": 1' for i in range(MAX_FIELDS)) + "}",
       '{"event": "step", "step": 2}', '{"event": "warning", "text": "t"}', '{"event": "step", "step": 1, "progress": []}']  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=[line[:30] for line in BAD])
def test_a_damaged_line_is_left_out_and_counted(bad: str, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(STEP % (1, 1) + bad + "\n" + STEP % (2, 2))
    assert [event["progress"] for event in read(path)] == [0.1, 0.2]
    assert truncate(path, 1) == 1 and [e["step"] for e in read(path)] == [1]


def test_half_a_line_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(STEP % (1, 1) + '{"event": "st')
    events = Events(path)
    events.write("report", seconds=1.0)
    events.close()
    assert [e["event"] for e in read(path)] == ["step", "report"]


def test_what_is_not_finite_is_null_and_the_step_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    events = Events(path)
    events.write("step", step=1, progress=0.1, grad_norm=float("inf"), loss=float("nan"))
    events.close()
    step = last_step(tmp_path)
    assert step["loss"] is None and step["grad_norm"] is None  # type: ignore[typeddict-item]
    assert [event["progress"] for event in read(path)] == [0.1]


def test_nothing_of_a_future_that_was_undone_stays(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    warnings = "".join(f'{{"event": "warning", "step": {step}, "text": "at {step}"}}\n' for step in (1, 2))
    path.write_text(STEP % (1, 1) + warnings + STEP % (2, 2) + '{"event": "report", "seconds": 1.0}\n')
    assert truncate(path, 1) == 0
    assert [(e["event"], e.get("step")) for e in read(path)] == [("step", 1), ("warning", 1), ("report", None)]


def test_steps_that_were_taken_back_are_not_shown(tmp_path: Path) -> None:
    """The curves of a report, its outlook and its last losses had the steps before and after a loss that was not finite."""
    lines = [{"event": "step", "step": step, "progress": 0.1, "loss": 9.0} for step in range(1, 8)]
    lines += [{"event": "validation", "step": 6, "loss": 9.0}, {"event": "non_finite", "step": 7, "back_to": 3}]
    lines += [{"event": "step", "step": step, "progress": 0.5, "loss": 1.0} for step in (4, 5)]
    (tmp_path / NAME).write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [(event["step"], event["loss"]) for event in spread(tmp_path / NAME)] == [
        *((step, 9.0) for step in (1, 2, 3)), (4, 1.0), (5, 1.0)]  # fmt: skip
    assert recent_losses(tmp_path) == {"loss": 1.0}
    truncate(tmp_path / NAME, 5)
    assert "non_finite" in [event["event"] for event in read(tmp_path / NAME)]
    truncate(tmp_path / NAME, 3)
    assert [event["event"] for event in read(tmp_path / NAME)] == ["step"] * 3


def test_holes_are_read_as_no_event(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(STEP % (1, 1))
    with open(path, "r+b") as file:
        file.truncate(64 * 2**20)
    tracemalloc.start()
    assert last_step(tmp_path)["step"] == 1
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    Events(path).close()
    assert path.read_bytes()[-1:] == b"\n"


def test_the_last_step_is_read_from_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.jsonl"
    warning = '{"event": "warning", "step": 1, "text": "%s"}\n' % ("a" * (MAX_LINE_BYTES - 100))
    path.write_text(
        "".join(STEP % (i, 5) for i in range(1, 5000))
        + "x" * 3 * MAX_LINE_BYTES
        + "\n"
        + 3 * warning
        + "y" * MAX_LINE_BYTES
    )
    parsed = 0
    whole = events.parse

    def counted(line: bytes) -> events.Event | None:
        nonlocal parsed
        parsed += 1
        return whole(line)

    monkeypatch.setattr(events, "parse", counted)
    assert last_step(tmp_path)["step"] == 4999 and parsed < 10
    assert last_step(tmp_path, max_lines=2) == {}


def test_the_loss_that_is_shown_is_a_mean_of_the_last_steps(tmp_path: Path) -> None:
    """That of the last batch alone was 2.26 where the mean was 3.47."""
    lines = [{"event": "step", "step": step, "progress": 0.5, "loss": float(step % 2)} for step in range(99)]
    lines += [{"event": "step", "step": 99, "progress": 0.6, "loss": 26.0, "loss_a": 1.0}, {"event": "kept", "step": 9}]
    (tmp_path / NAME).write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert recent_losses(tmp_path) == {"loss": 1.0, "loss_a": 1.0}
    assert recent_losses(tmp_path / "none") == {}


def test_the_loss_of_a_short_training_is_that_of_its_later_half(tmp_path: Path) -> None:
    """That of 21 steps was 2.6, the mean of all of them, while the curve had come down to 1.7."""
    lines = [
        {"event": "step", "step": step, "progress": 0.5, "loss": 9.0 if step <= 10 else 1.0} for step in range(1, 22)
    ]
    (tmp_path / NAME).write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert recent_losses(tmp_path) == {"loss": 1.0}


def test_the_first_and_the_last_start_say_how_many_processes_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert starts(tmp_path) == ({}, {})
    log = tmp_path / "events.jsonl"
    log.write_text(STEP % (1, 1))
    assert starts(tmp_path) == ({}, {})
    start = '{"event": "start", "step": %d, "processes": %d, "hosts": 1}\n'
    log.write_text(start % (0, 2) + STEP % (1, 1) + start % (1, 3) + STEP % (2, 2) + start % (2, 0))
    first, last = starts(tmp_path)
    assert (first["processes"], last["processes"], last["step"]) == (2, 3, 1)
    monkeypatch.setattr(events, "LAST_LINES", 2)
    assert starts(tmp_path) == (first, first)


def test_of_a_long_log_pieces_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    count = 5 * PIECE // len(STEP % (10_000, 5))
    path.write_text("".join(STEP % (i, 5) for i in range(10_000, 10_000 + count)))
    assert [event["step"] for event in spread(path)] == list(range(10_000, 10_000 + count))
    shown = [event["step"] for event in spread(path, 3 * PIECE)]
    assert shown[0] == 10_000 and shown[-1] == 10_000 + count - 1
    assert len(shown) < 0.7 * count and shown == sorted(set(shown))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
def test_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "FLUSH_SECONDS", 0.0)
    log = Events(tmp_path / "events.jsonl")
    log._file.close()
    log._file = open("/dev/full", "a")  # noqa: SIM115
    with pytest.raises(
        RunError, match=r"cannot write events.jsonl \(No space left on device\); free some space .* `anew resume RUN`"
    ):
        log.write("step", step=1, progress=0.1)
    with pytest.raises(RunError, match="No space left"):
        log.close()
    assert log._file.closed


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
def test_a_disk_that_is_full_between_two_flushes_is_the_same_sentence(tmp_path: Path) -> None:
    """Whenever the buffer of the file was full, what was said was "a bug in Anew (OSError)"."""
    log = Events(tmp_path / "events.jsonl")
    log._file.close()
    log._file = open("/dev/full", "a")  # noqa: SIM115
    log._flushed = float("inf")  # not yet due
    with pytest.raises(RunError, match=r"cannot write events.jsonl \(No space left on device\)"):
        for step in range(10_000):
            log.write("step", step=step, progress=0.1)
    log._file.close()


def test_figures_are_those_of_the_training_that_is_sampled_from(tmp_path: Path) -> None:
    """A run that kept its earlier weights of 666 steps said 507 steps, and the loss of these."""
    log = tmp_path / NAME
    steps = [{"event": "step", "step": step, "progress": 0.5, "loss": 2.3, "seconds": 40.0} for step in (506, 507)]
    previous = {"event": "kept_previous", "step": 666, "seconds": 33.0, "loss": 2.2}
    log.write_text("".join(json.dumps(line) + "\n" for line in [*steps, previous, {"event": "latents", "batches": 1}]))
    assert sampled_step(tmp_path)["step"] == 666 and discarded_step(tmp_path)["step"] == 507
    assert recent_losses(tmp_path) == {"loss": 2.2}
    with log.open("a") as file:  # it was given still more time, and that is better
        file.write(json.dumps({**steps[0], "step": 900}) + "\n")
    assert sampled_step(tmp_path)["step"] == 900 and discarded_step(tmp_path) == {}
    assert recent_losses(tmp_path)["loss"] == pytest.approx(2.3)


@pytest.mark.parametrize("event", get_args(events.BatchesEvent))
def test_a_damaged_record_of_batches_is_skipped(event: events.BatchesEvent, tmp_path: Path) -> None:
    path = tmp_path / events.NAME
    path.write_text(f'{{"event": "{event}", "batches": 3}}\n{{"event": "{event}", "time": 1.0}}\n')
    assert events.batches_record(path, event) == 3
