// A WebAssembly module, written byte by byte, with two functions on vectors of four numbers: the inner loops of a matrix product.
//
// product4(a, b, c, blocks, k, panels): A in blocks of 4 rows, each (k, 4); B in panels of 8 columns, each (k, 8); C (4 blocks, 8 panels)
// in row-major order. product1(a, b, c, k, panels): one row of A (k). All arguments are integers; a, b and c are addresses in bytes.

const VOID = 0x40;
const I32 = 0x7f;
const V128 = 0x7b;

function leb(value) {
  const bytes = [];
  for (;;) {
    const low = value & 0x7f;
    value >>= 7;
    if ((value === 0 && !(low & 0x40)) || (value === -1 && low & 0x40)) return [...bytes, low];
    bytes.push(low | 0x80);
  }
}

function unsigned(value) {
  const bytes = [];
  while (value > 0x7f) {
    bytes.push((value & 0x7f) | 0x80);
    value >>>= 7;
  }
  return [...bytes, value];
}

const get = (index) => [0x20, ...unsigned(index)];
const set = (index) => [0x21, ...unsigned(index)];
const number = (value) => [0x41, ...leb(value)];
const ADD = [0x6a];
const SUB = [0x6b];
const MUL = [0x6c];
const loop = (body) => [0x03, VOID, ...body, 0x0b];
const when = (body) => [0x04, VOID, ...body, 0x0b];
const again = [0x0d, 0]; // br_if to the loop's beginning
const load = (offset) => [0xfd, 0x00, 2, ...unsigned(offset)];
const splat = (offset) => [0xfd, 0x09, 2, ...unsigned(offset)];
const store = (offset) => [0xfd, 0x0b, 2, ...unsigned(offset)];
const ZERO = [0xfd, 0x0c, ...new Array(16).fill(0)];
const VADD = [0xfd, 0xe4, 0x01];
const VMUL = [0xfd, 0xe6, 0x01];
const advance = (index, step) => [...get(index), ...number(step), ...ADD, ...set(index)];
const countDown = (index) => [...get(index), ...number(1), ...SUB, 0x22, ...unsigned(index), ...again];

function product4() {
  const [a, b, c, blocks, k, panels] = [0, 1, 2, 3, 4, 5];
  const [pa, pb, pc, i, row, stride, start] = [6, 7, 8, 9, 10, 11, 12];
  const acc = (r, half) => 13 + 2 * r + half;
  const [left, right, value] = [21, 22, 23];
  const rows = [0, 1, 2, 3];
  const step = [
    ...get(pb),
    ...load(0),
    ...set(left),
    ...get(pb),
    ...load(16),
    ...set(right),
    ...rows.flatMap((r) => [
      ...get(pa),
      ...splat(4 * r),
      ...set(value),
      ...get(acc(r, 0)),
      ...get(value),
      ...get(left),
      ...VMUL,
      ...VADD,
      ...set(acc(r, 0)),
      ...get(acc(r, 1)),
      ...get(value),
      ...get(right),
      ...VMUL,
      ...VADD,
      ...set(acc(r, 1)),
    ]),
    ...advance(pa, 16),
    ...advance(pb, 32),
    ...countDown(i),
  ];
  const block = [
    ...rows.flatMap((r) => [...ZERO, ...set(acc(r, 0)), ...ZERO, ...set(acc(r, 1))]),
    ...get(b),
    ...set(pb),
    ...get(k),
    ...set(i),
    ...loop(step),
    ...rows.flatMap((r) => [
      ...get(pc),
      ...get(acc(r, 0)),
      ...store(0),
      ...get(pc),
      ...get(acc(r, 1)),
      ...store(16),
      ...get(pc),
      ...get(stride),
      ...ADD,
      ...set(pc),
    ]),
    ...countDown(row),
  ];
  const body = [
    ...get(panels),
    ...number(32),
    ...MUL,
    ...set(stride),
    ...get(c),
    ...set(start),
    ...loop([
      ...get(a),
      ...set(pa),
      ...get(start),
      ...set(pc),
      ...get(blocks),
      ...set(row),
      ...loop(block),
      ...get(pb),
      ...set(b), // the next panel begins where this one ends
      ...advance(start, 32),
      ...countDown(panels),
    ]),
  ];
  return { body, integers: 7, vectors: 11 };
}

function product1() {
  const [a, b, c, k, panels] = [0, 1, 2, 3, 4];
  const [pa, i] = [5, 6];
  const acc = [7, 8, 9, 10]; // two steps side by side, since an addition waits for the one before
  const value = 11;
  const part = (offset, to) => [
    ...get(pa),
    ...splat(offset),
    ...set(value),
    ...get(to[0]),
    ...get(value),
    ...get(b),
    ...load(8 * offset),
    ...VMUL,
    ...VADD,
    ...set(to[0]),
    ...get(to[1]),
    ...get(value),
    ...get(b),
    ...load(8 * offset + 16),
    ...VMUL,
    ...VADD,
    ...set(to[1]),
  ];
  const pair = [...part(0, acc.slice(0, 2)), ...part(4, acc.slice(2)), ...advance(pa, 8), ...advance(b, 64), ...countDown(i)];
  const odd = [...part(0, acc.slice(0, 2)), ...advance(b, 32)];
  const body = loop([
    ...get(a),
    ...set(pa),
    ...acc.flatMap((index) => [...ZERO, ...set(index)]),
    ...get(k),
    ...number(1),
    0x76,
    ...set(i), // half of k
    ...get(i),
    ...when(loop(pair)),
    ...get(k),
    ...number(1),
    0x71,
    ...when(odd),
    ...get(c),
    ...get(acc[0]),
    ...get(acc[2]),
    ...VADD,
    ...store(0),
    ...get(c),
    ...get(acc[1]),
    ...get(acc[3]),
    ...VADD,
    ...store(16),
    ...advance(c, 32),
    ...countDown(panels),
  ]);
  return { body, integers: 2, vectors: 5 };
}

const section = (id, bytes) => [id, ...unsigned(bytes.length), ...bytes];
const text = (word) => [...unsigned(word.length), ...[...word].map((letter) => letter.charCodeAt(0))];

function code({ body, integers, vectors }) {
  const bytes = [2, ...unsigned(integers), I32, ...unsigned(vectors), V128, ...body, 0x0b];
  return [...unsigned(bytes.length), ...bytes];
}

export function moduleBytes() {
  const type = (parameters) => [0x60, ...unsigned(parameters), ...new Array(parameters).fill(I32), 0];
  return new Uint8Array([
    0x00,
    0x61,
    0x73,
    0x6d,
    1,
    0,
    0,
    0,
    ...section(1, [2, ...type(6), ...type(5)]),
    ...section(2, [1, ...text("env"), ...text("memory"), 2, 0, 1]),
    ...section(3, [2, 0, 1]),
    ...section(7, [2, ...text("product4"), 0, 0, ...text("product1"), 0, 1]),
    ...section(10, [2, ...code(product4()), ...code(product1())]),
  ]);
}
