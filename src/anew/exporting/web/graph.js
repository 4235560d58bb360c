// A container of graphs (its format is described in graph.py) and the interpreter that runs them.

import { ELEMENTWISE } from "./elementwise.js";
import { PRODUCTS, markConstant } from "./products.js";
import { REDUCING } from "./reducing.js";
import { SHAPING } from "./shaping.js";
import { ARRAYS, Tensor, sizeOf } from "./tensor.js";

export const OPERATORS = { ...ELEMENTWISE, ...SHAPING, ...REDUCING, ...PRODUCTS };

const FORMAT = 1;
const BLOCK = 32; // values of q8_0 that share a scale
const NUMBERS = { Infinity, "-Infinity": -Infinity, NaN };

// A number of 16 bits (IEEE 754, binary16).
export function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

let halves = null;

function tableOfHalves() {
  halves ??= Float32Array.from({ length: 1 << 16 }, (_, bits) => fromHalf(bits));
  return halves;
}

function stored({ shape, type, at }, block) {
  const size = sizeOf(shape);
  const start = block.byteOffset + at;
  if (type === "f16") {
    const table = tableOfHalves();
    return new Tensor(new Float32Array(new Uint16Array(block.buffer, start, size)).map((bits) => table[bits]), shape);
  }
  if (type === "q8_0") {
    const table = tableOfHalves();
    const out = Tensor.empty("f32", shape);
    const bytes = new Int8Array(block.buffer, start);
    const view = new DataView(block.buffer, start);
    for (let i = 0; i < size; i++) {
      const from = Math.floor(i / BLOCK) * (BLOCK + 2);
      out.data[i] = table[view.getUint16(from, true)] * bytes[from + 2 + (i % BLOCK)];
    }
    return out;
  }
  const Values = ARRAYS[type];
  return new Tensor(new Values(block.buffer.slice(start, start + size * Values.BYTES_PER_ELEMENT)), shape);
}

// The bytes of a text in base64.
export function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const out = new Uint8Array(Math.floor((text.length * 3) / 4) - (text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0));
  const piece = 1 << 16; // a multiple of 4
  for (let from = 0, to = 0; from < text.length; from += piece) {
    const letters = atob(text.slice(from, from + piece));
    for (let i = 0; i < letters.length; i++) out[to++] = letters.charCodeAt(i);
  }
  return out;
}

class Graph {
  constructor(json, tensors) {
    this.inputs = json.inputs;
    this.outputs = json.outputs;
    const known = new Map(Object.entries(json.constants).map(([name, index]) => [name, tensors(index)]));
    for (const tensor of known.values()) markConstant(tensor);
    this.constants = known;
    this.nodes = [];
    for (const [operator, out, type, args] of json.nodes) {
      const run = OPERATORS[operator];
      if (!run) throw new Error(`the operator ${operator} is not known`);
      const node = { run, operator, out, type, args: args.map(argument), last: [] };
      // What depends on nothing but constants is computed once.
      if (namesIn(node.args).every((name) => known.has(name))) {
        this.keep(node, known);
        for (const name of [out].flat()) if (name !== null && known.get(name) instanceof Tensor) markConstant(known.get(name));
      } else this.nodes.push(node);
    }
    this.findLastUses();
  }

  keep(node, values) {
    const result = node.run(node.type, ...node.args.map((value) => resolved(value, values)));
    if (Array.isArray(node.out)) node.out.forEach((name, i) => name !== null && values.set(name, result[i]));
    else values.set(node.out, result);
  }

  // Values are let go behind the last node that uses them.
  findLastUses() {
    const needed = new Set(Object.values(this.outputs));
    const used = new Set(needed);
    for (const node of this.nodes.toReversed()) {
      for (const name of namesIn(node.args)) {
        if (!used.has(name)) node.last.push(name);
        used.add(name);
      }
    }
    for (const name of this.constants.keys()) if (!used.has(name)) this.constants.delete(name);
  }

  // inputs: tensors in order. Gives tensors by the names of the outputs.
  run(inputs) {
    const values = new Map(this.constants);
    this.inputs.forEach((name, i) => values.set(name, inputs[i]));
    for (const node of this.nodes) {
      this.keep(node, values);
      for (const name of node.last) values.delete(name);
    }
    return Object.fromEntries(Object.entries(this.outputs).map(([name, value]) => [name, values.get(value)]));
  }
}

function argument(value) {
  if (Array.isArray(value)) return value.map(argument);
  if (typeof value === "string" && value.startsWith("%")) return { name: value };
  if (typeof value === "string" && value in NUMBERS) return NUMBERS[value];
  return value;
}

function namesIn(value) {
  if (Array.isArray(value)) return value.flatMap(namesIn);
  return value !== null && typeof value === "object" ? [value.name] : [];
}

function resolved(value, values) {
  if (Array.isArray(value)) return value.map((item) => resolved(item, values));
  return value !== null && typeof value === "object" ? values.get(value.name) : value;
}

export class Container {
  // json: an object of the format; block: the bytes of its tensors.
  constructor(json, block) {
    if (json.format !== FORMAT) throw new Error(`the format is ${json.format}, and this page reads ${FORMAT}`);
    this.json = json;
    this.block = block.byteOffset % 4 ? block.slice() : block;
    this.tensors = new Map();
    this.graphs = new Map();
  }

  graph(name) {
    if (!this.graphs.has(name)) {
      const tensor = (index) => {
        if (!this.tensors.has(index)) this.tensors.set(index, stored(this.json.tensors[index], this.block));
        return this.tensors.get(index);
      };
      this.graphs.set(name, new Graph(this.json.graphs[name], tensor));
    }
    return this.graphs.get(name);
  }

  // All outputs of a graph.
  run(name, ...inputs) {
    return this.graph(name).run(inputs);
  }
}
