// Plain areas: what is mottled becomes plain, and edges stay (as in data/formats/images/plain_areas.py). Levels (C, H, W) are from 0 to 255,
// colours multiplied by alpha. A curve is a pair of lists of distances, before and after.

import { roundHalfToEven } from "./elementwise.js";

const SPACINGS = [1, 2]; // pixels between a pixel and those that it becomes more like
const ALIKE = 64; // levels: neighbours that are farther than this in colour count for less
const RUNGS = Array.from({ length: 13 }, (_, step) => 2 * 2 ** (step / 2)); // levels up to which regions may differ to become one
const OPAQUE = 250; // alpha from which a pixel is opaque
const ENDS = 32; // levels from 0 and 255 within which values are matched
const ROUNDS = 3; // at each rung
const MAX_GAIN = 1.5; // most by which contrast is restored

// A distance after a curve, never larger than before.
export const shrink = (distance, curve) => Math.min(interpolated(distance, curve), distance);

export function interpolated(at, [before, after]) {
  if (at < before[0]) return after[0];
  if (at >= before.at(-1)) return after.at(-1);
  let i = 1;
  while (before[i] <= at) i++;
  return after[i - 1] + ((at - before[i - 1]) / (before[i] - before[i - 1])) * (after[i] - after[i - 1]);
}

// Calls `visit(at, others)` for each pixel and the eight others that are `spacing` pixels away, mirrored at the borders.
export function eachNeighbourhood(height, width, visit, spacing = 1) {
  const mirrored = (at, size) => (at < 0 ? Math.min(-at, size - 1) : at >= size ? Math.max(2 * size - 2 - at, 0) : at);
  const [rows, columns] = [Math.min(spacing, height - 1), Math.min(spacing, width - 1)];
  const others = new Int32Array(8);
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++) {
      let count = 0;
      for (let down = -1; down <= 1; down++)
        for (let right = -1; right <= 1; right++)
          if (down || right) others[count++] = mirrored(row + down * rows, height) * width + mirrored(column + right * columns, width);
      visit(row * width + column, others);
    }
}

// A visitor that writes into `out` the colour of a pixel of `x`, nearer to the mean of the others, each weighted by `weightOf` its
// squared distance. The curve `apart` gives the distance that is left.
export function blender(x, out, channels, area, weightOf, apart) {
  const mean = new Float32Array(channels);
  return (at, others) => {
    mean.fill(0);
    let total = 0;
    for (const other of others) {
      let squared = 0;
      for (let c = 0; c < channels; c++) squared += (x[c * area + other] - x[c * area + at]) ** 2;
      const weight = weightOf(squared);
      for (let c = 0; c < channels; c++) mean[c] += weight * x[c * area + other];
      total += weight;
    }
    let squared = 0;
    for (let c = 0; c < channels; c++) {
      mean[c] /= total;
      squared += (x[c * area + at] - mean[c]) ** 2;
    }
    const distance = Math.sqrt(squared);
    const scale = shrink(distance, apart) / Math.max(distance, 1e-6);
    for (let c = 0; c < channels; c++) out[c * area + at] = mean[c] + (x[c * area + at] - mean[c]) * scale;
  };
}

// Pixels become more like those around them that are like them already, then neighbouring regions of similar colours become one,
// the contrast is restored, and values near 0 and 255 become as pure as real ones.
export function plain(x, shape, { apart, low, high, rung, shares }) {
  let out = x;
  apart.forEach((curve, k) => (out = smoothed(out, shape, SPACINGS[k], curve)));
  out = asPlain(out, shape, rung, shares);
  return pure(restored(out, x, shape), shape, low, high);
}

const isOpaque = (x, [channels, height, width], i) => channels < 4 || x[3 * height * width + i] >= OPAQUE;
const isVisible = (x, [channels, height, width], i) => channels < 4 || roundHalfToEven(x[3 * height * width + i]) > 0;

function smoothed(x, shape, spacing, apart) {
  const [channels, height, width] = shape;
  const area = height * width;
  const out = x.slice();
  const blend = blender(x, out, channels, area, (squared) => (1 + squared / ALIKE ** 2) ** -2, apart);
  const visit = (at, others) => {
    if (!isVisible(x, shape, at)) return;
    blend(at, others);
    if (channels < 4) return;
    if (isOpaque(x, shape, at)) out[3 * area + at] = 255;
    for (let c = 0; c < 3; c++) out[c * area + at] = Math.min(out[c * area + at], out[3 * area + at]);
  };
  eachNeighbourhood(height, width, visit, spacing);
  return out;
}

// Regions become one up to the first of RUNGS at which enough neighbours are equal.
function asPlain(x, shape, rung, shares) {
  const regions = new Regions(x, shape);
  const steps = [];
  let goal = Infinity;
  const isEnough = (step) => equalShare(step, shape) >= goal;
  for (const limit of RUNGS) {
    regions.merge(limit);
    steps.push(regions.levels());
    if (steps.length <= rung) continue;
    if (steps.length === rung + 1) {
      goal = interpolated(equalShare(steps[rung], shape), shares);
      const first = steps.find(isEnough);
      if (first) return first;
    } else if (isEnough(steps.at(-1))) break;
  }
  return steps.at(-1);
}

