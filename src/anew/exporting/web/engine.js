// What a page asks for: samples with their drafts, what may come next in a text, walks. It answers by messages, and stops between drafts.

import { Container, fromBase64 } from "./graph.js";
import { kernelName } from "./kernels.js";
import { Random } from "./random.js";
import { Sampler } from "./sampler.js";
import { waveOf } from "./sound.js";
import { Tensor } from "./tensor.js";
import { makeTokenizer } from "./tokenizer.js";
import { TokenStream, filtered } from "./tokens.js";

const MOST_AT_ONCE = 4; // samples that form side by side
const SHOWN_TOKENS = 20; // of those that may come next

const LONGEST_BREATH = 30; // milliseconds of work after which messages are looked at

let lastBreath = 0;

// Lets messages in, now and then: each time costs some milliseconds.
async function breath() {
  if (Date.now() - lastBreath < LONGEST_BREATH) return;
  await new Promise((resolve) => setTimeout(resolve));
  lastBreath = Date.now();
}

export class Engine {
  // program: JSON of the page; tensors: its block in base64.
  constructor(program, tensors) {
    this.program = program;
    this.container = new Container(program.container, fromBase64(tensors));
    this.sampler = new Sampler(program, this.container);
    this.item = program.item;
    this.tokenizer = this.item.kind === "text" ? makeTokenizer(this.item.tokenizer) : null;
    this.step = program.steps.find((step) => step.step === "tokens") ?? null;
    this.cancelled = new Set();
    this.stream = null;
  }

  cancel(id) {
    this.cancelled.add(id);
  }

  // Runs a request {id, what, ...}; `answer` is called with what is there so far, and the promise holds the last answer.
  async handle(request, answer) {
    const method = { load: "load", sample: "sample", next: "next", walk: "walk" }[request.what];
    if (!method) throw new Error(`nobody can ${request.what}`);
    return this[method](request, answer);
  }

  async load() {
    for (const name of Object.keys(this.program.container.graphs)) this.container.graph(name);
    return { kernel: kernelName() };
  }

  // Samples one after another, the first alone so that it is there soon. n, seed, label, index of the first; prompt and settings of texts.
  async sample({ id, n, seed, index = 0, label = null, prompt = "", settings = {}, fill = null, known = null }, answer) {
    const prefix = this.tokenizer ? this.promptIds(prompt) : [];
    let made = 0;
    while (made < n && !this.cancelled.has(id)) {
      const count = Math.min(made === 0 ? 1 : MOST_AT_ONCE, n - made);
      const options = { n: count, seed, index: index + made, label, fill, tokens: { prompt: prefix, ...settings } };
      if (known) options.known = tensorsOf(known);
      let shownAt = 0;
      for (const draft of this.sampler.sample(options)) {
        if (this.cancelled.has(id)) break;
        const now = Date.now();
        if (draft.isLast || now - shownAt > 60) {
          answer({ index: made, items: this.items(draft), isLast: draft.isLast, progress: draft.progress });
          shownAt = now;
        }
        await breath();
      }
      made += count;
    }
    this.cancelled.delete(id);
    return { made };
  }

  // The items of a draft: texts, or arrays of numbers.
  items({ x, isLast }) {
    if (this.tokenizer) return x.rows.map((ids) => ({ text: this.text(ids) }));
    if (!(x instanceof Tensor)) return [];
    const shape = x.shape.slice(1);
    const values = x.values();
    const size = values.length / x.shape[0];
    return Array.from({ length: x.shape[0] }, (_, row) => {
      const item = { shape, values: values.slice(row * size, (row + 1) * size) };
      if (isLast && this.item.kind === "sound") item.wave = waveOf(item.values, this.item);
      return item;
    });
  }

  promptIds(prompt) {
    const clean = this.item.upper ? prompt.toUpperCase() : prompt;
    return this.tokenizer.encode(clean);
  }

  // As the run decodes: what begins is left out, and the first end ends.
  text(ids) {
    const { special, tokenizer } = this.item;
    const size = tokenizer.size;
    let start = 0;
    while (start < ids.length && (ids[start] === special.begin || (ids[start] === special.end && special.begin === undefined))) start++;
    const end = special.end === undefined ? -1 : ids.indexOf(special.end, start);
    return this.tokenizer.decode(ids.slice(start, end < 0 ? undefined : end).filter((id) => id < size));
  }

