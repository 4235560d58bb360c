// Elementwise operators. Each loop is written out: one shared loop that takes a function would not be compiled for that function.

import { Tensor, broadcastShape, eachRow, memoryOrder, sizeOf, loopsOver } from "./tensor.js";

// o: output, written from i on in steps of s; a, b: inputs, read from j and k on in steps of t and u; n: number of values.
const BINARY = {
  add: (o, i, s, a, j, t, b, k, u, n) => {
    for (; n > 0; n--, i += s, j += t, k += u) o[i] = a[j] + b[k];
  },
  sub: (o, i, s, a, j, t, b, k, u, n) => {
    for (; n > 0; n--, i += s, j += t, k += u) o[i] = a[j] - b[k];
  },
  mul: (o, i, s, a, j, t, b, k, u, n) => {
    for (; n > 0; n--, i += s, j += t, k += u) o[i] = a[j] * b[k];
  },
  div: (o, i, s, a, j, t, b, k, u, n) => {
    for (; n > 0; n--, i += s, j += t, k += u) o[i] = a[j] / b[k];
  },
  floorDiv: (o, i, s, a, j, t, b, k, u, n) => {
    for (; n > 0; n--, i += s, j += t, k += u) o[i] = Math.floor(a[j] / b[k]);
  },
  truncDiv: (o, i, s, a, j, t, b, k, u, n) => {
    for (; n > 0; n--, i += s, j += t, k += u) o[i] = Math.trunc(a[j] / b[k]);
  },
  remainder: (o, i, s, a, j, t, b, k, u, n) => {
    for (; n > 0; n--, i += s, j += t, k += u) o[i] = remainder(a[j], b[k]);
  },
  fmod: (o, i, s, a, j, t, b, k, u, n) => {
    for (; n > 0; n--, i += s, j += t, k += u) o[i] = a[j] % b[k];
  },
  pow: (o, i, s, a, j, t, b, k, u, n) => {
    for (; n > 0; n--, i += s, j += t, k += u) o[i] = Math.pow(a[j], b[k]);
  },
  maximum: (o, i, s, a, j, t, b, k, u, n) => {
    for (; n > 0; n--, i += s, j += t, k += u) o[i] = Math.max(a[j], b[k]);
  },
  minimum: (o, i, s, a, j, t, b, k, u, n) => {
    for (; n > 0; n--, i += s, j += t, k += u) o[i] = Math.min(a[j], b[k]);
  },
  eq: (o, i, s, a, j, t, b, k, u, n) => {
    for (; n > 0; n--, i += s, j += t, k += u) o[i] = a[j] === b[k] ? 1 : 0;
  },
  ne: (o, i, s, a, j, t, b, k, u, n) => {
    for (; n > 0; n--, i += s, j += t, k += u) o[i] = a[j] !== b[k] ? 1 : 0;
  },
  lt: (o, i, s, a, j, t, b, k, u, n) => {
    for (; n > 0; n--, i += s, j += t, k += u) o[i] = a[j] < b[k] ? 1 : 0;
  },
  le: (o, i, s, a, j, t, b, k, u, n) => {
    for (; n > 0; n--, i += s, j += t, k += u) o[i] = a[j] <= b[k] ? 1 : 0;
  },
  gt: (o, i, s, a, j, t, b, k, u, n) => {
    for (; n > 0; n--, i += s, j += t, k += u) o[i] = a[j] > b[k] ? 1 : 0;
  },
  ge: (o, i, s, a, j, t, b, k, u, n) => {
    for (; n > 0; n--, i += s, j += t, k += u) o[i] = a[j] >= b[k] ? 1 : 0;
  },
  and: (o, i, s, a, j, t, b, k, u, n) => {
    for (; n > 0; n--, i += s, j += t, k += u) o[i] = a[j] & b[k];
  },
  or: (o, i, s, a, j, t, b, k, u, n) => {
    for (; n > 0; n--, i += s, j += t, k += u) o[i] = a[j] | b[k];
  },
};

