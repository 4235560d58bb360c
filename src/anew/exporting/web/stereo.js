// Two channels from one, by how they differ in each band.
// Legend: N samples, F frequencies (window / 2 + 1), M mel bands, T frames. Matrices are in row-major order.

import { Fourier, istft, stft } from "./fourier.js";
import { product, spreadOf } from "./mel_bands.js";

const MAX_IMAGE = 0.5; // largest value of a stereo image
// The difference in level of two channels that MAX_IMAGE stands for.
const MAX_BALANCE_DB = 20;
// The signal that makes channels differ is the sound, this much later.
const DELAY_SECONDS = 0.012;

// (N, 2) from mono (N) and a stereo image: how much louder the left channel is, and how similar both are, (M, T) each.
export function toStereo(sound, balance, similarity, bank, item, frames) {
  const { window, length, bands } = item;
  const lag = Math.min(Math.round(DELAY_SECONDS * item.rate), length - 1);
  const delayed = new Float64Array(length);
  delayed.set(sound.subarray(0, length - lag), lag);
  const bins = window / 2 + 1;
  const spread = spreadOf(bank, bands, bins);
  const limited = (value) => Math.min(MAX_IMAGE, Math.max(-MAX_IMAGE, value));
  const ratio = product(spread, balance.map(limited), bins, bands, frames).map(
    (value) => 10 ** ((value * MAX_BALANCE_DB) / (10 * MAX_IMAGE)),
  );
  const angle = product(
    spread,
    similarity.map((value) => MAX_IMAGE - limited(value)),
    bins,
    bands,
    frames,
  ).map((value) => (Math.PI / 2) * value);
  const transform = new Fourier(window);
  const middle = stft(sound, item, frames, transform);
  const side = stft(delayed, item, frames, transform);
  const channel = (sign, gain) => {
    const [real, imaginary] = [0, 1].map((part) =>
      middle[part].map((value, i) => gain(ratio[i]) * (value * Math.cos(angle[i]) + sign * side[part][i] * Math.sin(angle[i]))),
    );
    return istft(real, imaginary, item, frames, transform);
  };
  const left = channel(1, (r) => Math.sqrt((2 * r) / (1 + r)));
  const right = channel(-1, (r) => Math.sqrt(2 / (1 + r)));
  return Float64Array.from({ length: 2 * length }, (_, i) => (i % 2 ? right : left)[i >> 1]);
}
