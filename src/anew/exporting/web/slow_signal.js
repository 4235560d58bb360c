// Slow signals, whose values are learned as they are, without a spectrogram.
// Legend: N values of a channel, C channels. Matrices are in row-major order.

import { Fourier } from "./fourier.js";
import { atPeak, endOf, interpolated, peakLevel } from "./levels.js";

const MAX_GAIN_DB = 20; // of a band
const FAINTEST = 1e-12; // least share of the power; keeps logarithms finite
const TINY_POWER = 1e-30; // keeps divisions finite

// The waveform (N), or (N, 2) of two channels, of a slow signal whose values (C, N) are learned as they are. matched: with matched bands.
export function signalOf(values, item, matched) {
  const { channels, hop, length } = item;
  const sound = Float64Array.from(values, (_, i) => matched[(i % channels) * length + Math.floor(i / channels)]);
  let audibleFrames = 0;
  const units = Float64Array.from({ length: length / hop }, (_, frame) => {
    let power = 0; // the mean of the channels, which may be opposite
    for (let channel = 0; channel < channels; channel++) {
      for (let i = frame * hop; i < (frame + 1) * hop; i++) power += values[channel * length + i] ** 2 / (channels * hop);
    }
    const unit = Math.min(1, Math.max(-1, 10 * Math.log10(Math.max(power, 1e-12)) * (2 / item.depth) + 1));
    if (unit > item.tail + 1e-4) audibleFrames = frame + 1;
    return unit;
  });
  sound.fill(0, channels * endOf(audibleFrames, units.length, length, item));
  return atPeak(sound, item.levels ? peakLevel(units, audibleFrames, item, units.length) : item.peak, item);
}

// Signals (C, N), mirrored at their ends, whose bands are as loud as those of clips.
export function matchedBands(values, { band_levels: bandLevels, channels, length }) {
  if (!bandLevels) return values;
  const [edges, means, shifts, factors] = bandLevels;
  const middles = edges.slice(1).map((edge, band) => (edges[band] + edge - 1) / 2);
  const transform = new Fourier(2 * length);
  const spectra = Array.from({ length: channels }, (_, channel) => {
    const real = Float64Array.from({ length: 2 * length }, (_, i) => values[channel * length + Math.min(i, 2 * length - 1 - i)]);
    const imaginary = new Float64Array(2 * length);
    transform.run(real, imaginary, -1);
    return { real, imaginary, power: Float64Array.from({ length: length + 1 }, (_, i) => real[i] ** 2 + imaginary[i] ** 2) };
  });
  const total = Math.max(
    spectra.reduce((sum, { power }) => power.reduce((part, value) => part + value, sum), 0),
    TINY_POWER,
  );
  const out = new Float64Array(values.length);
  spectra.forEach(({ real, imaginary, power }, channel) => {
    const gains = middles.map((_, band) => {
      const [low, high] = [edges[band], edges[band + 1]];
      const mean = power.subarray(low, high).reduce((sum, value) => sum + value, 0) / (high - low);
      const level = 10 * Math.log10(mean / total + FAINTEST);
      const gain = shifts[channel][band] + (factors[channel][band] - 1) * (level - means[channel][band]);
      return Math.min(MAX_GAIN_DB, Math.max(-MAX_GAIN_DB, gain));
    });
    for (let i = 0; i < 2 * length; i++) {
      const factor = 10 ** (interpolated(Math.min(i, 2 * length - i), middles, gains) / 20) / (2 * length);
      real[i] *= factor;
      imaginary[i] *= factor;
    }
    transform.run(real, imaginary, 1);
    out.set(real.subarray(0, length), channel * length);
  });
  return out;
}
