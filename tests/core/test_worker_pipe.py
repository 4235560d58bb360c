from __future__ import annotations

import io
import pickle

import numpy as np
import pytest

from anew.core.worker_pipe import Installment, received
from anew.data.types import FileSlice


def pipe_with(*results: object) -> io.BytesIO:
    installment, pipe = Installment(), io.BytesIO()
    for result in results:
        installment.add(result)
    installment.send(pipe)
    pipe.seek(0)
    return pipe


def test_values_and_arrays_arrive() -> None:
    large, small = np.arange(5000.0), np.arange(3)
    first, second, third = received(pipe_with([large, small], FileSlice(b"body", (0, 2)), "text"), 3)
    assert np.array_equal(first[0], large) and np.array_equal(first[1], small)
    assert second == FileSlice(b"body", (0, 2)) and third == "text"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("anew.data.find_data", "check_present"),  # a function of ours
        ("anew.data.dataset", "Path"),  # what a module of ours imports
        ("anew.data.dataset", "isolation"),
    ],
)
def test_an_answer_names_classes_of_data_alone(module: str, name: str) -> None:
    installment, pipe = Installment(), io.BytesIO()
    installment.pickles.append(f"c{module}\n{name}\n.".encode())
    installment.send(pipe)
    pipe.seek(0)
    with pytest.raises(pickle.UnpicklingError, match=f"may not answer with {module}.{name}"):
        received(pipe, 1)
