// Fourier transforms of any size, of a whole signal or of overlapping windows.
// Legend: N samples, F frequencies (window / 2 + 1), T frames. Matrices are in row-major order.

// Fourier transforms of one size.
export class Fourier {
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
export function stft(sound, { window, hop }, frames, transform) {
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
export function istft(real, imaginary, { window, hop, length }, frames, transform) {
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