const UNARY = {
  neg: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = -a[j++];
  },
  abs: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = Math.abs(a[j++]);
  },
  exp: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = Math.exp(a[j++]);
  },
  expm1: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = Math.expm1(a[j++]);
  },
  log: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = Math.log(a[j++]);
  },
  log1p: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = Math.log1p(a[j++]);
  },
  sqrt: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = Math.sqrt(a[j++]);
  },
  rsqrt: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = 1 / Math.sqrt(a[j++]);
  },
  reciprocal: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = 1 / a[j++];
  },
  cos: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = Math.cos(a[j++]);
  },
  sin: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = Math.sin(a[j++]);
  },
  tanh: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = Math.tanh(a[j++]);
  },
  sigmoid: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = 1 / (1 + Math.exp(-a[j++]));
  },
  relu: (o, a, i, n, j) => {
    for (; n > 0; n--, j++) o[i++] = a[j] < 0 ? 0 : a[j];
  },
  erf: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = erf(a[j++]);
  },
  gelu: (o, a, i, n, j) => {
    for (; n > 0; n--, j++) o[i++] = 0.5 * a[j] * (1 + erf(a[j] * Math.SQRT1_2));
  },
  geluTanh: (o, a, i, n, j) => {
    for (; n > 0; n--, j++) o[i++] = geluTanh(a[j]);
  },
  floor: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = Math.floor(a[j++]);
  },
  ceil: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = Math.ceil(a[j++]);
  },
  trunc: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = Math.trunc(a[j++]);
  },
  round: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = roundHalfToEven(a[j++]);
  },
  sign: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = Math.sign(a[j++]);
  },
  not: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = a[j++] ? 0 : 1;
  },
  invert: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = ~a[j++];
  },
  isinf: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = Math.abs(a[j++]) === Infinity ? 1 : 0;
  },
  isnan: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = Number.isNaN(a[j++]) ? 1 : 0;
  },
  copy: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = a[j++];
  },
  toBool: (o, a, i, n, j) => {
    for (; n > 0; n--) o[i++] = a[j++] !== 0 ? 1 : 0;
  },
};

function remainder(a, b) {
  const rest = a % b;
  return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
}

export function roundHalfToEven(x) {
  const low = Math.floor(x);
  const rest = x - low;
  if (rest !== 0.5) return rest < 0.5 ? low : low + 1;
  return low % 2 === 0 ? low : low + 1;
}

function geluTanh(x) {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
}

// The error function, to about 1e-13: a series where it converges quickly, a continued fraction beyond.
export function erf(x) {
  const size = Math.abs(x);
  if (size > 6) return Math.sign(x);
  if (size < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum) && n < 80; n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (size + fraction);
  return Math.sign(x) * (1 - Math.exp(-x * x) / (Math.sqrt(Math.PI) * (size + fraction)));
}

// Whether the values of a tensor fill a stretch of memory without gaps, in any order of axes.
function isDense(x) {
  if (x.isContiguous()) return true;
  let step = 1;
  for (const axis of memoryOrder(x).reverse()) {
    if (x.shape[axis] === 1) continue;
    if (x.strides[axis] !== step) return false;
    step *= x.shape[axis];
  }
  return true;
}

// A new tensor with the shape and the memory layout of `like`.
function emptyLike(type, like) {
  if (like.isContiguous()) return Tensor.empty(type, like.shape);
  const strides = new Array(like.shape.length);
  let step = 1;
  for (const axis of memoryOrder(like).reverse()) {
    strides[axis] = step;
    step *= like.shape[axis];
  }
  const out = Tensor.empty(type, like.shape);
  out.strides = strides;
  return out;
}

function unary(loop, x, type) {
  const dense = isDense(x) ? x : x.contiguous();
  const out = emptyLike(type, dense);
  loop(out.data, dense.data, 0, dense.size, dense.offset);
  return out;
}

function sameStrides(a, b) {
  return a.shape.every((dim, axis) => dim === 1 || a.strides[axis] === b.strides[axis]);
}

const SCALARS = new Map(); // tensors of the numbers in graphs, which are used again and again
const MAX_SCALARS = 1000;

function asTensor(value, type) {
  if (value instanceof Tensor) return value;
  const own = type === "i32" && Number.isInteger(value) ? "i32" : "f32";
  const key = own === "i32" ? `${value}i` : value;
  if (!SCALARS.has(key)) {
    if (SCALARS.size > MAX_SCALARS) SCALARS.clear();
    SCALARS.set(key, Tensor.full(own, [], Number(value)));
  }
  return SCALARS.get(key);
}

