// Matrix products, and convolutions as matrix products of patches.

import { multiply, pack } from "./kernels.js";
import { Tensor } from "./tensor.js";

const PACKED = new WeakMap(); // constants, laid out for products
const constants = new WeakSet();

// Mark a tensor as constant, so that what is computed from it may be cached.
export function markConstant(tensor) {
  constants.add(tensor);
}

function packed(b, k, n, offset, rowStep, columnStep) {
  if (!constants.has(b)) return pack(k, n, b.data, offset, rowStep, columnStep, false);
  if (!PACKED.has(b)) PACKED.set(b, pack(k, n, b.data, offset, rowStep, columnStep, true));
  return PACKED.get(b);
}

// out (m, n) = A (m, k) B + bias. a, out: tensors, from an offset on; matrix: B, packed.
function product(m, a, offset, rowStep, columnStep, matrix, out, at, bias) {
  const { k, n } = matrix;
  const data = a.data;
  const to = out.data;
  const b = bias?.data;
  const fillRow = (target, start, row) => {
    let i = offset + row * rowStep;
    for (let column = 0; column < k; column++, i += columnStep) target[start + column] = data[i];
  };
  const fillBlock = (target, start, row) => {
    let i = offset + row * rowStep;
    for (let column = 0; column < k; column++, i += columnStep, start += 4) {
      target[start] = data[i];
      target[start + 1] = data[i + rowStep];
      target[start + 2] = data[i + 2 * rowStep];
      target[start + 3] = data[i + 3 * rowStep];
    }
  };
  const write = (from, start, row) => {
    const o = at + row * n;
    if (b) for (let column = 0; column < n; column++) to[o + column] = from[start + column] + b[column];
    else for (let column = 0; column < n; column++) to[o + column] = from[start + column];
  };
  multiply(m, matrix, fillBlock, fillRow, write);
}

export function matrixProduct(a, b, bias = null) {
  const [m, k] = a.shape;
  const n = b.shape[1];
  const out = Tensor.empty("f32", [m, n]);
  if (m * n * k === 0) return out;
  const matrix = packed(b, k, n, b.offset, b.strides[0], b.strides[1]);
  product(m, a, a.offset, a.strides[0], a.strides[1], matrix, out, 0, bias);
  return out;
}

function batchedProduct(a, b) {
  const [count, m, k] = a.shape;
  const n = b.shape[2];
  const out = Tensor.empty("f32", [count, m, n]);
  if (m * n * k === 0) return out;
  for (let i = 0; i < count; i++) {
    const from = a.offset + i * a.strides[0];
    const other = b.offset + i * b.strides[0];
    if (m * n * k < 4096 || m < 3) plainProduct(a, from, b, other, out.data, i * m * n, m, n, k);
    else {
      const matrix = pack(k, n, b.data, other, b.strides[1], b.strides[2], false);
      product(m, a, from, a.strides[1], a.strides[2], matrix, out, i * m * n, null);
    }
  }
  return out;
}

// For small matrices and few rows, where laying out B would cost more than the product.
function plainProduct(a, from, b, other, out, at, m, n, k) {
  const [, rowStep, columnStep] = a.strides;
  const [, innerStep, outerStep] = b.strides;
  const [x, y] = [a.data, b.data];
  for (let row = 0; row < m; row++) {
    if (outerStep <= innerStep) {
      for (let inner = 0; inner < k; inner++) {
        const value = x[from + row * rowStep + inner * columnStep];
        let j = other + inner * innerStep;
        for (let column = 0; column < n; column++, j += outerStep) out[at + column] += value * y[j];
      }
    } else {
      for (let column = 0; column < n; column++) {
        let sum = 0;
        let i = from + row * rowStep;
        let j = other + column * outerStep;
        for (let inner = 0; inner < k; inner++, i += columnStep, j += innerStep) sum += x[i] * y[j];
        out[at + column] = sum;
      }
    }
    at += n;
  }
}

function biased(bias, a, b, beta, alpha) {
  if (beta !== 1 || alpha !== 1) throw new Error("addmm is supported with beta and alpha of 1 only");
  if (bias.shape.length === 1 && bias.shape[0] === b.shape[1])
    return matrixProduct(a, b, bias.contiguous().offset ? new Tensor(bias.values().slice(), bias.shape) : bias.contiguous());
  throw new Error("addmm is supported with a bias for each column only");
}

// ---- convolutions ----

// The kernel (outputs, inputs, rows, columns) of one group as B (rows * columns * inputs, outputs), for patches of channels_last inputs.
const KERNELS = new WeakMap();

function kernelMatrix(weight, group, outputs) {
  const kept = constants.has(weight) ? (KERNELS.get(weight) ?? new Map()) : null;
  if (kept?.has(group)) return kept.get(group);
  const [, inputs, rows, columns] = weight.shape;
  const k = rows * columns * inputs;
  const rowsOfB = new Float32Array(k * outputs);
  const data = weight.values();
  const first = group * outputs;
  for (let output = 0; output < outputs; output++)
    for (let input = 0; input < inputs; input++)
      for (let tap = 0; tap < rows * columns; tap++)
        rowsOfB[(tap * inputs + input) * outputs + output] = data[((first + output) * inputs + input) * rows * columns + tap];
  const matrix = pack(k, outputs, rowsOfB, 0, outputs, 1, kept !== null);
  if (kept) KERNELS.set(weight, kept.set(group, matrix));
  return matrix;
}

