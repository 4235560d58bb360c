"""Graphs for a small interpreter: core ATen operators as JSON, and their tensors as one block of bytes.

A container is a JSON object:

- `format`: 1.
- `tensors`: each with `shape`, `type` (how it is stored: f32, f16, q8_0, i32 or bool) and `at` (where its bytes begin in the
  block). q8_0 is that of GGUF: 32 values share a scale, an f16 in front of 32 signed bytes; the last block is padded with zeros.
- `graphs`: by name, each with

    - `inputs`: their names, in order;
    - `constants`: from names of values to indices into `tensors`;
    - `nodes`: `[operator, out, type, arguments]` in an order in which they can run. `operator` is PyTorch's name
      (`aten.add.Tensor`, `operator.mul`), `out` the name of its output (a list if it has several), `type` f32, i32 or bool, null
      for a number;
    - `outputs`: from names of outputs to names of values.

Arguments are in the order of the operator's schema, with defaults filled in, and without layout, device, memory format and the like.
A string that begins with % is the name of a value; "Infinity", "-Infinity" and "NaN" are numbers; anything else is itself. Integers
have 32 bits.
"""

from __future__ import annotations

import hashlib
import logging
import operator
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind
from torch.fx import Node

from anew.errors import ConfigError
from anew.families.portable import Graph

FORMAT = 1  # version of a container
WEB = Path(__file__).parent / "web"
TYPES = {torch.float32: "f32", torch.int64: "i32", torch.int32: "i32", torch.bool: "bool", torch.uint8: "bool"}
Q8_0_BLOCK = 32  # values of q8_0 that share a scale
# Least values of a tensor that is not stored in f32: smaller ones, such as biases, gains and variances, take little space
MIN_ROUNDED_VALUES = 1024
# Relative error above which a tensor is not stored in f16: only overflow or tiny values reach it
MAX_F16_ERROR = 1e-3
ALIGNMENT = 4  # bytes: JavaScript's views on f32 need it
ASSERTIONS = ("_assert_tensor_metadata", "_assert_async", "_assert_scalar", "sym_constrain_range")
DROPPED_ARGUMENTS = ("layout", "device", "pin_memory", "memory_format", "non_blocking", "dtype_layout")
OPERATORS_IN_SOURCE = re.compile(r'^\s*"((?:aten|operator)\.[\w.]+)":', re.MULTILINE)


def operators() -> frozenset[str]:
    """Names of the operators that the interpreter has: the keys of its tables."""
    sources = (path.read_text(encoding="utf-8") for path in sorted(WEB.glob("*.js")))
    return frozenset(name for source in sources for name in OPERATORS_IN_SOURCE.findall(source))


class TracedFunction(nn.Module):
    """A function as a module with the parameters that it uses. places: see `Graph`."""

    def __init__(self, owner: nn.Module, function: Callable[..., object], places: Sequence[int]) -> None:
        super().__init__()
        self.owner = owner
        self.function = function
        self.places = places

    def forward(self, *inputs: Tensor) -> object:
        results = self.function(*inputs)
        if not self.places:
            return results
        assert isinstance(results, tuple), "only a tuple has places"
        return tuple(results[place] for place in self.places)


def export_program(*graphs: Graph) -> ExportedProgram:
    """Graphs of one function as a program of `torch.export`, with dynamic axes. Raises whatever PyTorch raises.

    Its outputs are those at all `places` of the graphs, in order; all outputs where one graph has no places.
    """
    graph = graphs[0]
    module = TracedFunction(graph.owner, graph.function, _all_places(graphs)).eval()
    axes = {name: torch.export.Dim(name) for input_name in graph.inputs for name in graph.axes(input_name).values()}
    dynamic = tuple({axis: axes[name] for axis, name in graph.axes(input_name).items()} for input_name in graph.inputs)
    return torch.export.export(module, tuple(graph.inputs.values()), dynamic_shapes=(dynamic,), strict=False)


def _all_places(graphs: Sequence[Graph]) -> tuple[int, ...]:
    """The places that are needed for these graphs, in order; () for all."""
    if not all(graph.places for graph in graphs):
        return ()
    return tuple(sorted({place for graph in graphs for place in graph.places}))


def of_one_function(graphs: Iterable[Graph]) -> list[list[Graph]]:
    """The graphs in order, those of one function together."""
    together: dict[Callable[..., object], list[Graph]] = {}
    for graph in graphs:
        together.setdefault(graph.function, []).append(graph)
    return list(together.values())


