// Operators that create, move and select values without computing with them.

import { Tensor, copyInto, sizeOf, wrapAxis } from "./tensor.js";

function dropAxes(x, axes) {
  const dropped = axes.map((axis) => wrapAxis(axis, x.shape.length));
  const keep = x.shape.map((_, axis) => axis).filter((axis) => !dropped.includes(axis) || x.shape[axis] !== 1);
  return x.permute(keep);
}

function unsqueeze(x, axis) {
  const at = wrapAxis(axis, x.shape.length + 1);
  return x.view(x.shape.toSpliced(at, 0, 1), x.strides.toSpliced(at, 0, 0));
}

function slice(x, axis = 0, start = 0, end = null, step = 1) {
  const at = wrapAxis(axis, x.shape.length);
  const dim = x.shape[at];
  const bound = (value) => Math.min(Math.max(value < 0 ? value + dim : value, 0), dim);
  const first = bound(start ?? 0);
  const count = Math.max(0, Math.ceil((bound(end ?? dim) - first) / step));
  return x.view(x.shape.with(at, count), x.strides.with(at, x.strides[at] * step), x.offset + first * x.strides[at]);
}

function select(x, axis, index) {
  const at = wrapAxis(axis, x.shape.length);
  const position = wrapAxis(index, x.shape[at]);
  return x.view(x.shape.toSpliced(at, 1), x.strides.toSpliced(at, 1), x.offset + position * x.strides[at]);
}

function split(x, sizes, axis) {
  const at = wrapAxis(axis ?? 0, x.shape.length);
  let start = 0;
  return sizes.map((size) => {
    start += size;
    return slice(x, at, start - size, start, 1);
  });
}

function concatenate(type, parts, axis = 0) {
  const present = parts.filter((part) => !(part.shape.length === 1 && part.shape[0] === 0));
  if (!present.length) return Tensor.empty(type, [0]);
  const at = wrapAxis(axis, present[0].shape.length);
  const total = present.reduce((sum, part) => sum + part.shape[at], 0);
  const shape = present[0].shape.with(at, total);
  const out = Tensor.empty(type, shape);
  // channels_last parts give a channels_last result, which the next convolution takes without a copy.
  if (shape.length === 4 && present.every((part) => part.strides[1] === 1 && part.shape[1] > 1)) {
    const [, c, h, w] = shape;
    out.strides = [h * w * c, 1, w * c, c];
  }
  let start = 0;
  for (const part of present) {
    copyInto(slice(out, at, start, start + part.shape[at], 1), part);
    start += part.shape[at];
  }
  return out;
}

function arange(type, start, end, step) {
  const count = Math.max(0, Math.ceil((end - start) / step));
  const out = Tensor.empty(type, [count]);
  for (let i = 0; i < count; i++) out.data[i] = start + i * step;
  return out;
}

function pad(type, x, edges, value) {
  const shape = x.shape.slice();
  const starts = shape.map(() => 0);
  const cuts = shape.map((dim) => [0, dim]);
  for (let pair = 0; pair < edges.length / 2; pair++) {
    const axis = shape.length - 1 - pair;
    const [before, after] = [edges[2 * pair], edges[2 * pair + 1]];
    starts[axis] = Math.max(0, before);
    cuts[axis] = [Math.max(0, -before), x.shape[axis] - Math.max(0, -after)];
    shape[axis] += before + after;
  }
  const out = Tensor.full(type, shape, value ?? 0);
  let [target, source] = [out, x];
  for (let axis = 0; axis < shape.length; axis++) {
    const [first, last] = cuts[axis];
    source = slice(source, axis, first, last, 1);
    target = slice(target, axis, starts[axis], starts[axis] + last - first, 1);
  }
  copyInto(target, source);
  return out;
}

// x[..., indices, ...]: null selects a whole axis; the index tensors are broadcast.
function index(type, x, indices) {
  const picked = indices.map((tensor, axis) => ({ tensor, axis })).filter(({ tensor }) => tensor !== null);
  if (picked.some(({ tensor }) => tensor.type === "bool")) throw new Error("indexing by a mask is not supported");
  const rank = Math.max(...picked.map(({ tensor }) => tensor.shape.length));
  const shape = new Array(rank).fill(1);
  for (const { tensor } of picked)
    tensor.shape.forEach((dim, axis) => {
      if (dim !== 1) shape[rank - tensor.shape.length + axis] = dim;
    });
  const axes = picked.map(({ axis }) => axis);
  const positions = picked.map(({ tensor }) => tensor.expand(shape).values());
  const areAdjacent = axes.every((axis, i) => i === 0 || axis === axes[i - 1] + 1);
  const rest = x.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const front = areAdjacent ? rest.filter((axis) => axis < axes[0]) : [];
  const back = areAdjacent ? rest.filter((axis) => axis > axes[0]) : rest;
  const pick = (list, of) => list.map((axis) => of[axis]);
  const out = Tensor.empty(type, [...pick(front, x.shape), ...shape, ...pick(back, x.shape)]);
  const count = sizeOf(shape);
  const inner = sizeOf(pick(back, x.shape));
  const steps = [...front.map(() => 0), ...back.map(() => 0)];
  for (let i = 0; i < count; i++) {
    let offset = x.offset;
    positions.forEach((values, p) => {
      offset += wrapAxis(values[i], x.shape[axes[p]]) * x.strides[axes[p]];
    });
    const source = new Tensor(
      x.data,
      [...pick(front, x.shape), ...pick(back, x.shape)],
      [...pick(front, x.strides), ...pick(back, x.strides)],
      offset,
    );
    const backSteps = out.strides.slice(front.length + rank);
    const target = new Tensor(out.data, source.shape, [...out.strides.slice(0, front.length), ...backSteps], i * inner);
    if (steps.length) copyInto(target, source);
    else out.data[i] = x.data[offset];
  }
  return out;
}

