// A container of graphs (its format is described in graph.py) and the interpreter that runs them.

import { ELEMENTWISE } from "./elementwise.js";
import { PRODUCTS, markConstant } from "./products.js";
import { REDUCING } from "./reductions.js";
import { SHAPING } from "./shapes.js";
import { ARRAYS, Tensor, sizeOf } from "./tensor.js";

export const OPERATORS = { ...ELEMENTWISE, ...SHAPING, ...REDUCING, ...PRODUCTS };

const FORMAT = 1;
const BLOCK = 32; // values of q8_0 that share a scale
const NUMBERS = { Infinity, "-Infinity": -Infinity, NaN };

// A 16-bit float (IEEE 754, binary16).
export function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

let halves = null;

// All 16-bit floats, by their bits.
function tableOfHalves() {
  halves ??= Float32Array.from({ length: 1 << 16 }, (_, bits) => fromHalf(bits));
  return halves;
}

// A tensor of the container. at: its first byte in the block.
function stored({ shape, type, at }, block) {
  const size = sizeOf(shape);
  const start = block.byteOffset + at;
  if (type === "f16") {
    const table = tableOfHalves();
    return new Tensor(
      new Float32Array(new Uint16Array(block.buffer, start, size)).map((bits) => table[bits]),
      shape,
    );
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

// The bytes of a base64 text.
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

// Values have a slot in an array instead of a name, which is faster: a step of a decoder is hundreds of small nodes.
class Graph {
  constructor(json, tensors) {
    this.slots = new Map();
    this.inputs = json.inputs.map((name) => this.slotOf(name));
    this.outputs = Object.entries(json.outputs).map(([name, value]) => [name, this.slotOf(value)]);
    this.constants = [];
    const isKnown = new Set();
    for (const [name, index] of Object.entries(json.constants)) {
      const at = this.slotOf(name);
      markConstant((this.constants[at] = tensors(index)));
      isKnown.add(at);
    }
    this.nodes = [];
    for (const [operator, out, type, args] of json.nodes) {
      const run = OPERATORS[operator];
      if (!run) throw new Error(`the operator ${operator} is not supported`);
      const outs = [out].flat().map((name) => (name === null ? -1 : this.slotOf(name)));
      const node = { run, type, hasManyOutputs: Array.isArray(out), outs, args: args.map((value) => this.argument(value)), last: [] };
      // What depends on nothing but constants is computed once.
      if (slotsIn(node.args).every((at) => isKnown.has(at))) {
        runNode(node, this.constants);
        for (const at of outs) if (at >= 0 && this.constants[at] instanceof Tensor) markConstant(this.constants[at]);
        for (const at of outs) isKnown.add(at);
      } else this.nodes.push(node);
    }
    this.findLastUses();
  }

  slotOf(name) {
    if (!this.slots.has(name)) this.slots.set(name, this.slots.size);
    return this.slots.get(name);
  }

  argument(value) {
    if (Array.isArray(value)) {
      const items = value.map((item) => this.argument(item));
      return slotsIn(items).length ? items : new Literal(items.map((item) => item.value));
    }
    if (typeof value === "string" && value.startsWith("%")) return this.slotOf(value);
    return new Literal(typeof value === "string" && value in NUMBERS ? NUMBERS[value] : value);
  }

  // Values are released after the last node that uses them.
  findLastUses() {
    const used = new Set(this.outputs.map(([, at]) => at));
    for (const node of this.nodes.toReversed()) {
      for (const at of slotsIn(node.args)) {
        if (!used.has(at)) node.last.push(at);
        used.add(at);
      }
    }
    this.constants.forEach((_, at) => used.has(at) || (this.constants[at] = undefined));
  }

  // Outputs by name. inputs: tensors in order.
  run(inputs) {
    const values = this.constants.slice();
    this.inputs.forEach((at, i) => (values[at] = inputs[i]));
    for (const node of this.nodes) {
      runNode(node, values);
      for (const at of node.last) values[at] = undefined;
    }
    return Object.fromEntries(this.outputs.map(([name, at]) => [name, values[at]]));
  }
}

// An argument that is not a value of the graph. Other arguments are slots, or arrays of arguments.
class Literal {
  constructor(value) {
    this.value = value;
  }
}

function runNode({ run, type, hasManyOutputs, outs, args }, values) {
  const result = run(type, ...args.map((value) => resolve(value, values)));
  if (hasManyOutputs) outs.forEach((at, i) => at >= 0 && (values[at] = result[i]));
  else values[outs[0]] = result;
}

function slotsIn(value) {
  if (Array.isArray(value)) return value.flatMap(slotsIn);
  return value instanceof Literal ? [] : [value];
}

function resolve(value, values) {
  if (typeof value === "number") return values[value];
  return value instanceof Literal ? value.value : value.map((item) => resolve(item, values));
}

export class Container {
  // json: a container, see graph.py; block: the bytes of its tensors.
  constructor(json, block) {
    if (json.format !== FORMAT) throw new Error(`the format ${json.format} is not supported; this page reads ${FORMAT}`);
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

  // The outputs of a graph, by name.
  run(name, ...inputs) {
    return this.graph(name).run(inputs);
  }
}
