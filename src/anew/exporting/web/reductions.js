// Operators that combine values: reductions, softmax, normalisation, pooling, resizing, and systems of linear equations.

import { Tensor, sizeOf, wrapAxis } from "./tensor.js";

// x as rows of `n` values, which are to be reduced over `axes`, and the shape of the result.
function rowsOf(x, axes, keepsAxes) {
  const rank = x.shape.length;
  const reducedAxes =
    axes === null || axes === undefined || axes.length === 0 ? x.shape.map((_, axis) => axis) : axes.map((axis) => wrapAxis(axis, rank));
  const rest = x.shape.map((_, axis) => axis).filter((axis) => !reducedAxes.includes(axis));
  const whole = x.permute([...rest, ...reducedAxes]).contiguous();
  const shape = keepsAxes ? x.shape.map((dim, axis) => (reducedAxes.includes(axis) ? 1 : dim)) : rest.map((axis) => x.shape[axis]);
  return { data: whole.data, offset: whole.offset, n: sizeOf(reducedAxes.map((axis) => x.shape[axis])), shape };
}

function reduced(type, x, axes, keepsAxes, join) {
  const { data, offset, n, shape } = rowsOf(x, axes, keepsAxes);
  const out = Tensor.empty(type, shape);
  for (let row = 0; row < out.data.length; row++) out.data[row] = join(data, offset + row * n, n);
  return out;
}

function sum(data, at, n) {
  let total = 0;
  for (const end = at + n; at < end; at++) total += data[at];
  return total;
}

function largest(data, at, n) {
  let highest = -Infinity;
  for (const end = at + n; at < end; at++) if (data[at] > highest || Number.isNaN(data[at])) highest = data[at];
  return highest;
}

function smallest(data, at, n) {
  let lowest = Infinity;
  for (const end = at + n; at < end; at++) if (data[at] < lowest || Number.isNaN(data[at])) lowest = data[at];
  return lowest;
}

function argBest(data, at, n, isBetter) {
  let best = 0;
  for (let i = 1; i < n; i++) if (isBetter(data[at + i], data[at + best])) best = i;
  return best;
}

function variance(data, at, n, correction) {
  const mean = sum(data, at, n) / n;
  let total = 0;
  for (let i = at; i < at + n; i++) total += (data[i] - mean) ** 2;
  return total / Math.max(0, n - correction);
}

function norm(data, at, n, order) {
  let total = 0;
  if (order === Infinity) {
    for (let i = at; i < at + n; i++) total = Math.max(total, Math.abs(data[i]));
    return total;
  }
  for (let i = at; i < at + n; i++) total += order === 2 ? data[i] * data[i] : Math.abs(data[i]) ** order;
  return order === 2 ? Math.sqrt(total) : total ** (1 / order);
}

function anyOf(data, at, n) {
  for (let i = at; i < at + n; i++) if (data[i]) return 1;
  return 0;
}

// Apply `change(from, i, to, o, n)` to each row along one axis.
function alongAxis(type, x, axis, change) {
  const at = wrapAxis(axis, x.shape.length);
  const order = [...x.shape.map((_, other) => other).filter((other) => other !== at), at];
  const moved = x.permute(order);
  const out = new Tensor(Tensor.empty(type, moved.shape).data, moved.shape);
  const values = moved.contiguous();
  const n = x.shape[at];
  for (let row = 0; row < out.data.length; row += n) change(values.data, values.offset + row, out.data, row, n);
  const back = order.map((_, axis_) => order.indexOf(axis_));
  return out.permute(back);
}

function softmaxRow(from, i, to, o, n) {
  const highest = largest(from, i, n);
  let total = 0;
  for (let k = 0; k < n; k++) total += to[o + k] = Math.exp(from[i + k] - highest);
  const scale = 1 / total;
  for (let k = 0; k < n; k++) to[o + k] *= scale;
}

function logSoftmaxRow(from, i, to, o, n) {
  const highest = largest(from, i, n);
  let total = 0;
  for (let k = 0; k < n; k++) total += Math.exp(from[i + k] - highest);
  const shift = highest + Math.log(total);
  for (let k = 0; k < n; k++) to[o + k] = from[i + k] - shift;
}

function cumulateRow(from, i, to, o, n) {
  let total = 0;
  for (let k = 0; k < n; k++) to[o + k] = total += from[i + k];
}