function gather(type, x, axis, indices) {
  const at = wrapAxis(axis, x.shape.length);
  const out = Tensor.empty(type, indices.shape);
  const values = indices.values();
  const counter = new Array(indices.shape.length).fill(0);
  for (let i = 0; i < values.length; i++) {
    let offset = x.offset;
    for (let k = 0; k < counter.length; k++) offset += (k === at ? values[i] : counter[k]) * x.strides[k];
    out.data[i] = x.data[offset];
    for (let k = counter.length - 1; k >= 0 && ++counter[k] === indices.shape[k]; k--) counter[k] = 0;
  }
  return out;
}

function flip(type, x, axes) {
  let out = x;
  for (const axis of axes) {
    const at = wrapAxis(axis, x.shape.length);
    const last = out.offset + (out.shape[at] - 1) * out.strides[at];
    out = out.view(out.shape, out.strides.with(at, -out.strides[at]), last);
  }
  const whole = Tensor.empty(type, x.shape);
  copyInto(whole, out);
  return whole;
}

// The diagonal of two axes, as the last axis of a view.
function diagonal(x, offset, first, second) {
  const [a, b] = [wrapAxis(first, x.shape.length), wrapAxis(second, x.shape.length)];
  const [down, right] = [Math.max(0, -offset), Math.max(0, offset)];
  const count = Math.max(0, Math.min(x.shape[a] - down, x.shape[b] - right));
  const rest = x.shape.map((_, axis) => axis).filter((axis) => axis !== a && axis !== b);
  const start = x.offset + down * x.strides[a] + right * x.strides[b];
  return x.view(
    [...rest.map((axis) => x.shape[axis]), count],
    [...rest.map((axis) => x.strides[axis]), x.strides[a] + x.strides[b]],
    start,
  );
}

function scatterDiagonal(type, x, values, offset, first, second) {
  const out = Tensor.empty(type, x.shape);
  copyInto(out, x);
  copyInto(diagonal(out, offset, first, second), values);
  return out;
}

function repeat(type, x, counts) {
  const missing = counts.length - x.shape.length;
  const shape = counts.flatMap((count, axis) => [count, axis < missing ? 1 : x.shape[axis - missing]]);
  const strides = counts.flatMap((_, axis) => [0, axis < missing ? 0 : x.strides[axis - missing]]);
  return x.view(shape, strides).reshape(counts.map((count, axis) => shape[2 * axis] * shape[2 * axis + 1]));
}

export const SHAPING = {
  "aten.view.default": (type, x, shape) => x.reshape(shape),
  "aten.permute.default": (type, x, axes) => x.permute(axes.map((axis) => wrapAxis(axis, x.shape.length))),
  "aten.expand.default": (type, x, shape) => x.expand(shape),
  "aten.unsqueeze.default": (type, x, axis) => unsqueeze(x, axis),
  "aten.squeeze.dims": (type, x, axes) => dropAxes(x, axes),
  "aten.slice.Tensor": (type, x, axis, start, end, step) => slice(x, axis, start, end, step),
  "aten.select.int": (type, x, axis, index) => select(x, axis, index),
  "aten.split_with_sizes.default": (type, x, sizes, axis) => split(x, sizes, axis),
  "aten.cat.default": (type, parts, axis) => concatenate(type, parts, axis),
  "aten.full.default": (type, shape, value) => Tensor.full(type, shape, Number(value)),
  "aten.full_like.default": (type, x, value) => Tensor.full(type, x.shape, Number(value)),
  "aten.scalar_tensor.default": (type, value) => Tensor.full(type, [], Number(value)),
  "aten.arange.start_step": (type, start, end, step) => arange(type, start, end, step),
  "aten.constant_pad_nd.default": (type, x, edges, value) => pad(type, x, edges, value),
  "aten.index.Tensor": (type, x, indices) => index(type, x, indices),
  "aten.index_select.default": (type, x, axis, indices) =>
    index(type, x, [...new Array(wrapAxis(axis, x.shape.length)).fill(null), indices]),
  "aten.embedding.default": (type, table, ids) => index(type, table, [ids]),
  "aten.gather.default": (type, x, axis, indices) => gather(type, x, axis, indices),
  "aten.flip.default": (type, x, axes) => flip(type, x, axes),
  "aten.diagonal.default": (type, x, offset, first, second) => diagonal(x, offset, first, second),
  "aten.diagonal_scatter.default": (type, ...rest) => scatterDiagonal(type, ...rest),
  "aten.repeat.default": (type, x, counts) => repeat(type, x, counts),
  "aten.sym_size.int": (type, x, axis) => x.shape[wrapAxis(axis, x.shape.length)],
  "operator.add": (type, a, b) => a + b,
  "operator.sub": (type, a, b) => a - b,
  "operator.mul": (type, a, b) => a * b,
  "operator.floordiv": (type, a, b) => Math.floor(a / b),
  "operator.mod": (type, a, b) => ((a % b) + b) % b,
};
