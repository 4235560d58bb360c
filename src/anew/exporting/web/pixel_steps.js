// Steps that match the pixel values of samples to those of the data: detail, single pixels, fringes, alpha, specks, plain areas, few colours, flat
// colours, palettes, margins (as in data/formats/images/pixel_steps.py). Levels (C, H, W) are from 0 to 255, colours multiplied by alpha. A curve is a pair of lists of distances,
// before and after.

import { roundHalfToEven } from "./elementwise.js";
import { detail } from "./detail_bands.js";
import { blender, eachNeighbourhood, interpolated, plain, shrink } from "./plain_areas.js";

const EVEN = 4; // squared distance under which neighbours count alike
const HALF = 127.5; // alpha from which a pixel counts as opaque
const MAX_FEW_COLOURS = 64; // an image that should have more colours keeps its own
const APART = 512; // between the exactly opaque and others, which no colour is a mixture of
const FRINGE_ROUNDS = 3;
const MIN_BESIDE = 3; // of the eight pixels around one that belong to the background
const CLUSTERED = 4096; // pixels that decide the colours of a clip
const ROUNDS = 4; // of k-means

// Values in [-1, 1] of an image (C, H, W), or of a clip (C, T, H, W), after all steps. steps: each with its name under `step`, and
// its numbers.
export function matchedFrames(values, shape, steps) {
  if (!steps?.length) return values;
  const [channels, count] = [shape[0], shape.length === 4 ? shape[1] : 1];
  const [height, width] = shape.slice(-2);
  const area = height * width;
  let frames = Array.from({ length: count }, (_, t) =>
    Float32Array.from({ length: channels * area }, (_, i) => {
      const value = values[(Math.floor(i / area) * count + t) * area + (i % area)];
      return Math.min(255, Math.max(0, (value + 1) * 127.5));
    }),
  );
  for (const step of steps) {
    const frameShape = [channels, height, width];
    if (step.step === "clip_colours") frames = clipColours(frames, frameShape, step);
    else frames = frames.map((frame) => STEPS[step.step](frame, frameShape, step));
  }
  const out = new Float32Array(values.length);
  frames.forEach((frame, t) =>
    frame.forEach((level, i) => (out[(Math.floor(i / area) * count + t) * area + (i % area)] = level / 127.5 - 1)),
  );
  return out;
}

function alpha(x, [, height, width], { clear, opaque }) {
  const area = height * width;
  const out = x.slice();
  for (let i = 0; i < area; i++) {
    const before = x[3 * area + i];
    const after = before < HALF ? shrink(before, clear) : 255 - shrink(255 - before, opaque);
    for (let c = 0; c < 3; c++) out[c * area + i] = Math.min((x[c * area + i] * after) / Math.max(before, 1), after);
    out[3 * area + i] = after;
  }
  return out;
}

function opaqueImages(x, [, height, width], { shortfall }) {
  const area = height * width;
  let missing = 0;
  for (let i = 3 * area; i < 4 * area; i++) missing += 255 - x[i];
  if (missing / area > shortfall) return x;
  return x.map((level, i) => (i < 3 * area ? Math.min((level * 255) / Math.max(x[3 * area + (i % area)], 1), 255) : 255));
}

// Single pixels in the background, or holes in what is before it, get the mean of their neighbours.
function islands(x, [channels, height, width], { dots, holes, colour, reach }) {
  const area = height * width;
  const depth = Float32Array.from({ length: area }, (_, i) => {
    if (!colour) return x[3 * area + i] - HALF;
    let distance = 0;
    for (let c = 0; c < channels; c++) distance += (x[c * area + i] - colour[c]) ** 2;
    return Math.sqrt(distance) - reach;
  });
  const out = x.slice();
  eachNeighbourhood(height, width, (at, others) => {
    const inside = depth[at] >= 0;
    if (others.some((other) => depth[other] >= 0 === inside)) return;
    if (inside ? depth[at] > dots : -depth[at] > holes) return;
    for (let c = 0; c < channels; c++) out[c * area + at] = others.reduce((sum, other) => sum + x[c * area + other], 0) / 8;
  });
  return out;
}

