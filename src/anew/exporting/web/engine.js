// Answers the requests of a page: samples with their drafts, next tokens of a text, walks, views of the network. A request can be
// cancelled between drafts.

import { Container, fromBase64 } from "./graph.js";
import { kernelName } from "./kernels.js";
import { matchedFrames } from "./pixel_steps.js";
import { Random } from "./random.js";
import { Sampler } from "./sampler.js";
import { matchedBands } from "./slow_signal.js";
import { cleaned, cutTail, resampled, waveOf } from "./sound.js";
import { Tensor } from "./tensor.js";
import { makeTokenizer } from "./tokenizer.js";
import { NextTokens, TokenStream, drawIndex, filtered, hiddenIds } from "./tokens.js";

const MAX_BATCH = 4; // samples that are drawn at once
const SHOWN_TOKENS = 20; // candidates for the next token
const GIBBS_SWEEPS = 30; // of the Markov chain by which a VAE fills in, as in families/vae/filling.py

const TASKS = ["load", "sample", "next", "walk", "denoise", "inside", "stages", "place"];
const MAX_BUSY_MS = 30; // of work, after which messages are received

let receivedAt = 0;

// Let messages in, such as a cancellation; not at each draft, since it costs some milliseconds.
async function receiveMessages() {
  if (Date.now() - receivedAt < MAX_BUSY_MS) return;
  await new Promise((resolve) => setTimeout(resolve));
  receivedAt = Date.now();
}

export class Engine {
  // program: the page's program; tensors: the block of its container, in base64.
  constructor(program, tensors) {
    this.program = program;
    this.container = new Container(program.container, fromBase64(tensors));
    this.sampler = new Sampler(program, this.container);
    this.item = program.item;
    this.tokenizer = this.item.kind === "text" ? makeTokenizer(this.item.tokenizer) : null;
    this.step = program.steps.find((step) => step.step === "tokens") ?? null;
    this.running = new Set(); // ids of requests that were not cancelled
    this.stream = null;
  }

  cancel(id) {
    this.running.delete(id);
  }

  // Run a request {id, task, ...}. `answer` is called with partial results; the promise resolves to the final one.
  async handle(request, answer) {
    if (!TASKS.includes(request.task)) throw new Error(`unknown task ${request.task}`);
    this.running.add(request.id);
    try {
      return await this[request.task](request, answer);
    } finally {
      this.running.delete(request.id);
    }
  }

  async load() {
    for (const name of Object.keys(this.program.container.graphs)) this.container.graph(name);
    return { kernel: kernelName() };
  }

  // n samples, in batches; the first one alone, so that it shows soon. index: of the first sample; prompt, suffix, settings: of texts. With a
  // suffix, which the text precedes, the answers hold the prompt and the new text. fill: {values, mask, parts, seed, index} of a sample of
  // which a part is given; new samples keep the component that it was drawn from. known: values that are given instead of drawn.
  async sample({ id, n, seed, index = 0, label = null, prompt = "", suffix = "", settings = {}, fill = null, known = null }, answer) {
    if (fill && this.has("fill")) return this.fillIn({ id, seed, index, label, fill }, answer);
    const samplerFill = fill && this.has("encoder") ? this.fillOfLatents(fill) : fill;
    const prefix = this.tokenizer ? this.promptIds(prompt, suffix) : [];
    const before = suffix ? prompt : null;
    let made = 0;
    while (made < n && this.running.has(id)) {
      const count = Math.min(made === 0 ? 1 : MAX_BATCH, n - made);
      const options = { n: count, seed, index: index + made, label, fill: samplerFill, tokens: { prompt: prefix, ...settings } };
      if (known) options.known = tensorsOf(known);
      if (fill) options.known = this.chosen(fill.seed, fill.index, label, count);
      if (fill?.parts)
        options.known.given = Tensor.from("f32", [fill.parts.length], fill.parts).expand([count, fill.parts.length]).contiguous();
      let shownAt = 0;
      let isFinished = false;
      for (const draft of this.sampler.sample(options)) {
        if (!this.running.has(id)) break;
        isFinished = draft.isLast;
        const now = Date.now();
        if (draft.isLast || (!draft.isHidden && now - shownAt > 60)) {
          answer({ index: made, items: this.items(draft, fill, before), isLast: draft.isLast, progress: draft.progress });
          shownAt = now;
        }
        await receiveMessages();
      }
      if (!isFinished) break; // it was cancelled
      made += count;
    }
    return { made };
  }

