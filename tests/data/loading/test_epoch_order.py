"""The order of slots: a pure function that visits each once an epoch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anew.data.loading.epoch_order import EpochOrder, permutation, share_of_rows


def epoch(order: EpochOrder, number: int, phase: str = "main") -> list[tuple[int, int]]:
    index = np.arange(number * order.total, (number + 1) * order.total)
    slots = order.slots_of(index, phase)
    inside = np.floor(slots.fractions * order.slots[slots.shards] + 1e-6).astype(int)
    return list(zip(slots.shards.tolist(), inside.tolist(), strict=True))


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.integers(1, 9), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_each_slot_once_an_epoch(slots: list[int], group: int, number: int) -> None:
    order = EpochOrder(slots, group, seed=5)
    order_of_slots = epoch(order, number)
    assert len(set(order_of_slots)) == len(order_of_slots) == sum(slots)
    assert order_of_slots == epoch(EpochOrder(slots, group, seed=5), number)


def test_order_differs_by_epoch_seed_and_phase() -> None:
    slots = [50] * 10
    base = epoch(EpochOrder(slots, 4, 0), 0)
    assert base != epoch(EpochOrder(slots, 4, 0), 1) and base != epoch(EpochOrder(slots, 4, 1), 0)
    assert base != epoch(EpochOrder(slots, 4, 0), 0, "other")


def test_any_slice_of_the_index_gives_the_same_slots() -> None:
    order = EpochOrder([7, 3, 9, 5, 8, 2], 2, 0)
    whole = order.slots_of(np.arange(100), "main")
    for low, high in ((0, 13), (30, 37), (33, 70), (99, 100)):
        part = EpochOrder([7, 3, 9, 5, 8, 2], 2, 0).slots_of(np.arange(low, high), "main")
        assert part.shards.tolist() == whole.shards[low:high].tolist()
        assert part.fractions.tolist() == whole.fractions[low:high].tolist()


def test_first_examples_need_two_shards_and_shards_of_names_them() -> None:
    order = EpochOrder([100] * 300, 64, 0)
    early = order.slots_of(np.arange(150), "main")
    assert len(set(early.shards.tolist())) <= 2
    late = order.slots_of(np.arange(25_000, 25_500), "main")
    assert len(set(late.shards.tolist())) > 30
    for index in (0, 150, 25_000, 29_999):
        number, group, above = order.upcoming(index)
        expected = order.shards_of(number, group, above)
        assert set(order.slots_of(np.arange(index, index + 1), "main").shards.tolist()) <= set(expected)


def test_the_next_group_is_wanted_before_it_begins() -> None:
    order = EpochOrder([100] * 40, 8, 0)
    ready: set[int] = set()
    for index in range(0, 2 * order.total, 50):
        used = set(order.slots_of(np.arange(index, index + 50), "main").shards.tolist())
        assert index == 0 or used <= ready
        ready = set(order.shards_of(*order.upcoming(index)))


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_shuffled_is_a_permutation(n: int) -> None:
    assert sorted(permutation(n, 3).tolist()) == list(range(n))


def test_shuffled_is_fixed_for_ever() -> None:
    assert permutation(8, 123).tolist() == FIXED


FIXED = [7, 1, 3, 2, 5, 6, 0, 4]


def test_a_process_needs_the_shards_of_its_rows() -> None:
    order, size = EpochOrder([64] * 96, 32, 0), 64
    own: list[set[int]] = [set(), set()]
    for step in range(2 * order.total // size):
        index = np.arange(step * size, (step + 1) * size)
        numbers, slots = order.batch(index, "main", 0, size)
        assert sorted(numbers.tolist()) == index.tolist()
        assert (
            slots.shards.tolist() == order.slots_of(np.sort(numbers), "main").take(numbers - index[0]).shards.tolist()
        )
        for process, shards in enumerate(own):
            rows = slots.shards[process * 32 : process * 32 + 32].tolist()
            coming = order.shards_of(*order.upcoming(step * size), share_of_rows(process * 32, 32, size))
            # In a batch that ends a group, and in the first small groups, a few rows lie elsewhere
            assert len(set(rows) - set(coming)) <= (9 if step else 2)
            if step * size < order.total:
                shards.update(rows)
    assert len(own[0]) + len(own[1]) < 1.6 * 96 and own[0] | own[1] == set(range(96))
    whole = order.upcoming(0)
    assert order.shards_of(*whole) == order.shards_of(*whole, share_of_rows(0, 64, 64))