  // The tokens that may follow a text, the most probable first, and by what they are drawn at these settings.
  async next({ prompt, label = null, settings = {} }) {
    const { step } = this;
    const ids = this.promptIds(prompt);
    const rows = [step.begin === null ? ids : [step.begin, ...ids]];
    const names = this.program.labels;
    const labels = names ? [label ?? 0] : null;
    let probabilities;
    if (!rows[0].length) {
      probabilities = Float64Array.from(step.first);
    } else {
      const logits = this.streamOf(rows, labels).next(rows).logits.values().slice(0, step.vocab);
      probabilities = filtered(logits, { ...step, temperature: 1, top_k: 0, top_p: 1, min_p: 0 });
    }
    const logits = probabilities.map((p) => Math.log(Math.max(p, 1e-30)));
    const drawnBy = filtered(logits, { ...step, ...settings });
    const order = Array.from(probabilities.keys()).sort((a, b) => probabilities[b] - probabilities[a]);
    const tokens = order.slice(0, SHOWN_TOKENS).map((token) => ({
      id: token,
      piece: token === this.item.special.end ? null : this.tokenizer.piece(token),
      probability: probabilities[token],
      share: drawnBy[token],
    }));
    return { tokens };
  }

  // A cache that has read all but the last of these ids: the one that is there, where they go on from it.
  streamOf(rows, labels) {
    const before = this.stream;
    const ids = rows[0];
    const goesOn =
      before && before.label === labels?.[0] && before.ids.length === ids.length - 1 && before.ids.every((id, i) => id === ids[i]);
    const stream = goesOn ? before.stream : new TokenStream(this.container, this.step, 1, labels);
    this.stream = { stream, ids, label: labels?.[0] };
    return stream;
  }

  // Samples between two of them: their normal numbers go along a great circle, whatever is chosen stays that of the first.
  async walk({ id, from, to, frames, seed, label = null, fractions = null }, answer) {
    const ends = [from, to].map((index) => this.noises(seed, index, label));
    const shares = fractions ?? Array.from({ length: frames }, (_, i) => i / (frames - 1));
    for (const [place, share] of shares.entries()) {
      if (this.cancelled.has(id)) break;
      const known = { ...ends[0].known };
      for (const name of ends[0].normals) known[name] = between(ends[0].known[name], ends[1].known[name], share);
      let last = null;
      for (const draft of this.sampler.sample({ n: 1, seed, index: from, label, known })) {
        last = draft;
        if (this.cancelled.has(id)) break;
      }
      answer({ place, items: this.items(last), isLast: true, progress: (place + 1) / shares.length });
      await breath();
    }
    this.cancelled.delete(id);
    return {};
  }

  // The values that sampling draws for a sample before any network runs, by name.
  noises(seed, index, label) {
    const sources = [new Random(seed, index)];
    const { labels, steps } = this.program;
    const values = {};
    if (labels) values.classes = [label ?? drawnLabel(labels.shares, sources[0].uniform())];
    const normals = [];
    for (const step of steps) {
      if (step.step === "normal") normals.push(step.out);
      if (["normal", "choose", "label"].includes(step.step)) values[step.out] = this.sampler[step.step](step, { n: 1, sources, values });
    }
    return { known: values, normals };
  }
}

function drawnLabel(shares, uniform) {
  const total = shares.reduce((a, b) => a + b, 0);
  let sum = 0;
  for (let i = 0; i < shares.length; i++) {
    sum += shares[i];
    if (sum > uniform * total) return i;
  }
  return shares.length - 1;
}

function between(a, b, share) {
  const [x, y] = [a.values(), b.values()];
  let [dot, xx, yy] = [0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    dot += x[i] * y[i];
    xx += x[i] * x[i];
    yy += y[i] * y[i];
  }
  const angle = Math.acos(Math.min(1, Math.max(-1, dot / Math.sqrt(xx * yy || 1))));
  const [p, q] = angle < 1e-4 ? [1 - share, share] : [Math.sin((1 - share) * angle) / Math.sin(angle), Math.sin(share * angle) / Math.sin(angle)];
  return new Tensor(Float32Array.from(x, (value, i) => p * value + q * y[i]), a.shape);
}

function tensorsOf(known) {
  return Object.fromEntries(
    Object.entries(known).map(([name, value]) => [name, value.shape ? Tensor.from(value.type, value.shape, value.values) : value]),
  );
}