// Pixels beside the background that are no farther from it than `strength` get its colour, in FRINGE_ROUNDS rounds.
function fringe(x, [channels, height, width], { strength, colour }) {
  const area = height * width;
  const isFaint = [];
  const isBackground = [];
  for (let i = 0; i < area; i++) {
    const row = Array.from({ length: channels }, (_, c) => x[c * area + i]);
    isFaint[i] = Math.sqrt(squared(row, colour)) <= strength;
    isBackground[i] = colour.every((level, c) => roundHalfToEven(row[c]) === level);
  }
  for (let round = 0; round < FRINGE_ROUNDS; round++) {
    const before = isBackground.slice();
    eachNeighbourhood(height, width, (at, others) => {
      if (isFaint[at] && others.filter((other) => before[other]).length >= MIN_BESIDE) isBackground[at] = true;
    });
  }
  return x.map((value, i) => (isBackground[i % area] ? colour[Math.floor(i / area)] : value));
}

function specks(x, [channels, height, width], { sharpness, apart }) {
  const out = x.slice();
  const likeness = (squared) => ((squared + EVEN) / EVEN) ** -sharpness;
  eachNeighbourhood(height, width, blender(x, out, channels, height * width, likeness, apart));
  return out;
}

// Each image gets as few colours as real images of its area have, by k-means, alpha included. Flat colours stay. Images that
// are farther from the usual number of colours have more.
function fewColours(x, [channels, height, width], { slope, intercept, flat, common, reach, more }) {
  const area = height * width;
  const opaque = [];
  for (let i = 0; i < area; i++) if (channels < 4 || x[3 * area + i] >= HALF) opaque.push(i);
  const usual = Math.exp(intercept) * Math.max(opaque.length, 1) ** slope;
  if (usual >= MAX_FEW_COLOURS + 0.5) return x;
  const flatOf = (i) => flat.findIndex((colour) => colour.every((level, c) => roundHalfToEven(x[c * area + i]) === level));
  const kept = new Set(opaque.map(flatOf).filter((index) => index >= 0));
  const free = opaque.filter((i) => flatOf(i) < 0);
  const rows = free.map((i) => Array.from({ length: channels }, (_, c) => x[c * area + i]));
  const numColours = new Set(rows.map((row) => row.map(roundHalfToEven).join())).size;
  const reduced = (count) => {
    const numFree = Math.max(Math.floor(count + 0.5) - kept.size, 1);
    return numColours <= numFree ? rows : quantised(rows.map(apart), numFree).map((row) => row.slice(0, channels));
  };
  let count = usual;
  if (more) {
    const error = reduced(usual).reduce((sum, row, n) => sum + squared(row, rows[n]), 0);
    count *= interpolated(Math.sqrt(error / Math.max(opaque.length, 1)), more);
  }
  const colours = count >= MAX_FEW_COLOURS + 0.5 ? rows : reduced(count);
  if (colours === rows) return x;
  const out = x.slice();
  colours.forEach((row, n) => snapped(row, common, reach).forEach((value, c) => (out[c * area + free[n]] = value)));
  return out;
}

// A colour, with a further value where it has alpha: APART if it is exactly opaque.
const apart = (row) => (row.length < 4 ? row : [...row, roundHalfToEven(row[3]) === 255 ? APART : 0]);