function layerNorm(x, shape, weight, bias, epsilon) {
  const rows = x.contiguous();
  const n = sizeOf(shape);
  const out = Tensor.empty("f32", x.shape);
  const [from, to] = [rows.data, out.data];
  const gain = weight?.values();
  const shift = bias?.values();
  const count = to.length / n;
  const lead = [...x.shape.slice(0, x.shape.length - shape.length), ...shape.map(() => 1)];
  const [means, scales] = [Tensor.empty("f32", lead), Tensor.empty("f32", lead)];
  for (let row = 0; row < count; row++) {
    const at = rows.offset + row * n;
    const mean = sum(from, at, n) / n;
    let squares = 0;
    for (let i = at; i < at + n; i++) squares += (from[i] - mean) * (from[i] - mean);
    const scale = 1 / Math.sqrt(squares / n + epsilon);
    const o = row * n;
    for (let i = 0; i < n; i++) {
      const value = (from[at + i] - mean) * scale;
      to[o + i] = gain ? value * gain[i] + (shift ? shift[i] : 0) : value;
    }
    means.data[row] = mean;
    scales.data[row] = scale;
  }
  return [out, means, scales];
}

function groupNorm(x, weight, bias, n, channels, area, groups, epsilon) {
  const size = (channels / groups) * area;
  const flat = x.contiguous().reshape([n * groups, size]);
  const [normed, means, scales] = layerNorm(flat, [size], null, null, epsilon);
  const [gain, shift] = [weight?.values(), bias?.values()];
  const data = normed.data;
  for (let i = 0; i < data.length; i++) {
    const channel = Math.floor(i / area) % channels;
    data[i] = data[i] * (gain ? gain[channel] : 1) + (shift ? shift[channel] : 0);
  }
  return [new Tensor(data, x.shape), means.reshape([n, groups]), scales.reshape([n, groups])];
}

function batchNorm(x, weight, bias, means, variances, epsilon) {
  const out = new Tensor(x.values().slice(), x.shape);
  const channels = x.shape[1];
  const area = sizeOf(x.shape.slice(2));
  const [m, v, w, b] = [means, variances, weight, bias].map((tensor) => tensor?.values());
  for (let i = 0; i < out.data.length; i++) {
    const c = Math.floor(i / area) % channels;
    out.data[i] = ((out.data[i] - m[c]) / Math.sqrt(v[c] + epsilon)) * (w ? w[c] : 1) + (b ? b[c] : 0);
  }
  return [out, Tensor.empty("f32", [0]), Tensor.empty("f32", [0])];
}

const pairOf = (list) => (list.length === 1 ? [list[0], list[0]] : list);

// Pooling of (n, c, h, w): values inside a window are combined by `join` from `start` on; finish(value, values inside, window area).
function pooled(x, kernel, stride, padding, isCeiling, start, join, finish) {
  const [n, c, h, w] = x.shape;
  const [kernelRows, kernelColumns] = pairOf(kernel);
  const [down, across] = stride?.length ? pairOf(stride) : [kernelRows, kernelColumns];
  const [top, left] = pairOf(padding?.length ? padding : [0]);
  const count = (side, edge, size, step) => {
    const whole = (side + 2 * edge - size) / step;
    const number = (isCeiling ? Math.ceil(whole) : Math.floor(whole)) + 1;
    return isCeiling && (number - 1) * step >= side + edge ? number - 1 : number;
  };
  const [rows, columns] = [count(h, top, kernelRows, down), count(w, left, kernelColumns, across)];
  const out = Tensor.empty("f32", [n, c, rows, columns]);
  const data = x.values();
  let o = 0;
  for (let item = 0; item < n * c; item++)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) {
        const [y0, x0] = [row * down - top, column * across - left];
        const [y1, x1] = [Math.min(y0 + kernelRows, h + top), Math.min(x0 + kernelColumns, w + left)];
        const window = (y1 - y0) * (x1 - x0);
        let value = start;
        let inside = 0;
        for (let y = Math.max(0, y0); y < Math.min(y1, h); y++)
          for (let z = Math.max(0, x0); z < Math.min(x1, w); z++, inside++) value = join(value, data[(item * h + y) * w + z]);
        out.data[o++] = finish(value, inside, window);
      }
  return out;
}

function averagePool(x, kernel, stride, padding, isCeiling, countsPadding, divisor) {
  const finish = (total, inside, window) => total / (divisor ?? (countsPadding ? window : inside));
  return pooled(x, kernel, stride, padding, isCeiling, 0, (a, b) => a + b, finish);
}