// The step between the values of an operand in a plain loop: 1 where it has this shape and is contiguous, 0 where it is one number; -1
// where it needs more than a plain loop.
function plainStep(x, shape) {
  if (x.size === 1) return 0;
  if (x.shape.length !== shape.length) return -1;
  for (let axis = 0; axis < shape.length; axis++) if (x.shape[axis] !== shape[axis]) return -1;
  return x.isContiguous() ? 1 : -1;
}

// Operands, broadcast to one shape, and an empty tensor for the result.
function operands(values, type) {
  const tensors = values.map((value) => asTensor(value, values.find((v) => v instanceof Tensor)?.type ?? type));
  const shape = broadcastShape(tensors.map((x) => x.shape));
  const size = sizeOf(shape);
  const whole = tensors.find((x) => x.shape.length === shape.length && x.size === size && isDense(x));
  const out = whole ? emptyLike(type, whole) : Tensor.empty(type, shape);
  return { out, views: tensors.map((x) => x.expand(shape)) };
}

function binary(loop, a, b, type) {
  if (a instanceof Tensor && a.shape.length > 0) {
    const right = asTensor(b, a.type);
    const step = a.isContiguous() && right.shape.length <= a.shape.length ? plainStep(right, a.shape) : -1;
    if (step >= 0) {
      const out = Tensor.empty(type, a.shape);
      loop(out.data, 0, 1, a.data, a.offset, 1, right.data, right.offset, step, out.data.length);
      return out;
    }
  }
  const { out, views } = operands([a, b], type);
  const [left, right] = views;
  if (isDense(left) && sameStrides(left, right) && sameStrides(left, out)) {
    loop(out.data, 0, 1, left.data, left.offset, 1, right.data, right.offset, 1, out.size);
    return out;
  }
  const plan = loopsOver(out.shape, [out, left, right], memoryOrder(out));
  const depth = plan.dims.length - 1;
  const [s, t, u] = plan.steps.map((steps) => steps[depth]);
  eachRow(plan, [out.offset, left.offset, right.offset], (at, n) => {
    loop(out.data, at[0], s, left.data, at[1], t, right.data, at[2], u, n);
  });
  return out;
}

function scaled(value, alpha, type) {
  if (alpha === 1) return value;
  return value instanceof Tensor ? binary(BINARY.mul, value, alpha, type) : value * alpha;
}

function where(condition, a, b, type) {
  const { out, views } = operands([condition, a, b], type);
  // The result may take the memory layout of the condition, which is as good as any.
  const plan = loopsOver(out.shape, [out, ...views], memoryOrder(out));
  const depth = plan.dims.length - 1;
  const [s, t, u, v] = plan.steps.map((steps) => steps[depth]);
  const [c, x, y] = views.map((view) => view.data);
  const o = out.data;
  eachRow(plan, [out.offset, ...views.map((view) => view.offset)], (at, n) => {
    let [i, j, k, l] = at;
    for (; n > 0; n--, i += s, j += t, k += u, l += v) o[i] = c[j] ? x[k] : y[l];
  });
  return out;
}

function clamp(x, low, high, type) {
  const out = unary(UNARY.copy, x, type);
  const floor = low ?? -Infinity;
  const ceiling = high ?? Infinity;
  const data = out.data;
  for (let i = 0; i < data.length; i++) {
    if (data[i] < floor) data[i] = floor;
    if (data[i] > ceiling) data[i] = ceiling;
  }
  return out;
}

function power(x, exponent, type) {
  if (exponent === 2) return binary(BINARY.mul, x, x, type);
  if (exponent === 0.5) return unary(UNARY.sqrt, x, type);
  if (exponent === -0.5) return unary(UNARY.rsqrt, x, type);
  return binary(BINARY.pow, x, exponent, type);
}

function leakyRelu(x, slope, type) {
  const out = unary(UNARY.copy, x, type);
  const data = out.data;
  for (let i = 0; i < data.length; i++) if (data[i] < 0) data[i] *= slope;
  return out;
}

function elu(x, alpha, type) {
  const out = unary(UNARY.copy, x, type);
  const data = out.data;
  for (let i = 0; i < data.length; i++) if (data[i] < 0) data[i] = alpha * Math.expm1(data[i]);
  return out;
}

export function cast(x, type) {
  if (x.type === type) return x;
  return unary(type === "bool" ? UNARY.toBool : type === "i32" ? UNARY.trunc : UNARY.copy, x, type);
}