@dataclass
class Container:
    """Graphs and the tensors that they share; see the module.

    Args:
        number_type: How weights are stored: "f16", "f32" or "q8_0".
    """

    number_type: str = "f32"
    tensors: list[dict[str, object]] = field(default_factory=list)
    graphs: dict[str, dict[str, object]] = field(default_factory=dict)
    blocks: list[bytes] = field(default_factory=list)
    num_bytes: int = 0
    indices: dict[bytes, int] = field(default_factory=dict)

    def add(self, *graphs: Graph) -> None:
        """Lower graphs of one function, which is traced once, and add them.

        Raises:
            ConfigError: PyTorch cannot export it, or it needs an operator that the interpreter does not have.
        """
        implemented = operators()
        with _quiet(), torch.no_grad():
            try:
                program = export_program(*graphs).run_decompositions()
            except Exception as error:  # a family's network may fail in any way here
                reason = next((line.strip(" -") for line in str(error).splitlines() if line.strip()), "")
                raise ConfigError(
                    f"the network {graphs[0].name!r} cannot be exported ({reason[:200] or type(error).__name__})"
                ) from error
        places = _all_places(graphs)
        for graph in graphs:
            self._add_lowered(_Lowering(program, graph, places), graph, implemented)

    def _add_lowered(self, lowered: _Lowering, graph: Graph, implemented: frozenset[str]) -> None:
        missing = sorted(lowered.operators() - implemented)
        if missing:
            raise ConfigError(
                f"the network {graph.name!r} needs the operator {missing[0]}, which the interpreter of the page does not have"
            )
        constants = {name: self.add_tensor(tensor) for name, tensor in lowered.constants().items()}
        self.graphs[graph.name] = lowered.to_json(constants)

    def add_tensor(self, tensor: Tensor) -> int:
        """The index of a tensor; equal tensors are stored once."""
        tensor = tensor.detach().cpu().contiguous()
        stored_type, data = _to_stored(tensor, self.number_type)
        digest = hashlib.sha256(f"{stored_type}{tuple(tensor.shape)}".encode() + data).digest()
        if digest not in self.indices:
            self.indices[digest] = len(self.tensors)
            self.tensors.append({"shape": list(tensor.shape), "type": stored_type, "at": self.num_bytes})
            padded = data + bytes(-len(data) % ALIGNMENT)
            self.blocks.append(padded)
            self.num_bytes += len(padded)
        return self.indices[digest]

    def block(self) -> bytes:
        """The bytes of all tensors."""
        return b"".join(self.blocks)

    def to_json(self) -> dict[str, object]:
        """The container without its block, as JSON values."""
        return {"format": FORMAT, "tensors": self.tensors, "graphs": self.graphs}


class _OfOtherThreads:
    """A stream that drops what this thread writes. Lines of others, which say that work goes on, are passed on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._thread = stream, threading.get_ident()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        return len(text) if threading.get_ident() == self._thread else self._stream.write(text)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the exporter's own output, which it prints even where it fails."""
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "torch"]
    loggers = [logger for logger in map(logging.getLogger, names) if not logger.disabled]
    stdout, stderr = (cast(TextIO, _OfOtherThreads(stream)) for stream in (sys.stdout, sys.stderr))
    with warnings.catch_warnings(), redirect_stdout(stdout), redirect_stderr(stderr):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.disabled = True
        try:
            yield
        finally:
            for logger in loggers:
                logger.disabled = False


def _to_stored(tensor: Tensor, number_type: str) -> tuple[str, bytes]:
    """The stored type of a tensor, and its bytes."""
    if tensor.dtype not in TYPES and not tensor.dtype.is_floating_point:
        raise ConfigError(f"tensors of {tensor.dtype} cannot be exported; the family must use float32, int64 or bool")
    if tensor.dtype in (torch.bool, torch.uint8):
        return "bool", tensor.numpy().astype(np.uint8).tobytes()
    if not tensor.dtype.is_floating_point:
        return "i32", tensor.numpy().astype("<i4").tobytes()
    values = tensor.float().numpy().astype("<f4")
    if number_type == "f32" or tensor.numel() < MIN_ROUNDED_VALUES:
        return "f32", values.tobytes()
    if number_type == "q8_0":
        return "q8_0", _to_q8_0(values)
    halves = to_f16(values)
    return ("f32", values.tobytes()) if halves is None else ("f16", halves.tobytes())


def to_f16(values: NDArray[np.float32]) -> NDArray[np.float16] | None:
    """The values in f16; None if their relative error would be above MAX_F16_ERROR, as where f16 overflows."""
    with np.errstate(over="ignore"):
        halves = values.astype("<f2")
    error = np.linalg.norm((halves.astype(np.float32) - values).ravel())
    return halves if error <= MAX_F16_ERROR * np.linalg.norm(values.ravel()) else None


def _to_q8_0(values: NDArray[np.float32]) -> bytes:
    flat = values.ravel()
    blocks = np.pad(flat, (0, -len(flat) % Q8_0_BLOCK)).reshape(-1, Q8_0_BLOCK)
    scales = (np.abs(blocks).max(1, keepdims=True) / 127.0).astype("<f2")
    steps = np.rint(blocks / np.where(scales > 0, scales.astype(np.float32), 1.0))
    return np.concatenate((scales.view(np.int8), np.clip(steps, -127, 127).astype(np.int8)), 1).tobytes()