function adaptivePool(x, sides) {
  const [n, c, h, w] = x.shape;
  const out = Tensor.empty("f32", [n, c, ...sides]);
  const data = x.values();
  const bounds = (i, count, side) => [Math.floor((i * side) / count), Math.ceil(((i + 1) * side) / count)];
  let o = 0;
  for (let item = 0; item < n * c; item++)
    for (let row = 0; row < sides[0]; row++)
      for (let column = 0; column < sides[1]; column++) {
        const [y0, y1] = bounds(row, sides[0], h);
        const [x0, x1] = bounds(column, sides[1], w);
        let total = 0;
        for (let y = y0; y < y1; y++) for (let z = x0; z < x1; z++) total += data[(item * h + y) * w + z];
        out.data[o++] = total / ((y1 - y0) * (x1 - x0));
      }
  return out;
}

function newSides(x, size, scales) {
  return size ?? scales.map((scale, axis) => Math.floor(x.shape[2 + axis] * scale));
}

function nearest(x, size, scales) {
  const [n, c, h, w] = x.shape;
  const [rows, columns] = newSides(x, size, scales);
  const out = Tensor.empty("f32", [n, rows, columns, c]); // channels_last, as convolutions need them
  const [down, across] = scales ? [1 / scales[0], 1 / scales[1]] : [h / rows, w / columns];
  const source = x.permute([0, 2, 3, 1]).contiguous();
  let o = 0;
  for (let item = 0; item < n; item++)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++, o += c) {
        const [y, z] = [Math.min(Math.floor(row * down), h - 1), Math.min(Math.floor(column * across), w - 1)];
        const from = source.offset + ((item * h + y) * w + z) * c;
        for (let k = 0; k < c; k++) out.data[o + k] = source.data[from + k];
      }
  return out.permute([0, 3, 1, 2]);
}

function bilinear(x, size, alignsCorners, scales) {
  const [n, c, h, w] = x.shape;
  const [rows, columns] = newSides(x, size, scales);
  const out = Tensor.empty("f32", [n, c, rows, columns]);
  const data = x.values();
  const positions = (count, side, scale) =>
    Array.from({ length: count }, (_, i) => {
      const ratio = alignsCorners ? (count > 1 ? (side - 1) / (count - 1) : 0) : scale ? 1 / scale : side / count;
      const at = Math.max(0, alignsCorners ? i * ratio : (i + 0.5) * ratio - 0.5);
      const low = Math.min(Math.floor(at), side - 1);
      return [low, Math.min(low + 1, side - 1), at - low];
    });
  const [ys, xs] = [positions(rows, h, scales?.[0]), positions(columns, w, scales?.[1])];
  let o = 0;
  for (let item = 0; item < n * c; item++)
    for (const [top, bottom, down] of ys)
      for (const [left, right, across] of xs) {
        const [a, b] = [(item * h + top) * w, (item * h + bottom) * w];
        const upper = data[a + left] + (data[a + right] - data[a + left]) * across;
        const lower = data[b + left] + (data[b + right] - data[b + left]) * across;
        out.data[o++] = upper + (lower - upper) * down;
      }
  return out;
}

// ---- systems of linear equations: matrices (..., n, n) ----

function cholesky(x) {
  const n = x.shape.at(-1);
  const out = Tensor.empty("f32", x.shape);
  const from = x.values();
  const work = new Float64Array(n * n);
  for (let at = 0; at < from.length; at += n * n) {
    for (let row = 0; row < n; row++)
      for (let column = 0; column <= row; column++) {
        let total = from[at + row * n + column];
        for (let k = 0; k < column; k++) total -= work[row * n + k] * work[column * n + k];
        work[row * n + column] = row === column ? Math.sqrt(total) : total / work[column * n + column];
      }
    for (let row = 0; row < n; row++)
      for (let column = 0; column <= row; column++) out.data[at + row * n + column] = work[row * n + column];
  }
  return [out, Tensor.full("i32", x.shape.slice(0, -2), 0)];
}