function divided(mode, a, b, type) {
  return binary(mode === "floor" ? BINARY.floorDiv : mode === "trunc" ? BINARY.truncDiv : BINARY.div, a, b, type);
}

const apply = (name) => (type, x) => unary(UNARY[name], x, type);
const combine = (name) => (type, a, b) => binary(BINARY[name], a, b, type);

export const ELEMENTWISE = {
  "aten.add.Tensor": (type, a, b, alpha) => binary(BINARY.add, a, scaled(b, alpha, type), type),
  "aten.add.Scalar": (type, a, b, alpha) => binary(BINARY.add, a, b * alpha, type),
  "aten.sub.Tensor": (type, a, b, alpha) => binary(BINARY.sub, a, scaled(b, alpha, type), type),
  "aten.mul.Tensor": combine("mul"),
  "aten.mul.Scalar": combine("mul"),
  "aten.div.Tensor": combine("div"),
  "aten.div.Tensor_mode": (type, a, b, mode) => divided(mode, a, b, type),
  "aten.remainder.Scalar": combine("remainder"),
  "aten.remainder.Tensor": combine("remainder"),
  "aten.fmod.Scalar": combine("fmod"),
  "aten.pow.Tensor_Scalar": (type, a, b) => power(a, b, type),
  "aten.pow.Tensor_Tensor": combine("pow"),
  "aten.pow.Scalar": (type, a, b) => binary(BINARY.pow, asTensor(a, "f32"), b, type),
  "aten.maximum.default": combine("maximum"),
  "aten.minimum.default": combine("minimum"),
  "aten.eq.Tensor": combine("eq"),
  "aten.eq.Scalar": combine("eq"),
  "aten.ne.Tensor": combine("ne"),
  "aten.ne.Scalar": combine("ne"),
  "aten.lt.Tensor": combine("lt"),
  "aten.lt.Scalar": combine("lt"),
  "aten.le.Tensor": combine("le"),
  "aten.le.Scalar": combine("le"),
  "aten.gt.Tensor": combine("gt"),
  "aten.gt.Scalar": combine("gt"),
  "aten.ge.Tensor": combine("ge"),
  "aten.ge.Scalar": combine("ge"),
  "aten.logical_and.default": combine("and"),
  "aten.logical_or.default": combine("or"),
  "aten.bitwise_and.Tensor": combine("and"),
  "aten.bitwise_or.Tensor": combine("or"),
  "aten.logical_not.default": apply("not"),
  "aten.bitwise_not.default": (type, x) => unary(type === "bool" ? UNARY.not : UNARY.invert, x, type),
  "aten.neg.default": apply("neg"),
  "aten.abs.default": apply("abs"),
  "aten.exp.default": apply("exp"),
  "aten.expm1.default": apply("expm1"),
  "aten.log.default": apply("log"),
  "aten.log1p.default": apply("log1p"),
  "aten.sqrt.default": apply("sqrt"),
  "aten.rsqrt.default": apply("rsqrt"),
  "aten.reciprocal.default": apply("reciprocal"),
  "aten.cos.default": apply("cos"),
  "aten.sin.default": apply("sin"),
  "aten.tanh.default": apply("tanh"),
  "aten.sigmoid.default": apply("sigmoid"),
  "aten.relu.default": apply("relu"),
  "aten.erf.default": apply("erf"),
  "aten.floor.default": apply("floor"),
  "aten.ceil.default": apply("ceil"),
  "aten.trunc.default": apply("trunc"),
  "aten.round.default": apply("round"),
  "aten.sign.default": apply("sign"),
  "aten.isinf.default": apply("isinf"),
  "aten.isnan.default": apply("isnan"),
  "aten.gelu.default": (type, x, form) => unary(form === "tanh" ? UNARY.geluTanh : UNARY.gelu, x, type),
  "aten.leaky_relu.default": (type, x, slope) => leakyRelu(x, slope, type),
  "aten.elu.default": (type, x, alpha) => elu(x, alpha, type),
  "aten.clamp.default": (type, x, low, high) => clamp(x, low, high, type),
  "aten.hardtanh.default": (type, x, low, high) => clamp(x, low, high, type),
  "aten.where.self": (type, condition, a, b) => where(condition, a, b, type),
  "aten._to_copy.default": (type, x) => cast(x, type),
  "aten.clone.default": (type, x) => x,
};
