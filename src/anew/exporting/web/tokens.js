// Tokens one after another: what a network expects next, and how one of it is taken.

import { Tensor } from "./tensor.js";

// Weights after temperature, top-k, min-p and top-p; the most probable token always stays. They sum to 1. settings: as the step has them.
export function filtered(logits, settings) {
  const weights = new Float64Array(logits);
  let most = -Infinity;
  for (let i = 0; i < weights.length; i++) if (weights[i] > most) most = weights[i];
  for (let i = 0; i < weights.length; i++) weights[i] = Math.exp(weights[i] - most);
  for (const id of settings.never) weights[id] = 0;
  normalise(weights);
  let best = 0;
  for (let i = 1; i < weights.length; i++) if (weights[i] > weights[best]) best = i;
  if (settings.temperature === 0) return weights.fill(0).fill(1, best, best + 1);
  if (settings.temperature !== 1) {
    const top = weights[best];
    for (let i = 0; i < weights.length; i++) weights[i] = Math.max(weights[i] / top, 1e-38) ** (1 / settings.temperature);
    for (const id of settings.never) weights[id] = 0;
  }
  const top = weights[best];
  let bound = settings.min_p * top;
  if (settings.top_k > 0 && settings.top_k < weights.length) {
    bound = Math.max(bound, Float64Array.from(weights).sort()[weights.length - settings.top_k]);
  }
  for (let i = 0; i < weights.length; i++) if (weights[i] < bound) weights[i] = 0;
  if (settings.top_p < 1) cutTail(weights, Math.max(settings.top_p, 1e-9));
  return normalise(weights);
}

function cutTail(weights, share) {
  const order = Array.from(weights.keys()).sort((a, b) => weights[b] - weights[a] || a - b);
  const total = weights.reduce((a, b) => a + b, 0);
  let before = 0;
  for (const id of order) {
    const weight = weights[id];
    if (before / total >= share) weights[id] = 0;
    before += weight;
  }
}

function normalise(weights) {
  let total = 0;
  for (let i = 0; i < weights.length; i++) total += weights[i];
  total = Math.max(total, 1e-30);
  for (let i = 0; i < weights.length; i++) weights[i] /= total;
  return weights;
}

// The first index whose cumulated weight exceeds the uniform number.
export function drawn(weights, uniform) {
  let total = 0;
  for (const weight of weights) total += weight;
  let sum = 0;
  let last = 0;
  for (let i = 0; i < weights.length; i++) {
    if (weights[i] > 0) last = i;
    sum += weights[i];
    if (sum > uniform * total) return i;
  }
  return last;
}

// n texts that grow together: the network's cache, which starts again from the later half of a full window.
export class TokenStream {
  // step: of the kind `tokens`; labels: a class for each text, or null.
  constructor(container, step, n, labels) {
    this.container = container;
    this.step = step;
    this.n = n;
    this.prefix = step.label_base === null ? [] : labels.map((label) => step.label_base + label);
    this.keep = step.window;
    this.read = null; // ids in the cache, for each text
  }

  clearCache() {
    const [layers, heads, size] = this.step.cache;
    this.cache = [0, 1].map(() => Tensor.empty("f32", [layers, this.n, heads, 0, size]));
  }

  // The outputs of another graph that reads whole texts, which no cache holds.
  look(rows, graph) {
    this.clearCache();
    const fed = rows.map((ids, row) => [...this.prefix.slice(row, row + 1), ...ids]);
    return this.container.run(graph, ...this.inputs(fed, 0));
  }

  inputs(fed, start) {
    const length = fed[0].length - start;
    const ids = Tensor.from("i32", [this.n, length], fed.flatMap((row) => row.slice(start)));
    const positions = Tensor.from("i32", [length], Array.from({ length }, (_, i) => start + i));
    const inputs = [ids, positions, ...this.cache];
    if (this.step.offsets.length) inputs.push(this.neighbours(fed, start, length));
    return inputs;
  }

  // rows: all ids of each text, one more than last time. Gives the outputs of the graph for the token behind them.
  next(rows, graph = this.step.graph) {
    const { step } = this;
    let fed;
    let start = 0;
    if (this.read === null || this.read[0].length >= step.context) {
      fed = rows.map((ids, row) => [...this.prefix.slice(row, row + 1), ...ids.slice(-this.keep)]);
      this.keep = Math.max(1, Math.floor(step.window / 2));
      this.clearCache();
    } else {
      fed = this.read.map((ids, row) => [...ids, rows[row].at(-1)]);
      start = this.read[0].length;
    }
    const outputs = this.container.run(graph, ...this.inputs(fed, start));
    this.cache = [outputs.all_keys, outputs.all_values];
    this.read = fed;
    return outputs;
  }

  neighbours(fed, start, length) {
    const { offsets, prefix } = this.step;
    const place = (position, offset) => Math.min(Math.max(position + 1 - offset, prefix - 1), position);
    const values = fed.flatMap((row) => offsets.flatMap((offset) => Array.from({ length }, (_, i) => row[place(start + i, offset)])));
    return Tensor.from("i32", [this.n, offsets.length, length], values);
  }
}

// Ids of n texts as they grow: yields {rows, logits}. sources: random numbers of each; settings: in place of those of the step.
export function* grow(container, step, { sources, labels = null, prompt = [], settings = {}, uniforms = null }) {
  const chosen = { ...step, ...settings };
  const n = sources.length;
  const hidden = step.begin === null ? 0 : 1;
  let turn = 0;
  const uniform = (row) => (uniforms ? uniforms[turn][row] : sources[row].uniform());
  let rows = sources.map(() => [...prompt]);
  if (hidden) rows = rows.map((ids) => [step.begin, ...ids]);
  else if (!prompt.length) {
    const weights = Float64Array.from(step.first);
    for (const id of step.never) weights[id] = 0;
    rows = rows.map((_, row) => [drawn(weights, uniform(row))]);
    turn++;
  }
  const stream = new TokenStream(container, step, n, labels);
  const hasEnded = new Array(n).fill(false);
  const most = step.packed ? chosen.new : Math.max(1, Math.min(chosen.new, step.new + 1 - rows[0].length));
  for (let count = 0; count < most; count++, turn++) {
    const { logits } = stream.next(rows);
    const values = logits.values();
    const vocab = logits.shape[1];
    rows = rows.map((ids, row) => {
      const weights = filtered(values.subarray(row * vocab, row * vocab + step.vocab), chosen);
      const id = drawn(weights, uniform(row));
      const taken = hasEnded[row] ? step.pad : id;
      if (step.end !== null && taken === step.end) hasEnded[row] = true;
      return [...ids, taken];
    });
    yield { rows: rows.map((ids) => ids.slice(hidden)), logits };
    if (step.end !== null && hasEnded.every(Boolean)) return;
  }
}
