// Sound from log-mel grids: magnitudes of all frequencies, phases of steady tones, then Griffin-Lim.
// Legend: N samples, F frequencies (window / 2 + 1), M mel bands, T frames; C channels and R rows of a grid. Matrices are in row-major order.

import { Random } from "./random.js";

const LOWEST_HZ = 30; // where the first mel band begins
const MEL_ROUNDS = 10; // from which on bands of speech are within 0.05 dB on average
const MOMENTUM = 0.99; // of the fast Griffin-Lim algorithm (Perraudin, Balazs and Søndergaard 2013)
const TINY = 1e-8; // keeps divisions finite
const LOBE = 3; // bins on each side of a peak whose centroid is its frequency
const FLAT = 1e-5; // neighbours that differ by a smaller share count as equal: rounding makes no peaks
const MATCHING_ROUNDS = 4; // in which the bands of a sound are brought to those of its grid
const MAX_RATIO = 10; // by which a round may raise a band
const BLEND = 0.15; // width of the transition from tones to noise, relative to its frequency
const SILENT = 1e-4; // a value below this share of the peak is not heard (-80 dB)
const ZERO = 0.5 / 32767; // values up to this become zero in a file of 16 bits
const SINC_LOBES = 16; // zeros of the sinc on each side, by which signals are resampled
const KEPT_SECONDS = 0.01; // of the silence at the end of a clip
const INAUDIBLE_SHARE = 1e-3; // share of tones below which their phases are not needed
const DETAIL = 0.5; // factor of the differences of paired bands
const MAX_IMAGE = 0.5; // largest value of a stereo image
const MAX_BALANCE_DB = 20; // level difference of two channels that MAX_IMAGE stands for
const DELAY_SECONDS = 0.012; // of the side signal, which makes channels differ
const PITCH_HZ = [60, 400]; // lowest and highest pitch
const RESOLVED_HZ = 1200; // up to which single harmonics show
const VOICED = [0.6, 0.9]; // autocorrelation from which a frame pulses at all, and from which it has no noise
const OCTAVE_COST = 0.05; // of autocorrelation for each octave below the highest pitch
const MIN_OVERLAP = 0.1; // of the window with itself at a lag: keeps divisions finite
const MAX_GAIN_DB = 20; // of a band of a slow signal
const FAINTEST = 1e-12; // of the power of a slow signal; keeps logarithms finite
const TINY_POWER = 1e-30; // keeps divisions finite

// The waveform of a grid (C, R, T) in [-1, 1], as a Float32Array (N), or (N, 2) of stereo.
// item: rate, channels, window, hop, bands, bands_per_row, length, depth, top, gain,
// written_rate, peak, levels, rounds, floor, tail, lag, steadiness, band_levels, fade, noise_from, pitched.
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
  const endsEarly = item.lag !== null && audibleFrames < frames;
  const end = endsEarly ? Math.max(audibleFrames * item.hop + item.lag, 2 * item.fade) : whole.length / channels;
  const last = Math.min(end, whole.length / channels) - 1;
  const ramp = (i) => Math.max(0, Math.min(i / item.fade, 1)); // without it a loud beginning would click
  const sound = whole.map((value, i) => value * ramp(Math.floor(i / channels)) * ramp(last - Math.floor(i / channels)));
  return atPeak(sound, item.levels ? peakLevel(units, audibleFrames, item, frames) : item.peak, item);
}

// Values of a grid in [-1, 1], 0 where they are not numbers.
export function cleaned(grid) {
  return Float64Array.from(grid, (value) => Math.min(1, Math.max(-1, Number.isFinite(value) ? value : 0)));
}

// A waveform with this largest value; without one (null), it is only scaled down if it would be clipped.
function atPeak(sound, peak, { gain }) {
  let highest = TINY;
  for (const value of sound) highest = Math.max(highest, Math.abs(value / gain));
  const scale = peak === null ? 1 / Math.max(highest, 1) : peak / highest;
  return Float32Array.from(sound, (value) => (value / gain) * scale);
}

