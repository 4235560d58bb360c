// Tokens one after another: the network's logits, and the choice of the next token.

import { Tensor } from "./tensor.js";

const MIN_WEIGHT = 1e-30; // of all allowed tokens together, from which they are drawn by their own weights, as in the run
// Tokens of a prompt under all classes together, of which the last are read, and those of each class at least; tokens that are read at once
const [MAX_CLASS_TOKENS, MIN_CLASS_TOKENS, TOKENS_AT_ONCE] = [4096, 16, 2048];

// Which tokens may follow a text: none that is never sampled, and none that would break a character of UTF-8.
export class NextTokens {
  // ids: those so far; isPassage: whether they are an opening, after which the end token would make an empty sample.
  constructor(step, ids = [], isPassage = false) {
    this.never = step.never;
    this.table = step.characters;
    this.state = 0; // of the bytes so far; 0 after a whole character
    for (const id of ids.slice(-3)) this.read(id);
    this.notNext = isPassage && step.end !== null ? [step.end] : [];
  }

  // A token that may not come is read as if the text began with it.
  read(id) {
    this.notNext = [];
    if (!this.table) return;
    const column = this.table.columns[this.table.kinds[id]];
    this.state = column[this.state] >= 0 ? column[this.state] : Math.max(column[0], 0);
  }

  // Set the weights of all other tokens to 0. numAfter: how many tokens can come after this one.
  keep(weights, numAfter = 3) {
    for (const id of [...this.never, ...this.notNext]) weights[id] = 0;
    if (!this.table) return;
    const { kinds, columns, to_end } = this.table;
    const mayCome = columns.map((column) => column[this.state] >= 0 && to_end[column[this.state]] <= Math.min(numAfter, 3));
    for (let id = 0; id < weights.length; id++) if (!mayCome[kinds[id]]) weights[id] = 0;
  }
}

// The shares of the allowed tokens; equal ones where a network is so sure of other tokens that all of these have 0.
function allowedShares(weights, following, numAfter = 3) {
  following.keep(weights, numAfter);
  if (sumOf(weights) < MIN_WEIGHT) following.keep(weights.fill(1), numAfter);
  return normalise(weights);
}

