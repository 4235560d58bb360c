// Mel bands: magnitudes of all frequencies from them, and sounds brought near to them.
// Legend: N samples, F frequencies (window / 2 + 1), M mel bands, T frames. Matrices are in row-major order.

import { Fourier, istft, stft } from "./fourier.js";

const LOWEST_HZ = 30; // the first band begins here
// With more rounds, bands of speech come no nearer than 0.05 dB on average.
const MEL_ROUNDS = 10;
// The bands of a sound are brought to those of its grid in so many rounds, none of which raises a band by more than MAX_RATIO.
const MATCHING_ROUNDS = 4;
const MAX_RATIO = 10;
const TINY = 1e-8; // keeps divisions finite

// (M, F) triangles, evenly spaced on the mel scale; each sums to 1 and is at least two bins wide.
export function melBank({ rate, window, bands }) {
  const mel = (hertz) => 2595 * Math.log10(1 + hertz / 700);
  const [lowest, top] = [mel(LOWEST_HZ), mel(rate / 2)];
  const points = Array.from({ length: bands + 2 }, (_, i) => 700 * (10 ** ((lowest + ((top - lowest) * i) / (bands + 1)) / 2595) - 1));
  const count = window / 2 + 1;
  const bank = new Float64Array(bands * count);
  for (let band = 0; band < bands; band++) {
    const centre = points[band + 1];
    const low = Math.min(points[band], centre - rate / window);
    const high = Math.max(points[band + 2], centre + rate / window);
    let total = 0;
    for (let bin = 0; bin < count; bin++) {
      const hertz = (bin * rate) / window;
      const weight = Math.max(0, Math.min((hertz - low) / (centre - low), (high - hertz) / (high - centre)));
      bank[band * count + bin] = weight;
      total += weight;
    }
    for (let bin = 0; bin < count; bin++) bank[band * count + bin] /= total;
  }
  return bank;
}

function transposed(a, rows, columns) {
  const out = new Float64Array(a.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = a[i * columns + j];
  return out;
}

// (m, k) times (k, n). Zeros of the first are skipped: a mel bank is mostly zeros.
export function product(a, b, m, k, n) {
  const out = new Float64Array(m * n);
  for (let i = 0; i < m; i++)
    for (let inner = 0; inner < k; inner++) {
      const value = a[i * k + inner];
      if (value === 0) continue;
      for (let j = 0, o = i * n, from = inner * n; j < n; j++) out[o++] += value * b[from++];
    }
  return out;
}

// Magnitudes (F, T) whose mel bands are close to (M, T) (multiplicative updates of Lee and Seung 1999, divergence).
export function fromMel(mel, bank, { bands, window }, frames, rounds = MEL_ROUNDS) {
  const count = window / 2 + 1;
  const spread = transposed(bank, bands, count);
  const weight = product(spread, new Float64Array(bands).fill(1), count, bands, 1).map((value) => Math.max(value, TINY));
  const gathered = (values) => product(spread, values, count, bands, frames).map((value, i) => value / weight[Math.floor(i / frames)]);
  const magnitude = gathered(mel);
  for (let round = 0; round < rounds; round++) {
    const reached = product(bank, magnitude, bands, count, frames);
    const factor = gathered(mel.map((value, i) => value / Math.max(reached[i], TINY)));
    for (let i = 0; i < magnitude.length; i++) magnitude[i] *= factor[i];
  }
  return magnitude;
}

// A waveform (N) whose mel bands are brought near to (M, T); what is finer than a band stays.
export function matchBands(sound, mel, bank, item, frames) {
  const bins = item.window / 2 + 1;
  const spread = spreadOf(bank, item.bands, bins);
  const transform = new Fourier(item.window);
  for (let round = 0; round < MATCHING_ROUNDS; round++) {
    const [real, imaginary] = stft(sound, item, frames, transform);
    const magnitude = real.map((value, i) => Math.hypot(value, imaginary[i]));
    const reached = product(bank, magnitude, item.bands, bins, frames);
    const ratio = product(
      spread,
      mel.map((value, i) => Math.min(value / Math.max(reached[i], TINY), MAX_RATIO)),
      bins,
      item.bands,
      frames,
    );
    sound = istft(
      real.map((value, i) => value * ratio[i]),
      imaginary.map((value, i) => value * ratio[i]),
      item,
      frames,
      transform,
    );
  }
  return sound;
}

// (F, M) the share of each band in each frequency, of a bank (M, F).
export function spreadOf(bank, bands, bins) {
  const spread = transposed(bank, bands, bins);
  for (let bin = 0; bin < bins; bin++) {
    const row = spread.subarray(bin * bands, (bin + 1) * bands);
    const total = Math.max(
      row.reduce((sum, weight) => sum + weight, 0),
      TINY,
    );
    row.forEach((weight, band) => (row[band] = weight / total));
  }
  return spread;
}