  has(graph) {
    return graph in this.program.container.graphs;
  }

  // The given part of an item as latents: those whose pixels are all given. The other given pixels are restored after decoding.
  fillOfLatents({ values, mask }) {
    const { latents, kept } = this.encoded({ values, mask });
    const channels = latents.shape[1];
    return { values: latents.values(), mask: Uint8Array.from({ length: channels * kept.length }, (_, i) => kept[i % kept.length]) };
  }

  // An item as latents (1, c, h, w), and (h, w) 1 where all pixels of a latent are given.
  encoded({ values, mask }) {
    const { shape } = this.item;
    const { latents } = this.container.run("encoder", Tensor.from("f32", [1, ...shape], values));
    return { latents, kept: latentMask(mask, shape, latents.shape.slice(2)) };
  }

  // A sample of a VAE of which a part is given: latents and missing pixels are drawn in turn.
  async fillIn({ id, seed, index, label, fill }, answer) {
    const { known } = this.initialDraws(seed, index, label);
    const { shape } = this.item;
    let { x } = [...this.sampler.sample({ n: 1, seed, index, label, known })].at(-1);
    const { latents, kept } = this.encoded(fill);
    const isKept = Tensor.from("f32", [1, 1, ...latents.shape.slice(2)], kept);
    const source = new Random(seed, index + (1 << 20));
    for (let turn = 1; turn <= GIBBS_SWEEPS && this.running.has(id); turn++) {
      const isLast = turn === GIBBS_SWEEPS;
      const whole = x.values().map((value, i) => (fill.mask[i] ? fill.values[i] : value));
      const noise = Float32Array.from({ length: known.noise.data.length }, () => (isLast ? 0 : source.normal()));
      const inputs = [new Tensor(whole, [1, ...shape]), isKept, new Tensor(noise, known.noise.shape), known.deviations];
      x = this.container.run("fill", ...inputs).filled;
      answer({ index: 0, items: this.items({ x, isLast }, fill), isLast, progress: turn / GIBBS_SWEEPS });
      await receiveMessages();
    }
    return { made: 1 };
  }

  // The items of a draft: {text}, or {shape, values}, finished sound also {wave}, and finished slow signals {curve}; with classes {label}.
  items({ x, classes = null, isLast }, fill = null, before = null) {
    const labelled = (item, row) => (classes ? { ...item, label: classes[row] } : item);
    if (this.tokenizer)
      return x.rows.map((ids, row) => labelled({ text: before === null ? this.text(ids) : before + this.middle(ids) }, row));
    if (!(x instanceof Tensor)) return [];
    const shape = x.shape.slice(1);
    const values = x.values();
    const size = values.length / x.shape[0];
    return Array.from({ length: x.shape[0] }, (_, row) => {
      let own = values.slice(row * size, (row + 1) * size);
      if (isLast) own = matchedFrames(own, shape, this.item.matching);
      const kept = (drawn) => (fill ? drawn.map((value, i) => (fill.mask[i] ? fill.values[i] : value)) : drawn);
      const item = { shape, values: kept(own) };
      if (isLast && this.item.kind === "sound") {
        // What was given must not be filtered, so it is put in afterwards
        if (this.item.band_levels) item.curve = kept(matchedBands(cleaned(own), this.item));
        const wave = waveOf(item.values, this.item, item.curve);
        item.wave = resampled(this.item.trim ? cutTail(wave, this.item) : wave, this.item);
      }
      return labelled(item, row);
    });
  }

  // Ids of a prompt. With a suffix, those of fill-in-the-middle as the run lays them out: what does not fit in the window comes first.
  promptIds(prompt, suffix = "") {
    const prefix = this.tokenizer.encode(this.item.upper ? prompt.toUpperCase() : prompt);
    if (!suffix) return prefix;
    const tail = this.tokenizer.encode(suffix);
    const { fim_prefix, fim_suffix, fim_middle } = this.item.special;
    const room = Math.max(Math.floor(this.step.window / 2), 8);
    const half = Math.floor(room / 2);
    const cut = Math.max(prefix.length - Math.max(half, room - tail.length), 0);
    const near = Math.max(half, room - prefix.length);
    const far = [...prefix.slice(0, cut), fim_suffix, ...tail.slice(near)];
    return [...far, fim_prefix, ...prefix.slice(cut), fim_suffix, ...tail.slice(0, near), fim_middle];
  }