function solveTriangular(a, b, isUpper, isLeft, isUnit) {
  if (!isLeft) throw new Error("triangular systems from the right are not supported");
  const n = a.shape.at(-1);
  const m = b.shape.at(-1);
  const lead = b.shape.slice(0, -2);
  const matrices = a.expand([...lead, n, n]).values();
  const out = new Tensor(b.contiguous().values().slice(), b.shape);
  const data = out.data;
  for (let item = 0; item < sizeOf(lead); item++) {
    const [left, right] = [item * n * n, item * n * m];
    for (let step = 0; step < n; step++) {
      const row = isUpper ? n - 1 - step : step;
      const target = data.subarray(right + row * m, right + (row + 1) * m);
      for (let before = 0; before < step; before++) {
        const other = isUpper ? n - 1 - before : before;
        const factor = matrices[left + row * n + other];
        if (factor === 0) continue;
        const source = right + other * m;
        for (let k = 0; k < m; k++) target[k] -= factor * data[source + k];
      }
      if (!isUnit) {
        const scale = 1 / matrices[left + row * n + row];
        for (let k = 0; k < m; k++) target[k] *= scale;
      }
    }
  }
  return out;
}

const bigger = (a, b) => a > b;
const axisList = (axis) => (axis === null || axis === undefined ? null : [axis]);

export const REDUCING = {
  "aten.sum.dim_IntList": (type, x, axes, keeps) => reduced(type, x, axes, keeps, sum),
  "aten.mean.default": (type, x) => reduced(type, x, null, false, (d, at, n) => sum(d, at, n) / n),
  "aten.mean.dim": (type, x, axes, keeps) => reduced(type, x, axes, keeps, (d, at, n) => sum(d, at, n) / n),
  "aten.var.correction": (type, x, axes, correction, keeps) =>
    reduced(type, x, axes, keeps, (d, at, n) => variance(d, at, n, correction ?? 1)),
  "aten.linalg_vector_norm.default": (type, x, order, axes, keeps) =>
    reduced(type, x, axes, keeps, (d, at, n) => norm(d, at, n, Number(order))),
  "aten.amax.default": (type, x, axes, keeps) => reduced(type, x, axes, keeps, largest),
  "aten.amin.default": (type, x, axes, keeps) => reduced(type, x, axes, keeps, smallest),
  "aten.argmax.default": (type, x, axis, keeps) => reduced(type, x, axisList(axis), keeps, (d, at, n) => argBest(d, at, n, bigger)),
  "aten.argmin.default": (type, x, axis, keeps) =>
    reduced(type, x, axisList(axis), keeps, (d, at, n) => argBest(d, at, n, (a, b) => a < b)),
  "aten.any.default": (type, x) => reduced(type, x, null, false, anyOf),
  "aten.any.dim": (type, x, axis, keeps) => reduced(type, x, [axis], keeps, anyOf),
  "aten.any.dims": (type, x, axes, keeps) => reduced(type, x, axes, keeps, anyOf),
  "aten._softmax.default": (type, x, axis) => alongAxis(type, x, axis, softmaxRow),
  "aten._log_softmax.default": (type, x, axis) => alongAxis(type, x, axis, logSoftmaxRow),
  "aten.cumsum.default": (type, x, axis) => alongAxis(type, x, axis, cumulateRow),
  "aten.native_layer_norm.default": (type, x, shape, weight, bias, epsilon) => layerNorm(x, shape, weight, bias, epsilon),
  "aten.native_group_norm.default": (type, x, weight, bias, n, c, area, groups, epsilon) =>
    groupNorm(x, weight, bias, n, c, area, groups, epsilon),
  "aten._native_batch_norm_legit_no_training.default": (type, x, weight, bias, mean, spread, momentum, epsilon) =>
    batchNorm(x, weight, bias, mean, spread, epsilon),
  "aten.avg_pool2d.default": (type, ...rest) => averagePool(...rest),
  "aten.max_pool2d_with_indices.default": (type, x, kernel, stride, padding, dilation, isCeiling) => [
    pooled(x, kernel, stride, padding, isCeiling, -Infinity, Math.max, (value) => value),
    null,
  ],
  "aten._adaptive_avg_pool2d.default": (type, x, sides) => adaptivePool(x, sides),
  "aten.upsample_nearest2d.vec": (type, x, size, scales) => nearest(x, size, scales),
  "aten.upsample_bilinear2d.vec": (type, x, size, corners, scales) => bilinear(x, size, corners, scales),
  "aten.linalg_cholesky_ex.default": (type, x) => cholesky(x),
  "aten.linalg_solve_triangular.default": (type, a, b, isUpper, isLeft, isUnit) =>
    solveTriangular(a, b, isUpper, isLeft ?? true, isUnit ?? false),
};