class _Lowering:
    """A graph of a program of `torch.export` as JSON, without assertions and unused nodes.

    places: The places of the program's outputs, see `export_program`."""

    def __init__(self, program: ExportedProgram, graph: Graph, places: Sequence[int]) -> None:
        self.program, self.graph = program, graph
        outputs: Any = next(node for node in program.graph.nodes if node.op == "output").args[0]
        # The tokens of assertions are outputs too
        output_kinds = [spec.kind for spec in program.graph_signature.output_specs]
        results: list[Node] = [
            node
            for node, output_kind in zip(outputs, output_kinds, strict=True)
            if output_kind == OutputKind.USER_OUTPUT
        ]
        own_places = [places.index(place) for place in graph.places] if places else graph.places
        self.outputs = [results[place] for place in own_places] if own_places else results
        calls = [node for node in program.graph.nodes if node.op == "call_function" and not _is_assertion(node)]
        used = set(self.outputs)
        for node in reversed(calls):
            if node in used:
                used.update(node.all_input_nodes)
        self.calls = [node for node in calls if node in used]
        self.placeholders = [node for node in program.graph.nodes if node.op == "placeholder"]
        self.used = used

    def operators(self) -> set[str]:
        return {_operator_name(node) for node in self.calls if node.target is not operator.getitem}

    def constants(self) -> dict[str, Tensor]:
        """Parameters, buffers and constants by the names of their values."""
        signature, values = self.program.graph_signature, {}
        names = (
            signature.inputs_to_parameters | signature.inputs_to_buffers | signature.inputs_to_lifted_tensor_constants
        )
        for node in self.placeholders:
            if node in self.used and node.name in names:
                name = names[node.name]
                state = self.program.state_dict
                values[node.name] = state[name] if name in state else self.program.constants[name]
        return values

    def to_json(self, constants: Mapping[str, int]) -> dict[str, object]:
        """The graph as JSON values. constants: indices of tensors by the names of their values."""
        numbers = _ValueNumbers()
        user_inputs = self.program.graph_signature.user_inputs
        return {
            "inputs": [f"%{numbers[str(name)]}" for name in user_inputs],
            "constants": {f"%{numbers[name]}": index for name, index in constants.items()},
            "nodes": list(self._nodes(numbers)),
            "outputs": {
                name: f"%{numbers[node.name]}" for name, node in zip(self.graph.outputs, self.outputs, strict=True)
            },
        }

    def _nodes(self, numbers: _ValueNumbers) -> Iterable[list[object]]:
        for node in self.calls:
            if node.target is operator.getitem:
                continue  # its output is named by the node with several outputs
            value = node.meta["val"]
            arguments = [_argument(argument, numbers) for argument in _positional(node)]
            has_parts = isinstance(value, list | tuple)
            out = self._parts(node, len(value), numbers) if has_parts else f"%{numbers[node.name]}"
            yield [_operator_name(node), out, _type_or_none(value[0] if has_parts else value), arguments]

    def _parts(self, node: Node, count: int, numbers: _ValueNumbers) -> list[str | None]:
        """Names of the outputs of a node; None for unused ones."""
        parts: list[str | None] = [None] * count
        for user in node.users:
            if user.target is operator.getitem and user in self.used:
                parts[int(str(user.args[1]))] = f"%{numbers[user.name]}"
        return parts


class _ValueNumbers(dict[str, int]):
    """Numbers of values, in the order of their first use, as short names."""

    def __missing__(self, name: str) -> int:
        self[name] = len(self)
        return self[name]


def _is_assertion(node: Node) -> bool:
    return any(assertion in str(node.target) for assertion in ASSERTIONS)


def _operator_name(node: Node) -> str:
    target = node.target
    is_python_operator = getattr(target, "__module__", "") == "_operator"
    return f"operator.{getattr(target, '__name__', '')}" if is_python_operator else str(target)


def _positional(node: Node) -> list[object]:
    """All arguments in the order of the schema, without those that have no meaning here."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return list(node.args)
    values: list[object] = []
    for index, parameter in enumerate(schema.arguments):
        if parameter.name in DROPPED_ARGUMENTS:
            continue
        if index < len(node.args) and not parameter.kwarg_only:
            values.append(node.args[index])
        else:
            values.append(
                node.kwargs.get(parameter.name, parameter.default_value if parameter.has_default_value() else None)
            )
    return values


def _argument(value: object, numbers: _ValueNumbers) -> object:
    """JSON of an argument."""
    if isinstance(value, Node):
        return f"%{numbers[value.name]}"
    if isinstance(value, list | tuple):
        return [_argument(item, numbers) for item in value]
    if isinstance(value, torch.dtype):
        return _type_name(value)
    if isinstance(value, float) and not np.isfinite(value):
        if np.isnan(value):
            return "NaN"
        return "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ConfigError(f"an argument of the type {type(value).__name__} cannot be exported")


def _type_name(dtype: torch.dtype) -> str:
    if dtype not in TYPES:
        raise ConfigError(f"tensors of {dtype} cannot be exported; the family must use float32, int64 or bool")
    return TYPES[dtype]


def _type_or_none(value: object) -> str | None:
    return _type_name(value.dtype) if isinstance(value, Tensor) else None
