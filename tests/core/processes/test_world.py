"""What processes tell each other. A single process gets back what it gives."""

from __future__ import annotations

import json

import pytest
import torch

from anew.core.processes.world import World, init
from anew.errors import ConfigError
from processes import together

SCRIPT = """
import json, sys
import torch
from anew.core.processes.world import together
from anew.errors import AnewError
with together() as world:
    r = world.rank
    tensors = {"a": torch.arange(3.0), "b": torch.tensor(True), "c": torch.zeros(0, 2), "d": torch.ones(2, dtype=torch.bfloat16)}
    received = world.broadcast_tensors(tensors if world.is_main else None)
    said = ""
    try:
        world.check_same("the version", f"1.{r}", "start both with one")
    except AnewError as error:
        said = str(error)
    world.check_same("the data", {"x": 1}, "")
    arguments = [{"seed": 0, "settings": {"width": "8"}}, {"seed": 0, "settings": {"width": "9", "rank": "x" * 99}}][r]
    try:
        world.check_same("the arguments", arguments, "give both the same")
    except AnewError as error:
        named = str(error)
    print(json.dumps({
        "sum": world.sum(0.1, r), "any": [world.any(r == 1), world.any(False)], "minimum": world.minimum(5 - r),
        "maximum": world.maximum(0.25 * r, 1.0 - r),
        "broadcast": world.broadcast({"rank": r}), "gather": world.gather("x" * (3 * r)),
        "exchange": list(map(len, world.exchange(b"x" * (100000 * r)))),
        "equal": all(torch.equal(received[n], t) and received[n].dtype == t.dtype for n, t in tensors.items()),
        "said": said, "named": named, "rows": world.rows(5)}))
    if world.rank == 1 and "fail" in sys.argv:
        raise AnewError("no more")
"""


def test_a_single_process_gets_back_what_it_gives() -> None:
    world = init()
    assert world == World()
    assert world.sum(1.5, 2) == [1.5, 2]
    assert world.any(True) and not world.any(False)
    assert world.minimum(3) == 3
    assert world.maximum(1.5, 2) == [1.5, 2]
    value, tensors = object(), {"a": torch.ones(2)}
    assert world.broadcast(value) is value
    assert world.broadcast_tensors(tensors)["a"] is tensors["a"]
    assert world.gather(value)[0] is value
    world.check_same("the data", 1, "")
    world.barrier()


@pytest.mark.parametrize(("batch_size", "size"), [(12, 4), (13, 4), (3, 3), (7, 2)])
def test_every_row_belongs_to_one_process(batch_size: int, size: int) -> None:
    shares = [World(rank, size).rows(batch_size) for rank in range(size)]
    rows = [row for start, count in shares for row in range(start, start + count)]
    assert rows == list(range(batch_size))
    assert max(count for _, count in shares) == World(0, size).largest_share(batch_size)
    assert max(count for _, count in shares) - min(count for _, count in shares) <= 1


def test_more_processes_than_rows_are_refused() -> None:
    with pytest.raises(ConfigError, match="`batch_size` 2 cannot be shared by 3 processes; give at least 3"):
        World(0, 3).rows(2)


def test_two_processes_agree() -> None:
    first, second = together(SCRIPT)
    assert first.code == second.code == 0, first.err + second.err
    values, others = json.loads(first.out), json.loads(second.out)
    assert values.pop("rows") == [0, 3] and others.pop("rows") == [3, 2]
    assert values == others
    assert values["sum"] == [0.2, 1.0]
    assert values["any"] == [True, False] and values["minimum"] == 4
    assert values["maximum"] == [0.25, 1.0]
    assert values["broadcast"] == {"rank": 0} and values["gather"] == ["", "xxx"]
    assert values["exchange"] == [0, 100_000]
    assert values["equal"]
    assert values["said"].startswith("process 1 on ")
    assert values["said"].endswith(" in the version ('1.1' and '1.0'); start both with one")
