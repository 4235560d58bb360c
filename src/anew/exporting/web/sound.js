// Sound from log-mel grids: magnitudes of all frequencies, phases of steady tones, then Griffin-Lim.
// Legend: N samples, M mel bands, T frames; C channels and R rows of a grid. Matrices are in row-major order.

import { atPeak, endOf, peakLevel, steady } from "./levels.js";
import { fromMel, matchBands, melBank } from "./mel_bands.js";
import { waveform } from "./phases.js";
import { matchedBands, signalOf } from "./slow_signal.js";
import { toStereo } from "./stereo.js";

// A value below this share of the peak is not heard (-80 dB).
const SILENT = 1e-4;
// Values up to this become zero in a file of 16 bits.
const ZERO = 0.5 / 32767;
// Signals are resampled by a sinc with so many zeros on each side.
const SINC_LOBES = 16;
// So much of the silence at the end of a clip is kept.
const KEPT_SECONDS = 0.01;
// Grids hold the differences of paired bands times this factor.
const DETAIL = 0.5;

// The waveform of a grid (C, R, T) in [-1, 1], as a Float32Array (N), or (N, 2) of stereo.
// item: rate, channels, window, hop, bands, bands_per_row, length, depth, top, gain,
// written_rate, peak, levels, rounds, floor, tail, lag, longest, steadiness, band_levels, fade, noise_from, pitched.
// curve: values (C, N) of a slow signal with matched bands, where they are known.
export function waveOf(grid, item, curve = null) {
  const { channels } = item;
  const values = cleaned(grid);
  if (item.bands === 1) return signalOf(values, item, curve ?? matchedBands(values, item));
  const all = item.bands_per_row === 2 ? unpairBands(values, item) : values; // (1 or 3, M, T)
  const frames = all.length / item.bands / (channels === 2 ? 3 : 1);
  const area = item.bands * frames;
  const units = steady(all.subarray(0, area), item.steadiness, frames).map((unit) => (unit <= item.floor ? -1 : unit));
  let audibleFrames = 0; // frames up to the last audible one: after it is silence
  units.forEach((unit, i) => {
    if (unit > item.tail + 1e-4) audibleFrames = Math.max(audibleFrames, (i % frames) + 1);
  });
  const bands = units.map((unit, i) => {
    return unit <= -1 || i % frames >= audibleFrames ? 0 : 10 ** (((unit - 1) * (item.depth / 2) + item.top) / 20);
  });
  const bank = melBank(item);
  const magnitude = fromMel(bands, bank, item, frames);
  const mono = matchBands(waveform(magnitude, item, frames), bands, bank, item, frames);
  const whole = channels === 2 ? toStereo(mono, all.subarray(area, 2 * area), all.subarray(2 * area), bank, item, frames) : mono;
  const end = endOf(audibleFrames, frames, whole.length / channels, item);
  const last = Math.min(Math.max(end, 2 * item.fade), whole.length / channels) - 1;
  const ramp = (i) => Math.max(0, Math.min(i / item.fade, 1)); // without it a loud beginning would click
  const sound = whole.map((value, i) => value * ramp(Math.floor(i / channels)) * ramp(last - Math.floor(i / channels)));
  return atPeak(sound, item.levels ? peakLevel(units, audibleFrames, item, frames) : item.peak, item);
}

// Values of a grid in [-1, 1], 0 where they are not numbers.
export function cleaned(grid) {
  return Float64Array.from(grid, (value) => Math.min(1, Math.max(-1, Number.isFinite(value) ? value : 0)));
}

// Maps (1 or 3, M, T) of a grid (C, R, T) with two bands in a row: means, and as second channel their difference in level.
function unpairBands(grid, { channels, bands }) {
  const maps = channels === 2 ? 3 : 1;
  const area = grid.length / (maps + 1); // of a channel
  const frames = (2 * area) / bands;
  const out = new Float64Array(2 * maps * area);
  for (let map = 0; map < maps; map++) {
    for (let i = 0; i < area; i++) {
      const mean = grid[(map === 0 ? 0 : map + 1) * area + i];
      const room = map === 0 ? 1 - Math.abs(mean) : 0; // near silence there is little room for a difference
      const half = Math.min(room, Math.max(-room, grid[area + i] / DETAIL));
      const first = map * 2 * area + 2 * frames * Math.floor(i / frames) + (i % frames);
      out[first] = mean + half;
      out[first + frames] = mean - half;
    }
  }
  return out;
}

// A waveform (N), or (N, 2) of two channels, at `written_rate`, by a windowed sinc.
export function resampled(sound, { rate, written_rate: newRate, channels }) {
  if (newRate === rate) return sound;
  const count = sound.length / channels;
  const out = new Float32Array(channels * Math.floor((count * newRate) / rate));
  for (let i = 0; i < out.length / channels; i++) {
    const place = (i * rate) / newRate;
    const first = Math.floor(place);
    for (let index = Math.max(0, first + 1 - SINC_LOBES); index <= Math.min(count - 1, first + SINC_LOBES); index++) {
      const distance = place - index;
      const sinc = distance === 0 ? 1 : Math.sin(Math.PI * distance) / (Math.PI * distance);
      const weight = sinc * Math.cos((distance * Math.PI) / 2 / SINC_LOBES) ** 2;
      for (let channel = 0; channel < channels; channel++) out[channels * i + channel] += weight * sound[channels * index + channel];
    }
  }
  return out;
}

// A waveform (N), or (N, 2) of stereo, without the silence at its end, except for KEPT_SECONDS; a silent one stays as it is.
export function cutTail(sound, { rate, channels, longest }) {
  const peak = sound.reduce((highest, value) => Math.max(highest, Math.abs(value)), 0);
  let last = sound.length - 1;
  while (last >= 0 && Math.abs(sound[last]) <= Math.max(SILENT * peak, ZERO)) last--;
  const kept = last < 0 ? sound.length : Math.floor(last / channels) + 1 + Math.round(KEPT_SECONDS * rate);
  return sound.slice(0, channels * Math.min(kept, longest ?? kept));
}
