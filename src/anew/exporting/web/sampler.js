// Runs the steps of a program, from random numbers to samples. Each row of a value belongs to a sample. Sample i depends only on the seed
// and on i.

import { Random } from "./random.js";
import { Tensor } from "./tensor.js";
import { classShares, drawIndex, grow } from "./tokens.js";

const DRAFTS = 4; // that are decoded, of samples that a network turns from latents into items

const first = (outputs) => Object.values(outputs)[0];

export class Sampler {
  // program: {labels: null or {names, shares}, steps}; container: its graphs.
  constructor(program, container) {
    this.program = program;
    this.container = container;
    this.ofPrompt = { key: null, shares: null }; // of the last prompt
  }

  // The share of each class, given the first ids of a text; none: that in the data.
  classShares(prompt = []) {
    const { labels, steps } = this.program;
    if (!prompt.length) return labels.shares;
    const key = prompt.join();
    if (this.ofPrompt.key !== key) {
      const step = steps.find((each) => each.step === "tokens");
      this.ofPrompt = { key, shares: classShares(this.container, step, labels.shares, prompt) };
    }
    return this.ofPrompt.shares;
  }

  // Yields {x, classes, isLast, progress} drafts; x is a tensor, or {rows} of ids; classes: null without.
  // n samples from `index` on; label: a class, null draws each with its share in the data, or by the prompt; known: values that are given instead of drawn;
  // tokens: sampling settings of texts, and `prompt`; blend: [{weight, values}] of samples with different choices, to interpolate them.
  *sample({ n = 1, seed = 0, index = 0, label = null, known = {}, tokens = {}, fill = null, blend = null }) {
    const sources = Array.from({ length: n }, (_, i) => new Random(seed, index + i));
    const values = { ...known };
    const { labels, steps } = this.program;
    if (labels && !values.classes)
      values.classes = sources.map((source) => label ?? drawIndex(this.classShares(tokens.prompt), source.uniform()));
    const context = { n, sources, values, tokens, fill, blend };
    for (const step of steps) {
      const isLast = step === steps.at(-1);
      if (step.out in values) continue;
      if (step.step === "denoise" || step.step === "tokens") {
        for (const draft of step.step === "denoise" ? this.denoise(step, context) : this.tokens(step, context)) {
          values[step.out] = draft.x;
          const x = isLast ? draft.x : this.decodedDraft(step, draft, context);
          if (x || draft.noisy) yield { ...draft, x: x ?? draft.x, classes: values.classes ?? null, isHidden: !x, isLast: false };
        }
      } else values[step.out] = this[step.step](step, context);
    }
    yield { x: values[steps.at(-1).out], classes: values.classes ?? null, isLast: true, progress: 1 };
  }

  // A draft after the remaining graphs, which may take a while: only a few times per sample, else null.
  decodedDraft(step, draft, { values, blend }) {
    if (!(draft.x instanceof Tensor) || Math.floor(draft.progress * DRAFTS) === Math.floor(draft.before * DRAFTS)) return null;
    const later = this.program.steps.slice(this.program.steps.indexOf(step) + 1);
    if (!later.every((each) => each.step === "run")) return null;
    const shown = { ...values };
    for (const each of later) shown[each.out] = this.run(each, { values: shown, blend });
    return shown[later.at(-1).out];
  }

  normal(step, { n, sources }) {
    const out = Tensor.empty("f32", [n, ...step.shape]);
    const size = out.data.length / n;
    sources.forEach((source, row) => {
      for (let i = 0; i < size; i++) out.data[row * size + i] = step.scale * source.normal();
    });
    return out;
  }

  choose(step, { n, sources, values }) {
    const picked = sources.map((source, row) => {
      const weights = step.weights.map((weight, k) => (!values.classes || step.classes[k] === values.classes[row] ? weight : 0));
      const uniform = source.uniform();
      return weights.some((weight) => weight > 0) ? drawIndex(weights, uniform) : step.otherwise;
    });
    return Tensor.from("i32", [n], picked);
  }

  choose_row(step, { n, sources, values }) {
    const rows = values[step.row].values();
    return Tensor.from(
      "i32",
      [n],
      sources.map((source, i) => drawIndex(step.table[rows[i]], source.uniform())),
    );
  }