  // The text that was drawn between prompt and suffix.
  middle(ids) {
    const drawn = ids.slice(ids.lastIndexOf(this.item.special.fim_middle) + 1);
    const end = drawn.indexOf(this.item.special.end);
    return this.tokenizer.decode((end < 0 ? drawn : drawn.slice(0, end)).filter((id) => id < this.item.tokenizer.size));
  }

  // The text of ids, as the run decodes it: without begin tokens, up to the first end token.
  text(ids) {
    const { special, tokenizer } = this.item;
    const size = tokenizer.size;
    let start = 0;
    while (start < ids.length && (ids[start] === special.begin || (ids[start] === special.end && special.begin === undefined))) start++;
    const end = special.end === undefined ? -1 : ids.indexOf(special.end, start);
    return this.tokenizer.decode(ids.slice(start, end < 0 ? undefined : end).filter((id) => id < size));
  }

  // The class of a text that begins with these ids, null without classes. label: null draws it, as for the first sample of this seed.
  labelOf(label, seed, ids) {
    return this.program.labels && (label ?? drawIndex(this.sampler.classShares(ids), new Random(seed).uniform()));
  }

  // Candidates for the next token, the most probable first: their probability, and their share after the sampling settings. label, seed:
  // as in `labelOf`.
  async next({ prompt, suffix = "", label = null, seed = 0, settings = {} }) {
    const { step } = this;
    const ids = this.promptIds(prompt, suffix);
    const rows = [[...hiddenIds(step, ids), ...ids]];
    const ownLabel = this.labelOf(label, seed, ids);
    const labels = ownLabel === null ? null : [ownLabel];
    let probabilities;
    if (!rows[0].length) {
      probabilities = Float64Array.from(step.first);
    } else {
      const logits = this.streamOf(rows, labels).next(rows).logits.values().slice(0, step.vocab);
      probabilities = filtered(logits, { ...step, temperature: 1, top_k: 0, top_p: 1, min_p: 0, characters: null });
    }
    const logits = probabilities.map((p) => Math.log(p));
    const drawShares = filtered(logits, { ...step, ...settings });
    const order = Array.from(probabilities.keys()).sort((a, b) => probabilities[b] - probabilities[a]);
    const shown = order.filter((token) => drawShares[token] > 0).slice(0, SHOWN_TOKENS);
    const pieces = this.wholePieces(rows[0], shown, labels);
    const tokens = shown.map((token, i) => ({
      id: token,
      piece: token === this.item.special.end ? null : pieces[i],
      probability: probabilities[token],
      share: drawShares[token],
    }));
    return { tokens, label: ownLabel };
  }

  // The text of each of these tokens after ids. One that ends within a character goes on with the most probable tokens to its end.
  wholePieces(ids, tokens, labels) {
    const { step } = this;
    const following = tokens.map((token) => new NextTokens(step, [token]));
    const isOpen = (i) => following[i].state > 0;
    const open = Array.from(tokens.keys()).filter(isOpen);
    const stream = new TokenStream(this.container, step, open.length, labels && open.map(() => labels[0]));
    const rows = open.map((i) => [...ids, tokens[i]]);
    const lengths = tokens.map(() => 1);
    for (let numAfter = 2; open.some(isOpen); numAfter--) {
      const { logits } = stream.next(rows);
      const vocab = logits.shape[1];
      open.forEach((i, row) => {
        const values = logits.values().subarray(row * vocab, row * vocab + step.vocab);
        const best = filtered(values, { ...step, temperature: 0 }, following[i], numAfter).indexOf(1);
        rows[row].push(best);
        if (!isOpen(i)) return;
        lengths[i]++;
        following[i].read(best);
      });
    }
    const whole = new Map(open.map((i, row) => [i, this.tokenizer.decode(rows[row].slice(ids.length, ids.length + lengths[i]))]));
    return tokens.map((token, i) => whole.get(i) ?? this.tokenizer.piece(token));
  }

  // A token stream that has read all but the last of these ids: the previous one if they continue it, else a new one.
  streamOf(rows, labels) {
    const before = this.stream;
    const ids = rows[0];
    const continues =
      before && before.label === labels?.[0] && before.ids.length === ids.length - 1 && before.ids.every((id, i) => id === ids[i]);
    const stream = continues ? before.stream : new TokenStream(this.container, this.step, 1, labels);
    this.stream = { stream, ids, label: labels?.[0] };
    return stream;
  }

