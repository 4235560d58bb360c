# mypy: ignore-errors
# In onnxscript Python is the notation of a graph: its types are not those of the values.
"""Systems of linear equations in ONNX, which has no operator for them: a loop over the columns of each block, and matrix products
between blocks (Golub and Van Loan, Matrix Computations, algorithms 3.1.3 and 4.2.5).

Needs onnxscript. Legend for shapes: N systems, R equations, B columns of a block, S columns of a right side.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from onnxscript import FLOAT, script
from onnxscript import opset18 as op

BLOCK = 16  # columns: longer loops cost more than products, and shorter ones make more nodes


@script()
def factored_panel(panel: FLOAT) -> FLOAT:
    columns = op.Range(0, op.Squeeze(op.Shape(panel, start=-1)), 1)
    rows = op.Range(0, op.Squeeze(op.Shape(panel, start=-2, end=-1)), 1)
    remaining = op.Identity(panel)
    root = op.Mul(panel, 0.0)
    for j in range(op.Squeeze(op.Shape(panel, start=-1))):
        index = op.Reshape(j, [1])
        row = op.Gather(remaining, index, axis=-2)
        pivot = op.Sqrt(op.Gather(row, index, axis=-1))
        is_below = op.Cast(op.Unsqueeze(rows >= j, [-1]), to=1)
        is_here = op.Cast(op.Unsqueeze(columns == j, [0]), to=1)
        column = op.Gather(remaining, index, axis=-1) * is_below / pivot
        root = root + column * is_here
        remaining = remaining - column * (row / pivot)
    return op.Reshape(root, op.Shape(panel))


@script()
def solved_block(root: FLOAT, right: FLOAT) -> FLOAT:
    rows = op.Range(0, op.Squeeze(op.Shape(root, start=-1)), 1)
    remaining = op.Identity(right)
    solution = op.Mul(right, 0.0)
    for j in range(op.Squeeze(op.Shape(root, start=-1))):
        index = op.Reshape(j, [1])
        column = op.Gather(root, index, axis=-1)
        row = op.Gather(remaining, index, axis=-2) / op.Gather(column, index, axis=-2)
        solution = solution + op.Cast(op.Unsqueeze(rows == j, [-1]), to=1) * row
        remaining = remaining - column * row
    return op.Reshape(solution, op.Shape(right))


def cholesky(matrices, upper=False, check_errors=False):
    """The lower factors (N, R, R) of positive definite matrices (N, R, R), and a second output that nothing uses."""
    if upper:
        raise NotImplementedError("upper factors of Cholesky's decomposition")
    size, remaining, panels = matrices.shape[-1], matrices, []
    for start in range(0, size, BLOCK):
        left = size - start
        width = min(BLOCK, left)
        panel = _restore_shape(factored_panel(_cut(remaining, (0, left), (0, width))), left, width)
        panels.append(op.Pad(panel, [0, start, 0, 0, 0, 0], 0.0))
        if width < left:
            below = _cut(panel, (width, left), (0, width))
            square = op.MatMul(below, op.Transpose(below, perm=[0, 2, 1]))
            remaining = op.Sub(_cut(remaining, (width, left), (width, left)), square)
    return op.Concat(*panels, axis=2), op.Size(matrices)


def solve_triangular(root, right, upper=False, left=True, unitriangular=False):
    """X (N, R, S) of root X = right; root (N, R, R) is lower triangular, right (N, R, S)."""
    if upper or not left or unitriangular:
        raise NotImplementedError("solve_triangular with upper, right=True or unitriangular")
    size, columns, solution = root.shape[-1], right.shape[-1], None
    for start in range(0, size, BLOCK):
        stop = min(start + BLOCK, size)
        remaining = _cut(right, (start, stop), (0, columns))
        if solution is not None:
            remaining = op.Sub(remaining, op.MatMul(_cut(root, (start, stop), (0, start)), solution))
        block = _restore_shape(solved_block(_cut(root, (start, stop), (start, stop)), remaining), stop - start, columns)
        solution = block if solution is None else op.Concat(solution, block, axis=1)
    return solution


def _cut(x, rows, columns):
    return op.Slice(x, [rows[0], columns[0]], [rows[1], columns[1]], [1, 2])


def _restore_shape(x, rows, columns):
    """x with its type and shape, which ONNX's checker cannot infer from a loop."""
    return op.Reshape(op.Cast(x, to=1), [-1, rows, columns])


TRANSLATIONS: dict[Callable[..., object], Callable[..., object]] = {
    torch.ops.aten.linalg_cholesky_ex.default: cholesky,
    torch.ops.aten.linalg_solve_triangular.default: solve_triangular,
}
