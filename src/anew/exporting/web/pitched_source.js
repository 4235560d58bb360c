// The source of a voice: pulses at its pitch, and noise.
// Legend: N samples, F frequencies (window / 2 + 1), T frames. Matrices are in row-major order.

const [LOWEST_PITCH_HZ, HIGHEST_PITCH_HZ] = [60, 400];
// Single harmonics show up to this frequency.
const RESOLVED_HZ = 1200;
// A frame with less autocorrelation than the first number is noise alone; one with more than the second is pulses alone.
const VOICED = [0.6, 0.9];
// Each octave below the highest pitch must be worth this much autocorrelation.
const OCTAVE_COST = 0.05;
// Least overlap of the window with itself at a lag; keeps divisions finite.
const MIN_OVERLAP = 0.1;
const TINY = 1e-8; // keeps divisions finite

// (N): pulses at the pitch of magnitudes (F, T) where they are voiced, and noise (N) elsewhere.
export function pitchedSource(magnitude, noise, item, frames, transform) {
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
  const low = Math.max(2, Math.ceil(rate / HIGHEST_PITCH_HZ));
  const high = Math.min(Math.floor(rate / LOWEST_PITCH_HZ), size / 2 - 1);
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