  // Samples between two samples: their normal numbers are interpolated spherically, their choices blended.
  async walk({ id, from, to, frames, seed, label = null, fractions = null }, answer) {
    const ends = [from, to].map((index) => this.initialDraws(seed, index, label));
    const shares = fractions ?? Array.from({ length: frames }, (_, i) => i / (frames - 1));
    for (const [frame, share] of shares.entries()) {
      if (!this.running.has(id)) break;
      const { known, blend } = blendedChoices(ends, [1 - share, share]);
      for (const name of ends[0].normals) known[name] = slerp(ends[0].known[name], ends[1].known[name], share);
      let last = null;
      for (const draft of this.sampler.sample({ n: 1, seed, index: from, label, known, blend })) {
        last = draft;
        if (!this.running.has(id)) break;
      }
      answer({ frame, items: this.items(last), isLast: true, progress: (frame + 1) / shares.length });
      await receiveMessages();
    }
    return {};
  }

  // Each step of one sample: the noisy input of the network, and its estimate of the clean sample.
  async denoise({ id, seed, index = 0, label = null }, answer) {
    let frame = 0;
    for (const draft of this.sampler.sample({ n: 1, seed, index, label })) {
      if (draft.isLast || !this.running.has(id)) break;
      if (!draft.noisy) continue;
      const [noisy, clean] = [draft.noisy, draft.estimate].map((x) => this.items({ x, isLast: false })[0]);
      answer({ frame: frame++, noisy, clean, sigma: draft.sigma });
      await receiveMessages();
    }
    return {};
  }

  // The network while it reads a text: attention of each layer and head, the probability of each token, and the most probable next tokens
  // if the network ended after each layer. label, seed: as in `labelOf`.
  async inside({ prompt, label = null, seed = 0, maxTokens = 48 }) {
    const { step } = this;
    const given = this.promptIds(prompt).slice(0, maxTokens);
    const ids = [...hiddenIds(step, given), ...given];
    const ownLabel = this.labelOf(label, seed, given);
    const stream = new TokenStream(this.container, step, 1, ownLabel === null ? null : [ownLabel]);
    const skip = stream.prefix.length;
    const { attention, lens, logits } = stream.readAll([ids], "inside");
    const [layers, , heads, length] = attention.shape;
    const vocab = logits.shape[2];
    const all = logits.values();
    const probabilities = ids.map((token, i) =>
      i === 0 ? null : this.shares(all.subarray((i - 1 + skip) * vocab, (i + skip) * vocab))[token],
    );
    const states = lens.shape[0];
    const forming = Array.from({ length: states }, (_, state) =>
      this.topOf(this.shares(lens.values().subarray(state * vocab, (state + 1) * vocab)), 4),
    );
    const pieces = [...stream.prefix.map(() => null), ...ids].map((token) =>
      token === null || token >= this.item.tokenizer.size ? null : this.tokenizer.piece(token),
    );
    return {
      label: ownLabel,
      pieces,
      skip,
      layers,
      heads,
      length,
      attention: attention.values().slice(),
      probabilities: [...new Array(skip).fill(null), ...probabilities],
      forming,
    };
  }

  shares(logits) {
    return filtered(logits.slice(0, this.step.vocab), { ...this.step, temperature: 1, top_k: 0, top_p: 1, min_p: 0, characters: null });
  }

  topOf(shares, count) {
    const order = Array.from(shares.keys()).sort((a, b) => shares[b] - shares[a]);
    return order
      .slice(0, count)
      .map((token) => ({ piece: token >= this.item.tokenizer.size ? null : this.tokenizer.piece(token), share: shares[token] }));
  }

  // The stages of a generator from random numbers to a sample, as images. Those between the first and the last are scaled to [-1, 1].
  async stages({ seed, index = 0, label = null }) {
    const { known } = this.initialDraws(seed, index, label);
    const step = this.program.steps.at(-1);
    const outputs = this.container.run("stages", ...step.inputs.map((name) => known[name]));
    const names = Object.keys(outputs);
    return {
      stages: names.map((name, i) => {
        const x = outputs[name];
        const values = x.values().slice();
        return { name, shape: x.shape.slice(1), values: i === 0 || i === names.length - 1 ? values : rescaled(values) };
      }),
    };
  }