// The frames of a clip get as few colours as real clips of their area have, the same in all frames, and a pixel changes only where
// it then is nearer by `hold`.
function clipColours(frames, [channels, height, width], { slope, intercept, flat, hold }) {
  const area = height * width;
  const rowAt = (t, i) => Array.from({ length: channels }, (_, c) => frames[t][c * area + i]);
  const isOpaque = (t, i) => channels < 4 || frames[t][3 * area + i] >= HALF;
  // 0 for clear pixels, a number for each flat colour (of the last one that is equal), -1 for others
  const keptAt = (t, i) => {
    if (!isOpaque(t, i)) return 0;
    const row = rowAt(t, i).map(roundHalfToEven);
    return flat.findLastIndex((colour) => colour.every((level, c) => row[c] === level)) + 1 || -1;
  };
  const kept = frames.map((_, t) => Int32Array.from({ length: area }, (_, i) => keptAt(t, i)));
  const numOpaque = frames.reduce((sum, _, t) => sum + kept[t].reduce((count, number) => count + (number !== 0), 0), 0);
  const usual = Math.exp(intercept) * Math.max(numOpaque, 1) ** slope;
  if (usual >= MAX_FEW_COLOURS + 0.5) return frames;
  let rows = [];
  kept.forEach((numbers, t) => numbers.forEach((number, i) => number < 0 && rows.push(rowAt(t, i))));
  const stride = Math.max(1, Math.ceil(rows.length / CLUSTERED));
  rows = rows.filter((_, n) => n % stride === 0);
  const numKept = new Set(kept.flatMap((numbers) => [...numbers].filter((number) => number > 0))).size;
  const numFree = Math.max(Math.floor(usual + 0.5) - numKept, 1);
  if (new Set(rows.map((row) => row.map(roundHalfToEven).join())).size <= numFree) return frames;
  const centres = clusters(rows.map(apart), numFree);
  const nearestCentre = rows.map((row) => centres[nearestTo(apart(row), centres)]);
  const cost = (hold * rows.reduce((sum, row, n) => sum + squared(apart(row), nearestCentre[n]), 0)) / rows.length;
  const colours = spread(centres, rows, nearestCentre);
  const out = frames.map((frame) => frame.slice());
  for (let i = 0; i < area; i++) {
    if (kept.every((numbers) => numbers[i] >= 0)) continue;
    const distance = kept.map((numbers, t) => {
      const isFree = numbers[i] < 0;
      const others = Array.from({ length: flat.length + 1 }, (_, number) => (number === numbers[i] ? 0 : Infinity));
      const own = isFree ? apart(rowAt(t, i)) : null;
      // Less the squares of the pixel itself
      const free = centres.map((centre) =>
        own
          ? squared(own, centre) -
            squared(
              own,
              own.map(() => 0),
            )
          : Infinity,
      );
      return [...others, ...free];
    });
    steady(distance, cost).forEach((choice, t) => {
      if (kept[t][i] < 0) colours[choice - flat.length - 1].forEach((level, c) => (out[t][c * area + i] = level));
    });
  }
  return out;
}

// Colours, moved from the mean of the rows so far that these differ as much as before. nearestCentre: that of each row.
function spread(centres, rows, nearestCentre) {
  const numColours = Math.min(rows[0].length, 3);
  const colour = (row) => row.slice(0, numColours);
  const mean = meanRow(rows.map(colour));
  const variance = (list) => list.reduce((sum, row) => sum + squared(mean, row), 0) / list.length;
  const factor = Math.sqrt(variance(rows) / Math.max(variance(nearestCentre), 1));
  return centres.map((centre) => {
    const limit = rows[0].length < 4 ? 255 : centre[3];
    const moved = mean.map((level, c) => Math.min(Math.max(level + (centre[c] - level) * factor, 0), 255, limit));
    return rows[0].length < 4 ? moved : [...moved, centre[3]];
  });
}

// The choices over time with the least sum of distances (T lists) and of the cost of each change.
function steady(distance, cost) {
  const firstLeast = (list) => list.reduce((best, value, k) => (value < list[best] ? k : best), 0);
  let total = distance[0];
  const before = [];
  for (const later of distance.slice(1)) {
    const best = firstLeast(total);
    const changed = total[best] + cost;
    before.push(total.map((value, k) => (value <= changed ? k : best)));
    total = total.map((value, k) => Math.min(value, changed) + later[k]);
  }
  const choices = [firstLeast(total)];
  for (const previous of before.reverse()) choices.unshift(previous[choices[0]]);
  return choices;
}