// The waveform (N), or (N, 2) of two channels, of a slow signal whose values (C, N) are learned as they are. matched: with matched bands.
function signalOf(values, item, matched) {
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
  if (item.lag !== null && audibleFrames < units.length) sound.fill(0, channels * Math.max(audibleFrames * hop + item.lag, 0));
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

// Levels (M, T) whose distances from running medians are multiplied by factors, which depend on the median.
// stages: the window of the median, levels, and the factor of each.
function steady(levels, stages, frames) {
  for (const [window, places, factors] of stages) {
    const before = levels;
    const sorted = new Float64Array(window);
    levels = before.map((level, i) => {
      const median = medianAbout(before, i, frames, sorted);
      return median + interpolated(median, places, factors) * (level - median);
    });
  }
  return levels;
}

// The median of as many frames about the value i of (M, T) as `sorted` holds; the first and the last frame go on beyond the ends.
// Values are inserted in order: an array and a sort for each value take longer.
function medianAbout(values, i, frames, sorted) {
  const [frame, first, side] = [i % frames, i - (i % frames), (sorted.length - 1) / 2];
  for (let step = 0; step < sorted.length; step++) {
    const value = values[first + Math.min(frames - 1, Math.max(0, frame + step - side))];
    let place = step;
    for (; place > 0 && sorted[place - 1] > value; place--) sorted[place] = sorted[place - 1];
    sorted[place] = value;
  }
  return sorted[side];
}

// The value at x of straight lines through points, and beyond them that of the first or last one.
function interpolated(x, places, values) {
  const right = places.findIndex((place) => place > x);
  if (right === 0) return values[0];
  if (right < 0) return values.at(-1);
  return values[right - 1] + ((x - places[right - 1]) / (places[right] - places[right - 1])) * (values[right] - values[right - 1]);
}

// A waveform (N), or (N, 2) of stereo, without the silence at its end, except for KEPT_SECONDS; a silent one stays as it is.
export function cutTail(sound, { rate, channels }) {
  const peak = sound.reduce((highest, value) => Math.max(highest, Math.abs(value)), 0);
  let last = sound.length - 1;
  while (last >= 0 && Math.abs(sound[last]) <= Math.max(SILENT * peak, ZERO)) last--;
  return last < 0 ? sound : sound.slice(0, channels * (Math.floor(last / channels) + 1 + Math.round(KEPT_SECONDS * rate)));
}

// The peak of the waveform of a grid (M, T), chosen such that samples are as loud as the data. audibleFrames: silence follows.
function peakLevel(units, audibleFrames, { bands, levels, peak }, frames) {
  const { weights, sums, decibels } = levels;
  let total = 0;
  for (let band = 0; band < bands; band++) {
    const row = units.subarray(band * frames, (band + 1) * frames).map((unit, frame) => (frame < audibleFrames ? unit : -1));
    total += weights[band] * (row.reduce((sum, unit) => sum + unit, 0) / frames) + weights[bands + band] * Math.max(...row);
  }
  return Math.min(peak * 10 ** (interpolated(total, sums, decibels) / 20), 1);
}

// A waveform (N) with magnitudes (F, T): steady tones below `noise_from`, noise above it.
function waveform(magnitude, item, frames) {
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
  const random = new Random(0);
  const transform = new Fourier(window);
  const noise = Float64Array.from({ length }, () => random.normal());
  const source = item.pitched ? pitchedSource(magnitude, noise, item, frames, transform) : noise;
  const [real, imaginary] = stft(source, item, frames, transform);
  const mean = new Float64Array(frames);
  real.forEach((value, i) => (mean[i % frames] += Math.hypot(value, imaginary[i]) / share.length));
  const scaled = (part) => part.map((value, i) => (partOf(magnitude[i], i) * value) / Math.max(mean[i % frames], TINY));
  return istft(scaled(real), scaled(imaginary), item, frames, transform).map((value, i) => value + tones[i]);
}

// (N): pulses at the pitch of magnitudes (F, T) where they are voiced, and noise (N) elsewhere.
function pitchedSource(magnitude, noise, item, frames, transform) {
  const [hertz, voicing] = pitchOf(magnitude, item, frames, transform);
  const at = (values, i) => {
    const time = Math.min(frames - 1, Math.max(0, (i + 0.5) / item.hop - 0.5));
    const [left, right] = [Math.floor(time), Math.ceil(time)];
    return values[left] + (time - left) * (values[right] - values[left]);
  };
  const pulses = new Float64Array(noise.length);
  let turns = at(hertz, 0) / item.rate;
  for (let i = 1; i < noise.length; i++) {
    const cycles = at(hertz, i) / item.rate;
    const begins = Math.floor(turns + cycles) > Math.floor(turns);
    turns += cycles;
    if (!begins) continue;
    const since = (turns % 1) / cycles; // in samples: a pulse between two samples is shared by both
    const height = Math.sqrt(1.5 / cycles); // sharing takes a third of the power
    pulses[i] += (1 - since) * height;
    pulses[i - 1] += since * height;
  }
  return noise.map((value, i) => {
    const share = Math.min(1, Math.max(0, (at(voicing, i) - VOICED[0]) / (VOICED[1] - VOICED[0])));
    return Math.sqrt(share) * pulses[i] + Math.sqrt(1 - share) * value;
  });
}

// The pitch in Hz of each frame of magnitudes (F, T), and its autocorrelation there, (T) each (Boersma 1993).
function pitchOf(magnitude, { rate, window: size }, frames, transform) {
  const low = Math.max(2, Math.ceil(rate / PITCH_HZ[1]));
  const high = Math.min(Math.floor(rate / PITCH_HZ[0]), size / 2 - 1);
  const overlap = Float64Array.from({ length: high + 2 }, (_, lag) => {
    let sum = 0;
    for (let i = lag; i < size; i++) sum += transform.window[i] * transform.window[i - lag];
    return sum;
  });
  const [hertz, voicing] = [new Float64Array(frames), new Float64Array(frames)];
  for (let frame = 0; frame < frames; frame++) {
    const [real, imaginary] = [new Float64Array(size), new Float64Array(size)];
    for (let bin = 0; bin <= size / 2 && (bin * rate) / size < RESOLVED_HZ; bin++)
      real[bin] = real[(size - bin) % size] = magnitude[bin * frames + frame] ** 2;
    transform.run(real, imaginary, 1);
    const at = (lag) => real[lag] / Math.max(real[0], size * TINY ** 2) / Math.max(overlap[lag] / overlap[0], MIN_OVERLAP);
    const merit = (lag) => at(lag) - OCTAVE_COST * Math.log2(lag / low);
    let lag = low;
    for (let next = low + 1; next <= high; next++) if (merit(next) > merit(lag)) lag = next;
    const bend = at(lag - 1) - 2 * at(lag) + at(lag + 1);
    const offset = bend < -TINY ? Math.min(0.5, Math.max(-0.5, (0.5 * (at(lag - 1) - at(lag + 1))) / bend)) : 0;
    hertz[frame] = rate / (lag + offset);
    voicing[frame] = at(lag);
  }
  return [hertz, voicing];
}

// (N, 2) from mono (N) and a stereo image: how much louder the left channel is, and how similar both are, (M, T) each.
function toStereo(sound, balance, similarity, bank, item, frames) {
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

// (M, F) triangles, evenly spaced on the mel scale; each sums to 1 and is at least two bins wide.
function melBank({ rate, window, bands }) {
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
function product(a, b, m, k, n) {
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
function fromMel(mel, bank, { bands, window }, frames, rounds = MEL_ROUNDS) {
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
function matchBands(sound, mel, bank, item, frames) {
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
function spreadOf(bank, bands, bins) {
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

// Fourier transforms of one size.
class Fourier {
  constructor(size) {
    this.size = size;
    this.cosines = Float64Array.from({ length: size }, (_, i) => Math.cos((2 * Math.PI * i) / size));
    this.sines = Float64Array.from({ length: size }, (_, i) => Math.sin((2 * Math.PI * i) / size));
    this.isPower = (size & (size - 1)) === 0;
    this.window = Float64Array.from({ length: size }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / size));
  }

  // Transform in place. direction: -1 from values to frequencies, 1 back, without scaling.
  run(real, imaginary, direction) {
    const { size, cosines, sines } = this;
    if (!this.isPower) return this.runByChirps(real, imaginary, direction);
    for (let i = 1, j = 0; i < size; i++) {
      let bit = size >> 1;
      for (; j & bit; bit >>= 1) j ^= bit;
      j ^= bit;
      if (i < j) {
        [real[i], real[j]] = [real[j], real[i]];
        [imaginary[i], imaginary[j]] = [imaginary[j], imaginary[i]];
      }
    }
    for (let length = 2; length <= size; length *= 2) {
      const half = length / 2;
      const step = size / length;
      for (let start = 0; start < size; start += length)
        for (let k = 0; k < half; k++) {
          const [c, s] = [cosines[k * step], direction * sines[k * step]];
          const [a, b] = [start + k, start + k + half];
          const x = real[b] * c - imaginary[b] * s;
          const y = real[b] * s + imaginary[b] * c;
          real[b] = real[a] - x;
          imaginary[b] = imaginary[a] - y;
          real[a] += x;
          imaginary[a] += y;
        }
    }
  }

  // Any size: as n k = (n² + k² - (k - n)²) / 2, a convolution with chirps, in a size that is a power of two (Bluestein 1970).
  runByChirps(real, imaginary, direction) {
    const { size } = this;
    this.inner ??= new Fourier(2 ** Math.ceil(Math.log2(2 * size)));
    const { inner } = this;
    const angle = (n) => (direction * Math.PI * ((n * n) % (2 * size))) / size;
    const [a, b, c, d] = Array.from({ length: 4 }, () => new Float64Array(inner.size));
    for (let n = 0; n < size; n++) {
      const [cosine, sine] = [Math.cos(angle(n)), Math.sin(angle(n))];
      a[n] = real[n] * cosine - imaginary[n] * sine;
      b[n] = real[n] * sine + imaginary[n] * cosine;
      c[n] = c[(inner.size - n) % inner.size] = cosine;
      d[n] = d[(inner.size - n) % inner.size] = -sine;
    }
    inner.run(a, b, -1);
    inner.run(c, d, -1);
    for (let i = 0; i < inner.size; i++)
      [a[i], b[i]] = [(a[i] * c[i] - b[i] * d[i]) / inner.size, (a[i] * d[i] + b[i] * c[i]) / inner.size];
    inner.run(a, b, 1);
    for (let k = 0; k < size; k++) {
      const [cosine, sine] = [Math.cos(angle(k)), Math.sin(angle(k))];
      real[k] = a[k] * cosine - b[k] * sine;
      imaginary[k] = a[k] * sine + b[k] * cosine;
    }
  }
}

// Short-time Fourier transform: (N) -> real and imaginary parts (F, T).
function stft(sound, { window, hop }, frames, transform) {
  const bins = window / 2 + 1;
  const edge = Math.floor((window - hop) / 2);
  const [real, imaginary] = [new Float64Array(bins * frames), new Float64Array(bins * frames)];
  const [a, b] = [new Float64Array(window), new Float64Array(window)];
  for (let frame = 0; frame < frames; frame++) {
    for (let i = 0; i < window; i++) a[i] = (sound[frame * hop + i - edge] ?? 0) * transform.window[i];
    b.fill(0);
    transform.run(a, b, -1);
    for (let bin = 0; bin < bins; bin++) {
      real[bin * frames + frame] = a[bin];
      imaginary[bin * frames + frame] = b[bin];
    }
  }
  return [real, imaginary];
}

// Least-squares inverse of `stft` (Griffin and Lim 1984).
function istft(real, imaginary, { window, hop, length }, frames, transform) {
  const bins = window / 2 + 1;
  const edge = Math.floor((window - hop) / 2);
  const total = (frames - 1) * hop + window;
  const [added, weight] = [new Float64Array(total), new Float64Array(total)];
  const [a, b] = [new Float64Array(window), new Float64Array(window)];
  for (let frame = 0; frame < frames; frame++) {
    for (let bin = 0; bin < bins; bin++) {
      a[bin] = real[bin * frames + frame];
      b[bin] = bin === 0 || bin === window / 2 ? 0 : imaginary[bin * frames + frame];
      if (bin > 0 && bin < window / 2) {
        a[window - bin] = a[bin];
        b[window - bin] = -b[bin];
      }
    }
    transform.run(a, b, 1);
    for (let i = 0; i < window; i++) {
      added[frame * hop + i] += (a[i] / window) * transform.window[i];
      weight[frame * hop + i] += transform.window[i] ** 2;
    }
  }
  return Float64Array.from({ length }, (_, i) => (added[edge + i] ?? 0) / Math.max(weight[edge + i] ?? 0, 1e-3));
}