  // The sample at a position of a map through three samples. x, y: from 0 to 1.
  async place({ seed, x, y, label = null }) {
    const [origin, right, down] = [0, 1, 2].map((index) => this.initialDraws(seed, index, label));
    const { known, blend } = blendedChoices([origin, right, down], [(1 - x) * (1 - y), x, (1 - x) * y]);
    for (const name of origin.normals) {
      known[name] = slerp(slerp(origin.known[name], right.known[name], x), slerp(down.known[name], right.known[name], x), y);
    }
    const last = [...this.sampler.sample({ n: 1, seed, index: 0, label, known, blend })].at(-1);
    return { item: this.items(last)[0] };
  }

  // The choices of a sample, such as its class and component, repeated for n samples.
  chosen(seed, index, label, n) {
    const { known, normals } = this.initialDraws(seed, index, label);
    const choices = Object.entries(known).filter(([name]) => !normals.includes(name));
    const repeated = ([name, value]) => [name, value instanceof Tensor ? value.expand([n]).contiguous() : new Array(n).fill(value[0])];
    return Object.fromEntries(choices.map(repeated));
  }

  // The values that are drawn for a sample before any network runs, by name.
  initialDraws(seed, index, label) {
    const sources = [new Random(seed, index)];
    const { labels, steps } = this.program;
    const values = {};
    if (labels) values.classes = [label ?? drawIndex(labels.shares, sources[0].uniform())];
    const normals = [];
    for (const step of steps) {
      if (step.step === "normal") normals.push(step.out);
      if (["normal", "choose", "choose_row", "one_hot"].includes(step.step))
        values[step.out] = this.sampler[step.step](step, { n: 1, sources, values });
    }
    const rows = steps.filter((step) => step.step === "one_hot").map((step) => step.out);
    return { known: values, normals, rows };
  }
}

// (h, w) 1 for each latent all of whose pixels are given. mask: (C, H, W) 1 for each given value.
function latentMask(mask, [channels, height, width], [rows, columns]) {
  const area = height * width;
  const isGiven = (i) => Array.from({ length: channels }, (_, c) => mask[c * area + i]).every(Boolean);
  const range = (at, size, count) => [Math.floor((at * size) / count), Math.ceil(((at + 1) * size) / count)];
  return Uint8Array.from({ length: rows * columns }, (_, latent) => {
    const [top, bottom] = range(Math.floor(latent / columns), height, rows);
    const [left, right] = range(latent % columns, width, columns);
    for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) if (!isGiven(y * width + x)) return 0;
    return 1;
  });
}

// Values scaled to [-1, 1].
function rescaled(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return values.map((value) => (2 * (value - low)) / Math.max(high - low, 1e-9) - 1);
}

// The choices of several samples, with weights that sum to 1: those of the sample with the largest weight, and, where choices differ, the
// `blend` of `Sampler.sample`. Outputs of `one_hot` are left out: they follow from choices. ends: as `initialDraws` returns them.
function blendedChoices(ends, weights) {
  const present = ends.map((end, k) => ({ ...end, weight: weights[k] })).filter(({ weight }) => weight > 0);
  const heaviest = present.reduce((best, end) => (end.weight > best.weight ? end : best));
  const valueOf = (value) => (value instanceof Tensor ? value.values()[0] : value[0]);
  const choices = Object.keys(heaviest.known).filter((name) => !heaviest.normals.includes(name) && !heaviest.rows.includes(name));
  const different = choices.filter((name) => present.some(({ known }) => valueOf(known[name]) !== valueOf(heaviest.known[name])));
  const picked = (known, names) => Object.fromEntries(names.map((name) => [name, known[name]]));
  const blend = present.map(({ weight, known }) => ({ weight, values: picked(known, different) }));
  return { known: picked(heaviest.known, choices), blend: different.length ? blend : null };
}

// Spherical interpolation. share: 0 at a, 1 at b.
function slerp(a, b, share) {
  const [x, y] = [a.values(), b.values()];
  let [dot, xx, yy] = [0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    dot += x[i] * y[i];
    xx += x[i] * x[i];
    yy += y[i] * y[i];
  }
  const angle = Math.acos(Math.min(1, Math.max(-1, dot / Math.sqrt(xx * yy || 1))));
  const [p, q] =
    angle < 1e-4 ? [1 - share, share] : [Math.sin((1 - share) * angle) / Math.sin(angle), Math.sin(share * angle) / Math.sin(angle)];
  return new Tensor(
    Float32Array.from(x, (value, i) => p * value + q * y[i]),
    a.shape,
  );
}

function tensorsOf(known) {
  return Object.fromEntries(
    Object.entries(known).map(([name, value]) => [name, value.shape ? Tensor.from(value.type, value.shape, value.values) : value]),
  );
}