// Regions of opaque pixels of one colour; a region is known by its first pixel. `pairs` holds the two regions of each pair of pixels that touch.
class Regions {
  constructor(x, shape) {
    const [channels, height, width] = shape;
    this.x = x;
    this.channels = channels;
    this.area = height * width;
    this.sums = Float64Array.from(x); // (C, H * W)
    this.sizes = new Float64Array(this.area).fill(1);
    this.owner = Int32Array.from({ length: this.area }, (_, i) => i);
    const pairs = [];
    for (let i = 0; i < this.area; i++) {
      if (!isOpaque(x, shape, i)) continue;
      if ((i + 1) % width && isOpaque(x, shape, i + 1)) pairs.push(i, i + 1);
      if (i + width < this.area && isOpaque(x, shape, i + width)) pairs.push(i, i + width);
    }
    this.pairs = Int32Array.from(pairs);
    const levels = x.map(roundHalfToEven);
    const lowest = this.owner.slice();
    for (let changed = true; changed;) {
      changed = false;
      for (let k = 0; k < pairs.length; k += 2) {
        const [i, j] = [pairs[k], pairs[k + 1]];
        if (lowest[i] === lowest[j] || !this.isSame(levels, i, j)) continue;
        lowest[i] = lowest[j] = Math.min(lowest[i], lowest[j]);
        changed = true;
      }
    }
    this.join(lowest);
  }

  isSame(levels, i, j) {
    for (let c = 0; c < this.channels; c++) if (levels[c * this.area + i] !== levels[c * this.area + j]) return false;
    return true;
  }

  // Joins regions that touch and whose mean colours differ by at most `limit`, in ROUNDS. Each joins the one that is most like it, if that is
  // larger and does not join another at the same time.
  merge(limit) {
    const { area, sizes } = this;
    for (let round = 0; round < ROUNDS; round++) {
      const least = new Float64Array(area).fill(Infinity);
      const target = new Int32Array(area).fill(-1);
      const means = this.sums.map((sum, i) => sum / sizes[i % area]);
      const offer = (from, to, difference) => {
        if (difference > least[from] || (difference === least[from] && to >= target[from])) return;
        least[from] = difference;
        target[from] = to;
      };
      for (let k = 0; k < this.pairs.length; k += 2) {
        const [a, b] = [this.pairs[k], this.pairs[k + 1]];
        let difference = 0;
        for (let at = 0; at < means.length; at += area) difference += (means[at + a] - means[at + b]) ** 2;
        if (difference > limit ** 2) continue;
        offer(a, b, difference);
        offer(b, a, difference);
      }
      const moves = (i) => target[i] >= 0 && (sizes[target[i]] - sizes[i] || i - target[i]) > 0;
      const to = this.owner.map((_, i) => (moves(i) && !moves(target[i]) ? target[i] : i));
      if (to.every((other, i) => other === i)) return;
      this.join(to);
    }
  }

  join(to) {
    to.forEach((other, i) => {
      if (other === i) return;
      for (let at = 0; at < this.sums.length; at += this.area) this.sums[at + other] += this.sums[at + i];
      this.sizes[other] += this.sizes[i];
    });
    this.owner = this.owner.map((region) => to[region]);
    let end = 0;
    for (let k = 0; k < this.pairs.length; k += 2) {
      const [a, b] = [to[this.pairs[k]], to[this.pairs[k + 1]]];
      if (a === b) continue;
      this.pairs[end++] = a;
      this.pairs[end++] = b;
    }
    this.pairs = this.pairs.subarray(0, end);
  }

  levels() {
    return this.x.map((_, i) => {
      const [region, at] = [this.owner[i % this.area], i - (i % this.area)];
      return this.sums[at + region] / this.sizes[region];
    });
  }
}

// The share of the neighbours, in rows and columns, that have one colour, of all that are not both clear.
function equalShare(x, [channels, height, width]) {
  const area = height * width;
  const levels = x.map(roundHalfToEven);
  let [equal, count] = [0, 0];
  const compare = (i, j) => {
    if (channels === 4 && !levels[3 * area + i] && !levels[3 * area + j]) return;
    count++;
    for (let at = 0; at < x.length; at += area) if (levels[at + i] !== levels[at + j]) return;
    equal++;
  };
  for (let i = 0; i < area; i++) {
    if ((i + 1) % width) compare(i, i + 1);
    if (i + width < area) compare(i, i + width);
  }
  return equal / Math.max(count, 1);
}

// Opaque pixels get as much contrast as before, up to MAX_GAIN times their own.
function restored(x, before, shape) {
  const area = shape[1] * shape[2];
  const opaque = Array.from({ length: area }, (_, i) => i).filter((i) => isOpaque(x, shape, i));
  const numColours = Math.min(shape[0], 3);
  const spread = (levels) => {
    const means = Array.from(
      { length: numColours },
      (_, c) => opaque.reduce((sum, i) => sum + levels[c * area + i], 0) / Math.max(opaque.length, 1),
    );
    const squares = means.map((mean, c) => opaque.reduce((sum, i) => sum + (levels[c * area + i] - mean) ** 2, 0));
    return [means, squares.reduce((sum, value) => sum + value, 0) / Math.max(opaque.length, 1)];
  };
  const [[means, variance], [, varianceBefore]] = [spread(x), spread(before)];
  const gain = Math.min(Math.max(Math.sqrt(varianceBefore / Math.max(variance, 1)), 1), MAX_GAIN);
  const out = x.slice();
  for (const i of opaque)
    means.forEach((mean, c) => (out[c * area + i] = Math.min(Math.max(mean + (x[c * area + i] - mean) * gain, 0), 255)));
  return out;
}

function pure(x, shape, low, high) {
  const area = shape[1] * shape[2];
  return x.map((value, i) => {
    if (Math.floor(i / area) > 2 || !isOpaque(x, shape, i % area)) return value;
    if (value < ENDS) value = shrink(value, low);
    return value > 255 - ENDS ? 255 - shrink(255 - value, high) : value;
  });
}