// Probabilities after temperature, top-k, min-p and top-p; the most probable of the allowed tokens always stays. settings: as in the
// step; following: the `NextTokens`.
export function filtered(logits, settings, following = new NextTokens(settings), numAfter = 3) {
  const weights = new Float64Array(logits);
  let highest = -Infinity;
  for (let i = 0; i < weights.length; i++) if (weights[i] > highest) highest = weights[i];
  for (let i = 0; i < weights.length; i++) weights[i] = Math.exp(weights[i] - highest);
  allowedShares(weights, following, numAfter);
  let best = 0;
  for (let i = 1; i < weights.length; i++) if (weights[i] > weights[best]) best = i;
  if (settings.temperature === 0) return weights.fill(0).fill(1, best, best + 1);
  if (settings.temperature !== 1) {
    const top = weights[best];
    for (let i = 0; i < weights.length; i++) weights[i] = (weights[i] / top) ** (1 / settings.temperature);
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
  const total = sumOf(weights);
  let before = 0;
  for (const id of order) {
    const weight = weights[id];
    if (before / total >= share) weights[id] = 0;
    before += weight;
  }
}

function sumOf(weights) {
  let total = 0;
  for (let i = 0; i < weights.length; i++) total += weights[i];
  return total;
}

function normalise(weights) {
  const total = sumOf(weights);
  for (let i = 0; i < weights.length; i++) weights[i] /= total;
  return weights;
}

// The first index whose cumulative share exceeds the uniform number.
export function drawIndex(weights, uniform) {
  const total = sumOf(weights);
  let sum = 0;
  let last = 0;
  for (let i = 0; i < weights.length; i++) {
    if (weights[i] > 0) last = i;
    sum += weights[i];
    if (sum > uniform * total) return i;
  }
  return last;
}

// n texts that grow together, with the network's cache, which starts again from the second half of a full window.
export class TokenStream {
  // step: a step `tokens`; labels: a class for each text, or null.
  constructor(container, step, n, labels) {
    this.container = container;
    this.step = step;
    this.n = n;
    this.prefix = step.label_base === null ? [] : labels.map((label) => step.label_base + label);
    this.numKept = step.window;
    this.read = null; // ids in the cache, of each text
  }

  clearCache() {
    const [layers, heads, size] = this.step.cache;
    this.cache = [0, 1].map(() => Tensor.empty("f32", [layers, this.n, heads, 0, size]));
  }

  // The outputs of another graph, which reads whole texts without a cache.
  readAll(rows, graph) {
    this.clearCache();
    const inputIds = rows.map((ids, row) => [...this.prefix.slice(row, row + 1), ...ids]);
    return this.container.run(graph, ...this.inputs(inputIds, 0));
  }

  inputs(inputIds, start) {
    const length = inputIds[0].length - start;
    const ids = Tensor.from(
      "i32",
      [this.n, length],
      inputIds.flatMap((row) => row.slice(start)),
    );
    const positions = Tensor.from(
      "i32",
      [length],
      Array.from({ length }, (_, i) => start + i),
    );
    const inputs = [ids, positions, ...this.cache];
    if (this.step.offsets.length) inputs.push(this.neighbours(inputIds, start, length));
    return inputs;
  }

  // The outputs of the graph for the next token. rows: all ids of each text, one more than in the last call.
  next(rows, graph = this.step.graph) {
    const { step } = this;
    let inputIds;
    let start = 0;
    if (this.read === null || this.read[0].length >= step.context) {
      inputIds = rows.map((ids, row) => [...this.prefix.slice(row, row + 1), ...ids.slice(-this.numKept)]);
      this.numKept = Math.max(1, Math.floor(step.window / 2));
      this.clearCache();
    } else {
      inputIds = this.read.map((ids, row) => [...ids, rows[row].at(-1)]);
      start = this.read[0].length;
    }
    const outputs = this.container.run(graph, ...this.inputs(inputIds, start));
    this.cache = [outputs.all_keys, outputs.all_values];
    this.read = inputIds;
    return outputs;
  }

  neighbours(inputIds, start, length) {
    const { offsets, prefix } = this.step;
    const earlier = (position, offset) => Math.min(Math.max(position + 1 - offset, prefix - 1), position);
    const values = inputIds.flatMap((row) =>
      offsets.flatMap((offset) => Array.from({ length }, (_, i) => row[earlier(start + i, offset)])),
    );
    return Tensor.from("i32", [this.n, offsets.length, length], values);
  }
}

// How likely each class is of a text that begins with these ids, by the network alone. shares: those of the classes in the data.
export function classShares(container, step, shares, prompt) {
  const ids = [...(step.begin === null ? [] : [step.begin]), ...prompt];
  const room = Math.max(Math.floor(MAX_CLASS_TOKENS / shares.length), MIN_CLASS_TOKENS);
  const window = ids.slice(-Math.min(step.window, room) - 1);
  const targets = window.slice(1);
  const logShares = shares.map(Math.log);
  if (!targets.length) return shares;
  const present = Array.from(shares.keys()).filter((label) => shares[label] > 0);
  const count = Math.max(1, Math.floor(TOKENS_AT_ONCE / targets.length));
  for (let first = 0; first < present.length; first += count) {
    const labels = present.slice(first, first + count);
    const stream = new TokenStream(container, step, labels.length, labels);
    const { logits } = stream.readAll(
      labels.map(() => window.slice(0, -1)),
      "inside",
    );
    const [, length, vocab] = logits.shape;
    labels.forEach((label, row) => {
      targets.forEach((target, i) => {
        const start = (row * length + length - targets.length + i) * vocab;
        logShares[label] += logProbability(logits.values().subarray(start, start + step.vocab), target);
      });
    });
  }
  const highest = Math.max(...logShares);
  return normalise(Float64Array.from(logShares, (value) => Math.exp(value - highest)));
}

function logProbability(logits, id) {
  const highest = logits.reduce((best, value) => Math.max(best, value), -Infinity);
  return logits[id] - highest - Math.log(logits.reduce((sum, value) => sum + Math.exp(value - highest), 0));
}

// The ids before a text that are not shown. prompt: its first ids.
export function hiddenIds(step, prompt) {
  if (step.opening.length && !prompt.length) return step.opening;
  return step.begin === null ? [] : [step.begin];
}

// Yields {rows, logits}, the ids of n texts as they grow. sources: random numbers of each; settings: replace those of the step.
export function* grow(container, step, { sources, labels = null, prompt = [], settings = {}, uniforms = null }) {
  const applied = { ...step, ...settings };
  const n = sources.length;
  const hidden = hiddenIds(step, prompt);
  let position = 0;
  const uniform = (row) => (uniforms ? uniforms[position][row] : sources[row].uniform());
  let rows = sources.map(() => [...prompt]);
  if (hidden.length) rows = rows.map((ids) => [...hidden, ...ids]);
  else if (!prompt.length) {
    const weights = allowedShares(Float64Array.from(step.first), new NextTokens(step));
    rows = rows.map((_, row) => [drawIndex(weights, uniform(row))]);
    position++;
  }
  const stream = new TokenStream(container, step, n, labels);
  const hasEnded = new Array(n).fill(false);
  const following = rows.map((ids) => new NextTokens(step, ids, hidden === step.opening));
  const maxTokens = step.packed ? applied.new : Math.max(1, Math.min(applied.new, step.window + 1 - rows[0].length));
  for (let count = 0; count < maxTokens; count++, position++) {
    const { logits } = stream.next(rows);
    const values = logits.values();
    const vocab = logits.shape[1];
    rows = rows.map((ids, row) => {
      const weights = filtered(values.subarray(row * vocab, row * vocab + step.vocab), applied, following[row], maxTokens - 1 - count);
      const id = drawIndex(weights, uniform(row));
      const taken = hasEnded[row] ? step.pad : id;
      if (step.end !== null && taken === step.end) hasEnded[row] = true;
      following[row].read(taken);
      return [...ids, taken];
    });
    yield { rows: rows.map((ids) => ids.slice(hidden.length)), logits };
    if (step.end !== null && hasEnded.every(Boolean)) return;
  }
}