  one_hot(step, context) {
    return blended([step.index], context, (values) => {
      const rows = values[step.index].values();
      const out = Tensor.full("f32", [rows.length, step.size], 0);
      rows.forEach((index, row) => (out.data[row * step.size + index] = 1));
      return out;
    });
  }

  run(step, context) {
    return blended(step.inputs, context, (values) =>
      first(this.container.run(step.graph, ...step.inputs.map((name) => asTensor(values[name])))),
    );
  }

  // DPM-Solver++ 2M, or with new noise at each step SDE-DPM-Solver++ 2M (arXiv 2211.01095). fill: {values, mask}, flat arrays, of the
  // given part; with `parts`, 1 for each part of a sample that is given as a whole, the network sees these parts without noise.
  *denoise(step, { n, values, fill, blend }) {
    const { sigmas } = step;
    let y = values[step.state].values().map((value) => value * step.scale);
    const shape = values[step.state].shape;
    if (fill) y = withGiven(y, fill);
    if (step.noise !== null) {
      const noise = values[step.noise].values();
      y = y.map((value, i) => value + sigmas[0] * noise[i]);
    }
    const denoisedBy = (input, sigma) =>
      blended(step.inputs, { values, blend }, (chosen) => {
        const inputs = step.inputs.map((name) => asTensor(chosen[name]));
        return first(this.container.run(step.graph, new Tensor(input, shape), Tensor.full("f32", [n], sigma), ...inputs));
      });
    const renoise = step.renoise === null ? null : values[step.renoise].values();
    const size = y.length / n;
    let before = null;
    for (let i = 0; i + 1 < sigmas.length; i++) {
      const [sigma, next] = [sigmas[i], sigmas[i + 1]];
      const input = fill?.parts ? withGiven(y, fill) : y;
      let denoised = denoisedBy(input, sigma).values();
      if (fill) denoised = withGiven(denoised, fill);
      const weight = before && next > 0 ? (0.5 * Math.log(sigma / next)) / Math.log(sigmas[i - 1] / sigma) : 0;
      const ratio = (next / sigma) ** (1 + step.eta);
      const now = new Float32Array(y.length);
      for (let k = 0; k < now.length; k++) {
        const extrapolated = weight ? denoised[k] + weight * (denoised[k] - before[k]) : denoised[k];
        now[k] = extrapolated + ratio * (y[k] - extrapolated);
      }
      if (renoise && next > 0) {
        const added = next * Math.sqrt(1 - (next / sigma) ** (2 * step.eta));
        const steps = renoise.length / (size * n);
        for (let k = 0; k < now.length; k++) now[k] += added * renoise[(Math.floor(k / size) * steps + i) * size + (k % size)];
      }
      const shown = step.clip ? denoised.map((value) => Math.min(1, Math.max(-1, value))) : denoised;
      const estimate = new Tensor(shown, shape);
      const noisy = new Tensor(y, shape);
      yield { x: estimate, estimate, noisy, sigma, progress: (i + 1) / (sigmas.length - 1), before: i / (sigmas.length - 1) };
      y = now;
      before = denoised;
    }
  }

  *tokens(step, { sources, values, tokens }) {
    const { prompt = [], ...settings } = tokens;
    const options = { sources, labels: values.classes ?? null, prompt, settings, uniforms: values.uniform ?? null };
    const maxTokens = settings.new ?? step.new;
    let count = 0;
    for (const { rows } of grow(this.container, step, options)) yield { x: { rows }, progress: Math.min(1, ++count / maxTokens) };
  }
}

// compute(values); where it needs values that differ between the samples of a blend, the weighted sum over these samples.
function blended(names, { values, blend }, compute) {
  if (!blend || !names.some((name) => name in blend[0].values)) return compute(values);
  const outputs = blend.map((end) => compute({ ...values, ...end.values }));
  const sum = new Float32Array(outputs[0].size);
  outputs.forEach((output, k) => output.values().forEach((value, i) => (sum[i] += blend[k].weight * value)));
  return new Tensor(sum, outputs[0].shape);
}

// Data in which the given values are put in.
function withGiven(data, { values, mask }) {
  const size = values.length;
  return data.map((value, i) => (mask[i % size] ? values[i % size] : value));
}

function asTensor(value) {
  if (value instanceof Tensor) return value;
  const { rows } = value; // ids
  return Tensor.from("i32", [rows.length, rows[0].length], rows.flat());
}