// x (n, channels, rows, columns), weight (outputs, channels / groups, rows, columns); stride, padding, dilation: for rows and columns. The
// result is channels_last.
function convolve2d(x, weight, bias, stride, padding, dilation, groups) {
  const [n, , height, width] = x.shape;
  const [totalOutputs, inputs, kernelRows, kernelColumns] = weight.shape;
  const outputs = totalOutputs / groups;
  const rows = Math.floor((height + 2 * padding[0] - dilation[0] * (kernelRows - 1) - 1) / stride[0]) + 1;
  const columns = Math.floor((width + 2 * padding[1] - dilation[1] * (kernelColumns - 1) - 1) / stride[1]) + 1;
  const out = Tensor.empty("f32", [n, rows, columns, totalOutputs]);
  const source = x.permute([0, 2, 3, 1]).contiguous();
  const channels = source.shape[3];
  const data = source.data;
  const to = out.data;
  const biases = bias?.values();
  for (let group = 0; group < groups; group++) {
    const matrix = kernelMatrix(weight, group, outputs);
    // step: between the values of a patch: 1, or 4 where four patches are interleaved.
    const fill = (target, start, position, step) => {
      const column = position % columns;
      const row = ((position - column) / columns) % rows;
      const item = Math.floor(position / (columns * rows));
      for (let i = 0; i < kernelRows; i++) {
        const y = row * stride[0] - padding[0] + i * dilation[0];
        for (let j = 0; j < kernelColumns; j++) {
          const z = column * stride[1] - padding[1] + j * dilation[1];
          if (y < 0 || y >= height || z < 0 || z >= width) {
            for (let c = 0; c < inputs; c++, start += step) target[start] = 0;
          } else {
            let from = source.offset + ((item * height + y) * width + z) * channels + group * inputs;
            for (let c = 0; c < inputs; c++, start += step) target[start] = data[from++];
          }
        }
      }
    };
    const fillBlock = (target, start, position) => {
      for (let i = 0; i < 4; i++) fill(target, start + i, position + i, 4);
    };
    const write = (from, start, position) => {
      const o = position * totalOutputs + group * outputs;
      for (let c = 0; c < outputs; c++) to[o + c] = from[start + c] + (biases ? biases[group * outputs + c] : 0);
    };
    multiply(n * rows * columns, matrix, fillBlock, (target, start, position) => fill(target, start, position, 1), write);
  }
  return out.permute([0, 3, 1, 2]);
}

// A transposed convolution is a convolution of the input, with zeros between its values, by the flipped kernel.
function transposed2d(x, weight, bias, stride, padding, dilation, outputPadding, groups) {
  const [n, channels, height, width] = x.shape;
  const [inputs, perGroup, kernelRows, kernelColumns] = weight.shape;
  const before = [0, 1].map((axis) => dilation[axis] * (weight.shape[2 + axis] - 1) - padding[axis]);
  if (before.some((edge) => edge < 0)) throw new Error("transposed convolutions with more padding than their kernel are not supported");
  const sides = [height, width].map((side, axis) => (side - 1) * stride[axis] + 1 + 2 * before[axis] + outputPadding[axis]);
  const dilated = Tensor.empty("f32", [n, channels, ...sides]);
  const from = x.values();
  for (let item = 0, i = 0; item < n * channels; item++)
    for (let row = 0; row < height; row++)
      for (let column = 0; column < width; column++, i++)
        dilated.data[(item * sides[0] + before[0] + row * stride[0]) * sides[1] + before[1] + column * stride[1]] = from[i];
  const flipped = Tensor.empty("f32", [perGroup * groups, inputs / groups, kernelRows, kernelColumns]);
  const values = weight.values();
  const area = kernelRows * kernelColumns;
  for (let input = 0; input < inputs; input++) {
    const group = Math.floor(input / (inputs / groups));
    for (let output = 0; output < perGroup; output++)
      for (let tap = 0; tap < area; tap++) {
        const target = (group * perGroup + output) * (inputs / groups) + (input % (inputs / groups));
        flipped.data[target * area + area - 1 - tap] = values[(input * perGroup + output) * area + tap];
      }
  }
  return convolve2d(dilated, flipped, bias, [1, 1], [0, 0], dilation, groups);
}

function convolution(x, weight, bias, stride, padding, dilation, isTransposed, outputPadding, groups) {
  if (x.shape.length === 5) throw new Error("convolutions over three axes are not supported");
  const isOneDimensional = x.shape.length === 3;
  const pairOf = (list, neutral) => (list.length === 1 ? [neutral, list[0]] : list);
  const items = isOneDimensional ? x.reshape([x.shape[0], x.shape[1], 1, x.shape[2]]) : x;
  let kernel = weight;
  if (isOneDimensional) {
    kernel = weight.reshape([weight.shape[0], weight.shape[1], 1, weight.shape[2]]);
    if (constants.has(weight)) {
      if (!KERNELS_1D.has(weight)) KERNELS_1D.set(weight, kernel);
      kernel = KERNELS_1D.get(weight);
      markConstant(kernel);
    }
  }
  const lists = [pairOf(stride, 1), pairOf(padding, 0), pairOf(dilation, 1)];
  const out = isTransposed
    ? transposed2d(items, kernel, bias, ...lists, pairOf(outputPadding, 0), groups)
    : convolve2d(items, kernel, bias, ...lists, groups);
  return isOneDimensional ? out.reshape([out.shape[0], out.shape[1], out.shape[3]]) : out;
}

const KERNELS_1D = new WeakMap(); // constant kernels over one axis, as kernels over two

export const PRODUCTS = {
  "aten.mm.default": (type, a, b) => matrixProduct(a, b),
  "aten.addmm.default": (type, bias, a, b, beta, alpha) => biased(bias, a, b, beta, alpha),
  "aten.bmm.default": (type, a, b) => batchedProduct(a, b),
  "aten.convolution.default": (type, ...rest) => convolution(...rest),
};
