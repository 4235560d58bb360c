// Phases for magnitudes: those of steady tones, then Griffin-Lim; and noise where nothing is a tone.
// Legend: N samples, F frequencies (window / 2 + 1), T frames. Matrices are in row-major order.

import { Fourier, istft, stft } from "./fourier.js";
import { pitchedSource } from "./pitched_source.js";
import { Random } from "./random.js";

// The fast Griffin-Lim algorithm (Perraudin, Balazs and Søndergaard 2013).
const MOMENTUM = 0.99;
// The frequency of a peak is the centroid of this many bins on each side.
const LOBE = 3;
// Neighbours that differ by a smaller share count as equal, so that rounding makes no peaks.
const FLAT = 1e-5;
// Width of the transition from tones to noise, relative to its frequency.
const BLEND = 0.15;
// A bin with a smaller share of tones needs no phases of tones.
const INAUDIBLE_SHARE = 1e-3;
const TINY = 1e-8; // keeps divisions finite

// A waveform (N) with magnitudes (F, T): steady tones below `noise_from`, noise above it.
export function waveform(magnitude, item, frames) {
  const { window, rate, noise_from: edge, length } = item;
  const share = Float64Array.from({ length: window / 2 + 1 }, (_, bin) =>
    edge === null ? 0 : 1 / (1 + Math.exp((edge - (bin * rate) / window) / (BLEND * edge))),
  );
  const bins = share.reduce((count, part) => count + (part < 1 - INAUDIBLE_SHARE ? 1 : 0), 0);
  const phase = new Float64Array(magnitude.length);
  const partOf = (value, i) => share[Math.floor(i / frames)] * value;
  const tonal = magnitude.map((value, i) => value - partOf(value, i));
  phase.set(steadyPhase(tonal.subarray(0, bins * frames), item, frames, bins));
  const tones = griffinLim(tonal, phase, item, frames);
  if (edge === null) return tones;
  // A noise of its own for each clip, by its mean level in hundredths of a decibel
  const level = magnitude.reduce((sum, value) => sum + value, 0) / magnitude.length;
  const random = new Random(Math.round(2000 * Math.log10(Math.max(level, TINY) / TINY)));
  const transform = new Fourier(window);
  const noise = Float64Array.from({ length }, () => random.normal());
  const source = item.pitched ? pitchedSource(magnitude, noise, item, frames, transform) : noise;
  const [real, imaginary] = stft(source, item, frames, transform);
  const mean = new Float64Array(frames);
  real.forEach((value, i) => (mean[i % frames] += Math.hypot(value, imaginary[i]) / share.length));
  const scaled = (part) => part.map((value, i) => (partOf(magnitude[i], i) * value) / Math.max(mean[i % frames], TINY));
  return istft(scaled(real), scaled(imaginary), item, frames, transform).map((value, i) => value + tones[i]);
}

// Phases (F, T) in which every peak is a steady tone (Beauregard, Harish and Wyse 2015).
function steadyPhase(magnitude, { window, hop }, frames, bins) {
  const phase = new Float64Array(bins * frames);
  let before = new Float64Array(bins);
  for (let frame = 0; frame < frames; frame++) {
    const at = (bin) => (bin < 0 || bin >= bins ? 0 : magnitude[bin * frames + frame]);
    const advanced = new Float64Array(bins);
    const left = new Int32Array(bins);
    const right = new Int32Array(bins);
    const isPeak = Array.from({ length: bins }, (_, bin) => at(bin) > at(bin - 1) * (1 + FLAT) && at(bin) >= at(bin + 1) * (1 - FLAT));
    for (let bin = 0; bin < bins; bin++) {
      let [moment, total] = [0, 0];
      for (let step = -LOBE; step <= LOBE; step++) {
        moment += step * at(bin + step);
        total += at(bin + step);
      }
      const shift = Math.min(1, Math.max(-1, moment / Math.max(total, TINY)));
      advanced[bin] = before[bin] + (hop * 2 * Math.PI * (bin + shift)) / window;
      left[bin] = isPeak[bin] ? bin : bin ? left[bin - 1] : -2 * bins;
    }
    for (let bin = bins - 1; bin >= 0; bin--) right[bin] = isPeak[bin] ? bin : bin < bins - 1 ? right[bin + 1] : 2 * bins;
    const now = new Float64Array(bins);
    for (let bin = 0; bin < bins; bin++) {
      const near = Math.min(bins - 1, Math.max(0, bin - left[bin] <= right[bin] - bin ? left[bin] : right[bin]));
      now[bin] = advanced[near];
      phase[bin * frames + frame] = now[bin] + Math.PI * (bin - near); // under a Hann window neighbouring bins differ by half a turn
    }
    before = now;
  }
  return phase;
}

function griffinLim(magnitude, phase, item, frames) {
  const size = magnitude.length;
  let [cosine, sine] = [phase.map(Math.cos), phase.map(Math.sin)];
  const transform = new Fourier(item.window);
  const joined = () =>
    istft(
      magnitude.map((m, i) => m * cosine[i]),
      magnitude.map((m, i) => m * sine[i]),
      item,
      frames,
      transform,
    );
  let last = null;
  for (let round = 0; round < item.rounds; round++) {
    const [real, imaginary] = stft(joined(), item, frames, transform);
    const [nextCosine, nextSine] = [new Float64Array(size), new Float64Array(size)];
    for (let i = 0; i < size; i++) {
      const a = last ? real[i] + MOMENTUM * (real[i] - last[0][i]) : real[i];
      const b = last ? imaginary[i] + MOMENTUM * (imaginary[i] - last[1][i]) : imaginary[i];
      const length = Math.max(Math.hypot(a, b), TINY);
      nextCosine[i] = a / length;
      nextSine[i] = b / length;
    }
    [cosine, sine, last] = [nextCosine, nextSine, [real, imaginary]];
  }
  return joined();
}
