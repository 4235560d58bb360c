"""Graphs for pages: operator by operator our interpreter gives what PyTorch gives, for shapes drawn at random."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import anew
from anew.core.random import generator
from anew.exporting import graph as graphs
from anew.exporting.graph import Container
from anew.families.portable import Graph

from .interpreter import needs_node, run_graphs

source = random.Random(5)
torch_source = generator("operators")


def sizes(rank: int, low: int = 1, high: int = 7) -> tuple[int, ...]:
    return tuple(source.randint(low, high) for _ in range(rank))


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch_source)


def integers(high: int, *shape: int) -> Tensor:
    return torch.randint(high, shape, generator=torch_source)


def bits(*shape: int) -> Tensor:
    return integers(2, *shape).bool()


class Case:
    """A function, its inputs, and its name."""

    def __init__(self, name: str, function: Callable[..., object], *inputs: Tensor) -> None:
        self.name, self.function, self.inputs = name, function, inputs

    def outputs(self) -> list[Tensor]:
        expected = self.function(*self.inputs)
        return list(expected) if isinstance(expected, tuple) else [expected]  # type: ignore[list-item]

    def graph(self) -> Graph:
        names = tuple(f"out{i}" for i in range(len(self.outputs())))
        inputs = {f"in{i}": x for i, x in enumerate(self.inputs)}
        fixed: dict[str, dict[int, str]] = {name: {} for name in inputs}
        return Graph(self.name, nn.Identity(), self.function, inputs, names, fixed)


UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    name: getattr(torch, name)
    for name in (
        *("neg", "abs", "exp", "expm1", "cos", "sin", "tanh", "sigmoid", "relu", "erf", "floor", "ceil", "trunc"),
        *("round", "sign", "isinf", "isnan"),
    )
}
POSITIVE = {name: getattr(torch, name) for name in ("log", "log1p", "sqrt", "rsqrt", "reciprocal")}
BINARY = {
    name: getattr(torch, name)
    for name in ("add", "sub", "mul", "div", "maximum", "minimum", "eq", "ne", "lt", "le", "gt", "ge", "remainder")
}


def elementwise() -> list[Case]:
    def all_unary(x: Tensor) -> tuple[Tensor, ...]:
        return tuple(function(3.0 * x) for function in UNARY.values())

    def all_positive(x: Tensor) -> tuple[Tensor, ...]:
        return tuple(function(x.abs() + 0.1) for function in POSITIVE.values())

    def all_binary(a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        return tuple(function(a, b) for function in BINARY.values())

    def with_numbers(x: Tensor, i: Tensor) -> tuple[Tensor, ...]:
        positive = x.abs() + 0.1
        floats = (x + 1.5, 2 - x, x * 0.3, x / 7, x**2, x**3, positive**-0.5, positive**0.5, 1.7**x, x.clamp(-0.5, 0.5))
        more = (x.clamp(min=0.1), x == 0, x != 0, x < 0, x > 0, x <= 0, x >= 0, torch.add(x, x, alpha=0.5), F.elu(x))
        halves = (F.gelu(x), F.gelu(x, approximate="tanh"), F.leaky_relu(x, 0.2), F.silu(x), F.hardtanh(x, -0.3, 0.4))
        whole = (i + 2, i * 3, i % 4, torch.div(i, 3, rounding_mode="floor"), torch.div(i, 3, rounding_mode="trunc"))
        types = (
            i * 0.5,
            i / 2,
            i.float(),
            x.to(torch.int64),
            x.bool(),
            (x > 0) * x,
            torch.round(x * 2 + 0.5),
            positive**x,
        )
        return floats + more + halves + whole + types

    def choices(c: Tensor, d: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        logic = (c & d, c | d, ~c, torch.logical_and(c, d), torch.logical_or(c, d), torch.logical_not(c))
        return (*logic, torch.where(c, a, b), a.masked_fill(c, -torch.inf), torch.where(c, a, 0.0))

    def strided(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        turned = x.permute(0, 2, 3, 1)
        return turned + y.permute(0, 2, 3, 1), (x.mT * y.mT).exp(), turned - y.mean((2, 3))[:, None, None]

    shape = sizes(3)
    thin = (shape[0], 1, shape[2])
    grid = sizes(4)
    return [
        Case("unary", all_unary, normal(*shape)),
        Case("positive", all_positive, normal(*sizes(2))),
        Case("binary", all_binary, normal(*shape), normal(*thin)),
        Case("binary, fewer axes", all_binary, normal(*shape), normal(shape[2])),
        Case("numbers", with_numbers, normal(*shape), integers(20, *shape) - 10),
        Case("choices", choices, bits(*shape), bits(*thin), normal(*shape), normal(1, *shape[1:])),
        Case("strided", strided, normal(*grid), normal(*grid)),
        Case(
            "of infinity",
            lambda x: (x.isinf(), x.isnan(), torch.where(x.isinf(), 0.0, x)),
            torch.tensor([1.0, torch.inf, -torch.inf, torch.nan]),
        ),
        Case("of NaN", lambda x: (x.relu(), x.amin(1), x.amax(1)), torch.tensor([[1.0, torch.nan], [torch.nan, -1.0]])),
    ]


def shaping() -> list[Case]:
    def views(x: Tensor) -> tuple[Tensor, ...]:
        a, b, c, d = x.shape
        turned = x.permute(0, 2, 3, 1)
        shaped = (x.view(a * b, c, d), turned.reshape(a, c * d, b), turned.reshape(a * c, d * b), x.flatten(1), x.mT)
        single = (x[:, :, None], x[:, :1].squeeze(1), x[:, :1].squeeze(), x.unsqueeze(-1).expand(-1, -1, -1, -1, 3))
        cut = (
            x[:, 1:],
            x[..., ::2],
            x[:, -1],
            x[1:, :2, 1:-1],
            x.flip(1, 3),
            x.repeat(2, 1, 1, 2),
            x[None].transpose(0, 3),
        )
        parts = (*x.chunk(2, 3), *x.split([1, b - 1], 1), *x.unbind(0))
        return (*shaped, *single, *cut, *parts, torch.cat((x, x[:, :1]), 1), torch.stack((x, 2 * x), 1))

    def channels_last(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        x, y = (t.permute(0, 3, 1, 2) for t in (x, y))
        whole = torch.cat((x, y), 1)
        b, c, h, w = whole.shape
        return (
            whole,
            whole.reshape(b, c * h * w),
            whole.view(b, c, h * w),
            whole.permute(0, 2, 3, 1).reshape(b, h * w, c),
        )

    def padded(x: Tensor) -> tuple[Tensor, ...]:
        return (
            F.pad(x, (1, 2)),
            F.pad(x, (0, 1, 2, 0), value=0.5),
            F.pad(x, (-1, 1)),
            F.pad(x, (1, 2, 2, 1), "replicate"),
        )

    def picked(x: Tensor, i: Tensor, j: Tensor) -> tuple[Tensor, ...]:
        table = x.flatten(1)
        return (
            *(x[i], x[:, i], x[i, j], x[:, i, j], x[i, :, j], x[i - 2]),
            *(F.embedding(i, table), table.index_select(1, j), torch.gather(table, 1, i[: len(table), None] * 2)),
        )

    def made(x: Tensor) -> tuple[Tensor, ...]:
        n = x.shape[1]
        square = x @ x.mT
        return (
            *(torch.arange(2, n + 4) * x[0, 0], torch.full((2, n), 0.25), torch.full_like(x, 3.0), torch.zeros_like(x)),
            *(torch.ones(n, dtype=torch.int64), square.triu(1), square.tril(), torch.linspace(0, 1, 5), torch.eye(3)),
            *(x.clone(), x.contiguous(), torch.roll(x, 1, 1), F.one_hot(torch.arange(n), n + 1)),
        )

    return [
        Case("views", views, normal(2, *sizes(3, 3, 6))),
        Case("channels last", channels_last, normal(2, 3, 4, 5), normal(2, 3, 4, 2)),
        Case("padding", padded, normal(*sizes(4, 2, 5))),
        Case("picking", picked, normal(4, 5, 6), integers(4, 7), integers(5, 7)),
        Case("making", made, normal(*sizes(2, 3, 6))),
    ]


def reducing() -> list[Case]:
    def joined(x: Tensor) -> tuple[Tensor, ...]:
        places = (x.argmax(1), x.argmax(), x.argmin(2, keepdim=True), (x > 1).any(1), (x > -9).all(), (x > 2).any())
        sums = (x.sum(), x.sum(1), x.sum((0, 2)), x.mean(2, keepdim=True), x.mean(), x.var(1), x.std((0, 1)), x.sum(-1))
        norms = (
            torch.linalg.vector_norm(x, dim=-1),
            x.norm(),
            x.amax(1),
            x.amin((1, 2)),
            x.cumsum(1),
            x.flip(2).cumsum(2),
        )
        soft = (x.softmax(-1), x.softmax(1), x.log_softmax(2), torch.logsumexp(x, 1))
        return places + sums + norms + soft

    def normed(x: Tensor, gain: Tensor, shift: Tensor) -> tuple[Tensor, ...]:
        channels = x.shape[1]
        rows = x.permute(0, 2, 3, 1)
        batch = F.batch_norm(x, shift, gain.abs() + 0.5, gain, shift)
        return (
            F.layer_norm(rows, (channels,), gain, shift),
            F.layer_norm(x, x.shape[2:]),
            F.group_norm(x, 2, gain, shift),
            batch,
            F.rms_norm(rows, (channels,), gain),
        )

    def resized(x: Tensor) -> tuple[Tensor, ...]:
        pools = (
            F.avg_pool2d(x, 2),
            F.avg_pool2d(x, 3, 2, 1),
            F.avg_pool2d(x, 2, ceil_mode=True),
            F.max_pool2d(x, 2),
            F.max_pool2d(x, 3, 2, 1),
        )
        means = (
            F.adaptive_avg_pool2d(x, (2, 3)),
            F.adaptive_avg_pool2d(x, 1),
            F.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
        )
        larger = (
            F.interpolate(x, scale_factor=2),
            F.interpolate(x, (9, 5)),
            F.interpolate(x, (11, 13), mode="bilinear"),
        )
        return (*pools, *means, *larger, F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True))

    def equations(x: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        precision = x @ x.mT
        precision.diagonal(dim1=1, dim2=2).add_(2.0)
        root = torch.linalg.cholesky(precision)
        return (
            root,
            torch.linalg.solve_triangular(root, b, upper=False),
            torch.linalg.solve_triangular(root.mT, b, upper=True),
        )

    return [
        Case("joining", joined, normal(*sizes(3, 2, 6))),
        Case("norms", normed, normal(2, 6, *sizes(2, 2, 5)), normal(6), normal(6)),
        Case("resizing", resized, normal(2, 3, *sizes(2, 5, 9))),
        Case("equations", equations, normal(3, 9, 9), normal(3, 9, 4)),
    ]


def products() -> list[Case]:
    def all_products(a: Tensor, b: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
        batches = (a[None].expand(3, -1, -1) @ b, torch.einsum("ij,jk->ki", a, b), torch.einsum("ij,kj->ik", a, b.mT))
        return (a @ b, F.linear(a, b.mT, bias), torch.addmm(bias, a, b), a[0] @ b, *batches)

    def attention(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, ...]:
        return (
            F.scaled_dot_product_attention(q, k, v),
            F.scaled_dot_product_attention(q, k, v, is_causal=True),
            (q @ k.mT).softmax(-1) @ v,
        )

    def convolutions(x: Tensor, w: Tensor, bias: Tensor, small: Tensor, grouped: Tensor) -> tuple[Tensor, ...]:
        plain = (F.conv2d(x, w, bias, padding=1), F.conv2d(x, w, stride=2), F.conv2d(x, w, bias, padding=2, dilation=2))
        last = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        return (
            *plain,
            F.conv2d(last, small),
            F.conv2d(last, w, padding=1) * 2.0,
            F.conv2d(x, grouped, groups=2, padding=(0, 1)),
        )

    def transposed(x: Tensor, w: Tensor, bias: Tensor, line: Tensor, kernel: Tensor) -> tuple[Tensor, ...]:
        grids = (F.conv_transpose2d(x, w, bias), F.conv_transpose2d(x, w, stride=2, padding=1, output_padding=1))
        return (
            *grids,
            F.conv1d(line, kernel, padding=2, dilation=2),
            F.conv_transpose1d(line, kernel.transpose(0, 1), stride=2),
        )

    m, k, n = sizes(3, 3, 40)
    heads, length, dim = 2, source.randint(2, 9), 8
    channels = 2 * source.randint(1, 9)
    outputs = 2 * source.randint(1, 9)
    side = sizes(2, 6, 9)
    qkv = [normal(2, heads, length, dim) for _ in range(3)]
    return [
        Case("products", all_products, normal(m, k), normal(k, n), normal(n)),
        Case("product of one row", lambda a, b: (a @ b, a @ b[:, :1]), normal(1, k), normal(k, n)),
        Case("larger product", lambda a, b: a @ b, normal(67, 129), normal(129, 43)),
        Case("attention", attention, *qkv),
        Case(
            "convolutions",
            convolutions,
            *(normal(2, channels, *side), normal(outputs, channels, 3, 3), normal(outputs)),
            *(normal(outputs, channels, 1, 1), normal(outputs, channels // 2, 1, 3)),
        ),
        Case(
            "transposed",
            transposed,
            *(normal(2, channels, *side), normal(channels, outputs, 3, 3), normal(outputs)),
            *(normal(2, channels, 9), normal(outputs, channels, 3)),
        ),
    ]


QUICK = ("channels last", "convolutions", "larger product")


@pytest.fixture(scope="module")
def lowered() -> Callable[[Case], Container]:
    """A container that holds one case."""
    containers: dict[str, Container] = {}

    def lower(case: Case) -> Container:
        if case.name not in containers:
            containers[case.name] = Container()
            containers[case.name].add(case.graph())
        return containers[case.name]

    return lower


CASES = [*elementwise(), *shaping(), *reducing(), *products()]


@needs_node
@pytest.mark.parametrize("plain", [False, True], ids=["vectors", "loops"])
@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if case.name in QUICK else pytest.mark.slow, id=case.name) for case in CASES]
)
def test_operators_give_what_pytorch_gives(
    case: Case, plain: bool, lowered: Callable[[Case], Container], tmp_path: Path
) -> None:
    results, answer = run_graphs(lowered(case), [(case.name, list(case.inputs))], tmp_path, plain)
    assert answer["kernel"] == ("loops" if plain else "vectors")
    for i, (output, expected) in enumerate(zip(results[0], case.outputs(), strict=True)):
        assert output.shape == expected.shape and output.dtype == expected.dtype, f"output {i}"
        torch.testing.assert_close(output, expected, rtol=2e-5, atol=2e-5, equal_nan=True, msg=f"output {i}")


def used(container: Container) -> set[str]:
    return {node[0] for graph in container.graphs.values() for node in graph["nodes"]}  # type: ignore[attr-defined]


def of_any_size() -> Graph:
    """A graph whose sizes are computed where it runs."""

    def function(x: Tensor) -> tuple[Tensor, ...]:
        rows, columns = x.shape
        lengths = (rows + columns - 2, rows // 2 + 2, columns % 3 + 2)
        return x.reshape(rows * columns), F.pad(x, (0, 2)), *(torch.arange(length) for length in lengths)

    names = tuple(f"out{i}" for i in range(5))
    return Graph("of any size", nn.Identity(), function, {"x": normal(4, 6)}, names, {"x": {0: "n", 1: "m"}})


@needs_node
def test_sizes_are_open(tmp_path: Path) -> None:
    container, graph = Container(), of_any_size()
    container.add(graph)
    inputs = [normal(n, m) for n, m in ((2, 7), (5, 4), (1, 9))]
    results, _ = run_graphs(container, [(graph.name, [x]) for x in inputs], tmp_path)
    for x, outputs in zip(inputs, results, strict=True):
        for output, expected in zip(outputs, graph.function(x), strict=True):  # type: ignore[call-overload]
            torch.testing.assert_close(output, expected)


@needs_node
@pytest.mark.slow
def test_every_operator_is_tested(lowered: Callable[[Case], Container], tmp_path: Path) -> None:
    containers = [Container(), *(lowered(case) for case in CASES)]
    containers[0].add(of_any_size())
    _, answer = run_graphs(Container(), [], tmp_path)
    assert set(answer["operators"]) == graphs.operators() == set().union(*map(used, containers))


def test_graphs_of_one_function_are_traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def function(x: Tensor) -> tuple[Tensor, ...]:
        y = x * 2
        return y, y.exp(), x.neg()

    inputs, owner = {"x": normal(4, 6)}, nn.Identity()
    second = Graph("second", owner, function, inputs, ("exp", "y"), places=(1, 0))
    third = Graph("third", owner, function, inputs, ("neg",), places=(2,))
    whole = Graph("whole", owner, function, inputs, ("y", "exp", "neg"))
    other = Graph("other", owner, torch.tanh, inputs, ("tanh",))
    assert graphs.of_one_function([second, other, third]) == [[second, third], [other]]
    exported: list[tuple[Graph, ...]] = []
    export = graphs.export_program
    monkeypatch.setattr(graphs, "export_program", lambda *graphs: exported.append(graphs) or export(*graphs))  # type: ignore[func-returns-value]
    for together in ([second, third], [third, whole]):
        container, apart = Container(), Container()
        container.add(*together)
        for graph in together:
            apart.add(graph)
        assert container.to_json() == apart.to_json()
    assert len(exported) == 2 * (1 + 2)


def test_a_missing_operator_is_refused_by_name() -> None:
    case = Case("sorter", lambda x: x.sort(1)[0], normal(3, 4))
    with pytest.raises(anew.ConfigError, match=r"the network 'sorter' needs the operator aten\.sort\.default, which"):
        Container().add(case.graph())


def test_what_cannot_be_traced_is_refused() -> None:
    case = Case("brancher", lambda x: x if x.sum() > 0 else -x, normal(3, 4))
    with pytest.raises(anew.ConfigError, match="the network 'brancher' cannot be exported"):
        Container().add(case.graph())