const squared = (a, b) => a.reduce((sum, value, c) => sum + (value - b[c]) ** 2, 0);
const meanRow = (rows) => rows[0].map((_, c) => rows.reduce((sum, row) => sum + row[c], 0) / rows.length);

const nearestTo = (row, centres) => centres.reduce((best, centre, k) => (squared(row, centre) < squared(row, centres[best]) ? k : best), 0);

// Rows with so many different values.
function quantised(rows, count) {
  const centres = clusters(rows, count);
  return rows.map((row) => centres[nearestTo(row, centres)]);
}

// So many centres of rows: k-means, which begins with rows that are far from those before them.
function clusters(rows, count) {
  let centres = [meanRow(rows)];
  let distance = rows.map((row) => squared(row, centres[0]));
  while (centres.length < count) {
    const farthest = rows[distance.reduce((best, value, i) => (value > distance[best] ? i : best), 0)];
    centres.push(farthest);
    distance = distance.map((value, i) => Math.min(value, squared(rows[i], farthest)));
  }
  for (let round = 0; round < ROUNDS; round++) {
    const groups = centres.map(() => []);
    rows.forEach((row) => groups[nearestTo(row, centres)].push(row));
    centres = centres.map((centre, k) => (groups[k].length ? meanRow(groups[k]) : centre));
  }
  return centres;
}

// The row of a table that is nearest to a row if it is at most `reach` away; else the row itself.
function snapped(row, table, reach) {
  if (!table.length) return row;
  const nearest = table.reduce((best, colour) => (squared(row, colour) < squared(row, best) ? colour : best));
  return squared(row, nearest) <= reach ** 2 ? nearest : row;
}

function flat(x, [channels, height, width], { colour, reach, near }) {
  const area = height * width;
  const out = x.slice();
  for (let i = 0; i < area; i++) {
    let distance = 0;
    for (let c = 0; c < channels; c++) distance += (x[c * area + i] - colour[c]) ** 2;
    distance = Math.sqrt(distance);
    if (distance >= reach) continue;
    const scale = shrink(distance, near) / Math.max(distance, 1e-6);
    for (let c = 0; c < channels; c++) out[c * area + i] = colour[c] + (x[c * area + i] - colour[c]) * scale;
  }
  return out;
}

function palette(x, [channels, height, width], { colours, lenience }) {
  const area = height * width;
  const distance = (i, colour) => {
    let total = 0;
    for (let c = 0; c < channels; c++) total += (x[c * area + i] - colours[colour][c]) ** 2;
    return Math.sqrt(total);
  };
  const index = Int32Array.from({ length: area }, (_, i) =>
    colours.reduce((best, _colour, k) => (distance(i, k) < distance(i, best) ? k : best), 0),
  );
  const chosen = index.slice();
  if (lenience > 0 && Math.min(height, width) > 1) {
    eachNeighbourhood(height, width, (at, others) => {
      if (others.some((other) => index[other] === index[at])) return;
      const best = others.reduce((a, b) => (distance(at, index[b]) < distance(at, index[a]) ? b : a));
      if (distance(at, index[best]) - distance(at, index[at]) <= lenience) chosen[at] = index[best];
    });
  }
  return Float32Array.from(x, (_, i) => colours[chosen[i % area]][Math.floor(i / area)]);
}

function margin(x, [, height, width], { colour, sides: [top, right, bottom, left] }) {
  return x.map((value, i) => {
    const [row, column] = [Math.floor(i / width) % height, i % width];
    const inside = row >= top && row < height - bottom && column >= left && column < width - right;
    return inside ? value : colour[Math.floor(i / (height * width))];
  });
}

const STEPS = {
  islands,
  fringe,
  opaque_images: opaqueImages,
  alpha,
  specks,
  few_colours: fewColours,
  flat,
  palette,
  margin,
  plain,
  detail,
};
