// Matrix products: in WebAssembly with SIMD where the browser has it, else in plain loops.

import { moduleBytes } from "./assembly.js";

const PANEL_COLUMNS = 8; // columns of a panel
const MAX_BLOCK = 1 << 16; // numbers of A that are multiplied at once, so that they stay in the cache
const PAGE = 1 << 16; // bytes of a page of WebAssembly's memory

// A matrix B (k, n) in panels of 8 columns, the last one padded with zeros. panelData: the panels, or their offset in memory.
class Packed {
  constructor(panelData, k, n) {
    this.panelData = panelData;
    this.k = k;
    this.n = n;
    this.panels = Math.ceil(n / PANEL_COLUMNS);
  }
}

function fillPanels(to, at, k, n, data, offset, rowStep, columnStep) {
  const panels = Math.ceil(n / PANEL_COLUMNS);
  for (let panel = 0; panel < panels; panel++) {
    const columns = Math.min(PANEL_COLUMNS, n - panel * PANEL_COLUMNS);
    let o = at + panel * PANEL_COLUMNS * k;
    let start = offset + panel * PANEL_COLUMNS * columnStep;
    for (let row = 0; row < k; row++, start += rowStep, o += PANEL_COLUMNS) {
      let i = start;
      let column = 0;
      for (; column < columns; column++, i += columnStep) to[o + column] = data[i];
      for (; column < PANEL_COLUMNS; column++) to[o + column] = 0;
    }
  }
}

class SimdKernels {
  constructor() {
    this.memory = new WebAssembly.Memory({ initial: 16 });
    const module = new WebAssembly.Module(moduleBytes());
    this.functions = new WebAssembly.Instance(module, { env: { memory: this.memory } }).exports;
    this.floats = new Float32Array(this.memory.buffer);
    this.end = 0; // numbers that are allocated
    this.scratch = { a: { at: 0, size: 0 }, b: { at: 0, size: 0 }, c: { at: 0, size: 0 } };
  }

  allocate(size) {
    const at = this.end;
    this.end += Math.ceil(size / 4) * 4;
    const missing = this.end * 4 - this.memory.buffer.byteLength;
    if (missing > 0) {
      this.memory.grow(Math.ceil(missing / PAGE) + 64);
      this.floats = new Float32Array(this.memory.buffer);
    }
    return at;
  }

  scratchOf(name, size) {
    const room = this.scratch[name];
    if (room.size < size) this.scratch[name] = { at: this.allocate(size * 1.5), size: size * 1.5 };
    return this.scratch[name].at;
  }

  pack(k, n, data, offset, rowStep, columnStep, keep) {
    const size = Math.ceil(n / PANEL_COLUMNS) * PANEL_COLUMNS * k;
    const at = keep ? this.allocate(size) : this.scratchOf("b", size);
    fillPanels(this.floats, at, k, n, data, offset, rowStep, columnStep);
    return new Packed(at, k, n);
  }

  multiply(m, packed, fillBlock, fillRow, write) {
    const { k, panels, panelData } = packed;
    const width = panels * PANEL_COLUMNS;
    const whole = m - (m % 4);
    const maxRows = Math.max(4, Math.floor(MAX_BLOCK / k / 4) * 4);
    const a = this.scratchOf("a", Math.min(maxRows, Math.max(whole, 4)) * k);
    const c = this.scratchOf("c", Math.min(maxRows, Math.max(whole, 4)) * width);
    for (let start = 0; start < whole; start += maxRows) {
      const rows = Math.min(maxRows, whole - start);
      for (let row = 0; row < rows; row += 4) fillBlock(this.floats, a + row * k, start + row);
      this.functions.product4(a * 4, panelData * 4, c * 4, rows / 4, k, panels);
      for (let row = 0; row < rows; row++) write(this.floats, c + row * width, start + row);
    }
    for (let row = whole; row < m; row++) {
      fillRow(this.floats, a, row);
      this.functions.product1(a * 4, panelData * 4, c * 4, k, panels);
      write(this.floats, c, row);
    }
  }
}

class LoopKernels {
  pack(k, n, data, offset, rowStep, columnStep) {
    const panels = new Float32Array(Math.ceil(n / PANEL_COLUMNS) * PANEL_COLUMNS * k);
    fillPanels(panels, 0, k, n, data, offset, rowStep, columnStep);
    return new Packed(panels, k, n);
  }

  multiply(m, packed, fillBlock, fillRow, write) {
    const { k, panels, panelData } = packed;
    const a = new Float32Array(k);
    const c = new Float32Array(panels * PANEL_COLUMNS);
    for (let row = 0; row < m; row++) {
      fillRow(a, 0, row);
      for (let panel = 0; panel < panels; panel++) multiplyPanel(a, panelData, panel * PANEL_COLUMNS * k, k, c, panel * PANEL_COLUMNS);
      write(c, 0, row);
    }
  }
}

function multiplyPanel(a, b, at, k, c, to) {
  let [c0, c1, c2, c3, c4, c5, c6, c7] = [0, 0, 0, 0, 0, 0, 0, 0];
  for (let i = 0; i < k; i++, at += PANEL_COLUMNS) {
    const x = a[i];
    c0 += x * b[at];
    c1 += x * b[at + 1];
    c2 += x * b[at + 2];
    c3 += x * b[at + 3];
    c4 += x * b[at + 4];
    c5 += x * b[at + 5];
    c6 += x * b[at + 6];
    c7 += x * b[at + 7];
  }
  c[to] = c0;
  c[to + 1] = c1;
  c[to + 2] = c2;
  c[to + 3] = c3;
  c[to + 4] = c4;
  c[to + 5] = c5;
  c[to + 6] = c6;
  c[to + 7] = c7;
}

function best() {
  try {
    return new SimdKernels();
  } catch {
    return new LoopKernels(); // the browser has no SIMD, or the page must not compile
  }
}

let kernels = null;

// Use plain loops, for tests.
export function usePlainLoops(plain = true) {
  kernels = plain ? new LoopKernels() : best();
}

export function kernelName() {
  kernels ??= best();
  return kernels instanceof SimdKernels ? "vectors" : "loops";
}

// B (k, n) laid out for products. keep: whether it is used more than once; otherwise the next one may overwrite it.
export function pack(k, n, data, offset, rowStep, columnStep, keep) {
  kernels ??= best();
  return kernels.pack(k, n, data, offset, rowStep, columnStep, keep);
}

// A (m, k) times a packed matrix.
// fillBlock(to, at, row) writes rows row..row+3 of A as (k, 4), fillRow(to, at, row) one row; write(from, at, row) stores a row of the
// product.
export function multiply(m, packed, fillBlock, fillRow, write) {
  kernels.multiply(m, packed, fillBlock, fillRow, write);
}
