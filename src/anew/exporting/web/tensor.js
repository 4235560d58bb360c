// Tensors with strides, as in PyTorch: views share their data, and `contiguous` copies where it must.

export const ARRAYS = { f32: Float32Array, i32: Int32Array, bool: Uint8Array };

export function typeOf(data) {
  return data instanceof Float32Array ? "f32" : data instanceof Int32Array ? "i32" : "bool";
}

export function sizeOf(shape) {
  let size = 1;
  for (const dim of shape) size *= dim;
  return size;
}

export function rowMajor(shape) {
  const strides = new Array(shape.length);
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = step;
    step *= shape[axis];
  }
  return strides;
}

export class Tensor {
  // data: a typed array; shape, strides: one number per axis; offset: of the first value.
  constructor(data, shape, strides = rowMajor(shape), offset = 0) {
    this.data = data;
    this.shape = shape;
    this.strides = strides;
    this.offset = offset;
  }

  static empty(type, shape) {
    return new Tensor(new ARRAYS[type](sizeOf(shape)), shape);
  }

  static full(type, shape, value) {
    const out = Tensor.empty(type, shape);
    if (value !== 0) out.data.fill(value);
    return out;
  }

  static from(type, shape, values) {
    return new Tensor(ARRAYS[type].from(values), shape);
  }

  get type() {
    return typeOf(this.data);
  }

  get size() {
    return sizeOf(this.shape);
  }

  // Whether values are adjacent in memory, in the order of the axes.
  isContiguous() {
    let step = 1;
    for (let axis = this.shape.length - 1; axis >= 0; axis--) {
      if (this.shape[axis] !== 1 && this.strides[axis] !== step) return false;
      step *= this.shape[axis];
    }
    return true;
  }

  contiguous() {
    return this.isContiguous() ? this : copied(this);
  }

  // The values in the order of the axes, as a view of the data or as a copy.
  values() {
    const whole = this.contiguous();
    return whole.data.subarray(whole.offset, whole.offset + whole.size);
  }

  view(shape, strides, offset = this.offset) {
    return new Tensor(this.data, shape, strides, offset);
  }

  permute(axes) {
    return this.view(
      axes.map((axis) => this.shape[axis]),
      axes.map((axis) => this.strides[axis]),
    );
  }

  // The same values in another shape: a view where strides allow it, else a copy.
  reshape(shape) {
    const known = shape.reduce((size, dim) => (dim < 0 ? size : size * dim), 1);
    const whole = shape.map((dim) => (dim < 0 ? this.size / known : dim));
    const strides = viewStrides(this, whole);
    return strides ? this.view(whole, strides) : new Tensor(copied(this).data, whole);
  }

  expand(shape) {
    const missing = shape.length - this.shape.length;
    const whole = shape.map((dim, axis) => (dim < 0 ? this.shape[axis - missing] : dim));
    const strides = whole.map((dim, axis) => {
      const own = axis - missing;
      if (own < 0 || (this.shape[own] === 1 && dim !== 1)) return 0;
      if (this.shape[own] !== dim) throw new Error(`cannot expand ${this.shape} to ${shape}`);
      return this.strides[own];
    });
    return this.view(whole, strides);
  }
}

// Strides of a view in another shape; null where there is none, as axes that merge are not adjacent in memory.
function viewStrides(x, shape) {
  if (x.isContiguous()) return rowMajor(shape);
  const dims = [];
  const steps = [];
  for (let axis = 0; axis < x.shape.length; axis++) {
    if (x.shape[axis] !== 1) {
      dims.push(x.shape[axis]);
      steps.push(x.strides[axis]);
    }
  }
  const strides = new Array(shape.length).fill(0);
  let axis = shape.length - 1;
  for (let own = dims.length - 1; own >= 0; own--) {
    let dim = dims[own];
    let last = own;
    // Merge as many axes as are adjacent, then split the block into the axes of the new shape.
    while (last > 0 && steps[last - 1] === steps[last] * dims[last]) dim *= dims[--last];
    let step = steps[own];
    while (dim > 1) {
      while (axis >= 0 && shape[axis] === 1) axis--;
      if (axis < 0 || dim % shape[axis]) return null;
      strides[axis] = step;
      step *= shape[axis];
      dim /= shape[axis];
      axis--;
    }
    own = last;
  }
  return strides;
}

// Loops over tensors of one shape, in the order of `order`; axes that can be traversed as one are merged.
export function loopsOver(shape, tensors, order) {
  const dims = [];
  const steps = tensors.map(() => []);
  for (const axis of order) {
    const dim = shape[axis];
    if (dim === 1) continue;
    const last = dims.length - 1;
    const joins = last >= 0 && tensors.every((x, i) => steps[i][last] === x.strides[axis] * dim);
    if (joins) {
      dims[last] *= dim;
      tensors.forEach((x, i) => (steps[i][last] = x.strides[axis]));
    } else {
      dims.push(dim);
      tensors.forEach((x, i) => steps[i].push(x.strides[axis]));
    }
  }
  if (!dims.length) {
    dims.push(1);
    steps.forEach((s) => s.push(0));
  }
  return { dims, steps };
}

// Call `row(offsets, n)` for each innermost loop of n values. The array `offsets` is reused.
export function eachRow({ dims, steps }, offsets, row) {
  const depth = dims.length - 1;
  const inner = dims[depth];
  const counter = new Array(depth).fill(0);
  const now = offsets.slice();
  if (dims.some((dim) => dim === 0)) return;
  for (;;) {
    row(now, inner);
    let axis = depth - 1;
    for (; axis >= 0; axis--) {
      counter[axis]++;
      for (let i = 0; i < now.length; i++) now[i] += steps[i][axis];
      if (counter[axis] < dims[axis]) break;
      for (let i = 0; i < now.length; i++) now[i] -= steps[i][axis] * dims[axis];
      counter[axis] = 0;
    }
    if (axis < 0) return;
  }
}

// The axes by falling strides, so that memory is traversed in order.
export function memoryOrder(x) {
  const axes = x.shape.map((_, axis) => axis);
  return axes.sort((a, b) => x.strides[b] - x.strides[a] || a - b);
}

export function copied(x, type = x.type) {
  const out = Tensor.empty(type, x.shape);
  copyInto(out, x);
  return out;
}

// Copy x into `out`, of the same shape.
export function copyInto(out, x) {
  const order = x.shape.map((_, axis) => axis);
  const plan = loopsOver(x.shape, [out, x], order);
  const depth = plan.dims.length - 1;
  const a = plan.steps[0][depth];
  const b = plan.steps[1][depth];
  const to = out.data;
  const from = x.data;
  eachRow(plan, [out.offset, x.offset], (at, n) => {
    let o = at[0];
    let i = at[1];
    if (a === 1 && b === 1 && n > 16 && to.constructor === from.constructor) to.set(from.subarray(i, i + n), o);
    else for (let k = 0; k < n; k++, o += a, i += b) to[o] = from[i];
  });
}

export function broadcastShape(shapes) {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  const out = new Array(rank).fill(1);
  for (const shape of shapes) {
    for (let axis = 0; axis < shape.length; axis++) {
      const at = rank - shape.length + axis;
      if (shape[axis] !== 1) {
        if (out[at] !== 1 && out[at] !== shape[axis]) throw new Error(`shapes ${shapes.join(" and ")} do not fit`);
        out[at] = shape[axis];
      }
    }
  }
  return out;
}

export function wrapAxis(axis, rank) {
  return axis < 0 ? axis + rank : axis;
}
