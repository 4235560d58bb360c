// How loud a sound is: in each band over time, and at its peak.
// Legend: N samples, M mel bands, T frames. Matrices are in row-major order.

const TINY = 1e-8; // keeps divisions finite

// Levels (M, T) whose distances from running medians are multiplied by factors, which depend on the median.
// stages: the window of the median, levels, and the factor of each.
export function steady(levels, stages, frames) {
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
export function interpolated(x, places, values) {
  const right = places.findIndex((place) => place > x);
  if (right === 0) return values[0];
  if (right < 0) return values.at(-1);
  return values[right - 1] + ((x - places[right - 1]) / (places[right] - places[right - 1])) * (values[right] - values[right - 1]);
}

// The peak of the waveform of a grid (M, T), chosen such that samples are as loud as the data. audibleFrames: silence follows.
export function peakLevel(units, audibleFrames, { bands, levels, peak }, frames) {
  const { weights, sums, decibels } = levels;
  let total = 0;
  for (let band = 0; band < bands; band++) {
    const row = units.subarray(band * frames, (band + 1) * frames).map((unit, frame) => (frame < audibleFrames ? unit : -1));
    total += weights[band] * (row.reduce((sum, unit) => sum + unit, 0) / frames) + weights[bands + band] * Math.max(...row);
  }
  return Math.min(peak * 10 ** (interpolated(total, sums, decibels) / 20), 1);
}

// A waveform with this largest value; without one (null), it is only scaled down if it would be clipped.
export function atPeak(sound, peak, { gain }) {
  let highest = TINY;
  for (const value of sound) highest = Math.max(highest, Math.abs(value / gain));
  const scale = peak === null ? 1 / Math.max(highest, 1) : peak / highest;
  return Float32Array.from(sound, (value) => (value / gain) * scale);
}

// Where a sound of `length` samples ends, of whose frames the first `audibleFrames` are not silent.
export function endOf(audibleFrames, frames, length, { hop, lag, longest }) {
  const most = longest ?? length;
  return lag === null || audibleFrames === frames ? most : Math.min(Math.max(audibleFrames * hop + lag, 0), most);
}
