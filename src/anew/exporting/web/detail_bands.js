// Detail of images: bands from fine to coarse, and how strong each is around every pixel (as in data/formats/images/detail_bands.py).

import { interpolated } from "./plain_areas.js";

const NUM_BANDS = 3;
const BLUR = [1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16];
const COLOUR_AXES = [
  [1, 1, 1],
  [1, 0, -1],
  [-1, 2, -1],
].map((axis) => axis.map((value) => value / Math.hypot(...axis)));
const [MIN_GAIN, MAX_GAIN] = [0.5, 1.15];
const FAINT = 1e-3;

// Levels (C, H, W) whose detail is as strong as in real images. rounds: for each round, band and axis of colour a curve; null: it stays.
export function detail(x, [channels, height, width], { rounds }) {
  return rounds.reduce((levels, curves) => withStrengths(levels, [channels, height, width], curves), x);
}

function withStrengths(x, [channels, height, width], curves) {
  const area = height * width;
  const out = x.slice();
  const axes = channels < 3 ? [[1]] : COLOUR_AXES;
  axes.forEach((axis, k) => {
    if (curves.every((bandCurves) => bandCurves[k] === null)) return;
    let plane = new Float32Array(area);
    axis.forEach((weight, c) => plane.forEach((_, i) => (plane[i] += weight * x[c * area + i])));
    for (let number = 0; number < NUM_BANDS; number++) {
      const spacing = 2 ** number;
      const curve = curves[number][k];
      const blurred = blur(plane, height, width, spacing);
      const band = plane.map((value, i) => value - blurred[i]);
      const squares = band.map((value) => value * value);
      const power = blur(blur(squares, height, width, spacing), height, width, spacing);
      for (let i = 0; i < area && curve !== null; i++) {
        const strength = Math.sqrt(power[i]);
        const gain = interpolated(strength, curve) / Math.max(strength, FAINT);
        const change = (Math.min(Math.max(gain, MIN_GAIN), MAX_GAIN) - 1) * band[i];
        axis.forEach((weight, c) => (out[c * area + i] += weight * change));
      }
      plane = blurred;
    }
  });
  for (let i = 0; i < axes.length * area; i++) {
    const most = channels === 4 ? x[3 * area + (i % area)] : 255;
    out[i] = Math.min(Math.max(out[i], 0), most);
  }
  return out;
}

// A plane (H, W) blurred with a kernel whose values are `spacing` pixels apart, mirrored at the borders, whose pixels repeat.
function blur(plane, height, width, spacing) {
  const rows = new Float32Array(plane.length);
  const out = new Float32Array(plane.length);
  BLUR.forEach((weight, number) => {
    const from = mirrored(height, (number - 2) * spacing);
    for (let i = 0; i < plane.length; i++) rows[i] += weight * plane[from[Math.floor(i / width)] * width + (i % width)];
  });
  BLUR.forEach((weight, number) => {
    const from = mirrored(width, (number - 2) * spacing);
    for (let i = 0; i < plane.length; i++) out[i] += weight * rows[i - (i % width) + from[i % width]];
  });
  return out;
}

function mirrored(size, offset) {
  return Int32Array.from({ length: size }, (_, i) => {
    const place = (((i + offset) % (2 * size)) + 2 * size) % (2 * size);
    return place < size ? place : 2 * size - 1 - place;
  });
}
