// Values as pixels, and images, animations and sounds as files.

// RGBA levels, 0 to 255, of one image (C, H, W) in [-1, 1]. offset: of its first value; step: between its channels.
export function pixels(values, [channels, height, width], offset = 0, step = height * width) {
  const out = new Uint8ClampedArray(height * width * 4);
  const unit = (channel, i) => Math.min(1, Math.max(0, ((values[offset + channel * step + i] || 0) + 1) / 2));
  for (let i = 0; i < height * width; i++) {
    const alpha = channels === 4 ? Math.round(unit(3, i) * 255) / 255 : 1;
    for (let k = 0; k < 3; k++) {
      const level = unit(channels < 3 ? 0 : k, i);
      // Colours are multiplied by alpha.
      out[4 * i + k] = Math.round(255 * (channels === 4 ? (alpha > 0 ? Math.min(1, level / Math.max(alpha, 1 / 255)) : 0) : level));
    }
    out[4 * i + 3] = Math.round(alpha * 255);
  }
  return out;
}

export function draw(canvas, levels, width, height) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(new ImageData(levels, width, height), 0, 0);
}

const CURVE_HEIGHT = 96; // pixels of the curve of a signal, which is at most CURVE_WIDTH wide
const CURVE_WIDTH = 256;

// The curve of a slow signal, values (C, 1, N) in [-1, 1], as {frames, width, height}; two channels one below the other.
function curveOf(values, channels, length) {
  const width = Math.min(CURVE_WIDTH, length);
  const height = Math.floor(CURVE_HEIGHT / channels);
  const image = new Float32Array(channels * height * width).fill(1);
  const row = (value) => Math.round(((1 - Math.min(1, Math.max(-1, value || 0))) / 2) * (height - 1));
  for (let channel = 0; channel < channels; channel++) {
    for (let column = 0; column < width; column++) {
      // From the last value of the column before, so that columns touch
      const from = Math.max(0, Math.floor((column * length) / width) - 1);
      const rows = values.subarray(channel * length + from, channel * length + Math.floor(((column + 1) * length) / width));
      const [low, high] = rows.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [1, -1]);
      for (let y = row(high); y <= row(low); y++) image[(channel * height + y) * width + column] = -1;
    }
  }
  return { frames: [pixels(image, [1, channels * height, width])], width, height: channels * height };
}

// The frames of an item as {frames, width, height}. A sound shows its spectrogram, low bands at the bottom, and a slow signal its curve.
export function framesOf({ shape, values, curve = values }, kind) {
  if (kind === "clip") {
    const [channels, frames, height, width] = shape;
    const area = height * width;
    const all = Array.from({ length: frames }, (_, t) => pixels(values, [channels, height, width], t * area, frames * area));
    return { frames: all, width, height };
  }
  const [channels, height, width] = shape.length === 3 ? shape : [1, 1, values.length];
  if (kind !== "sound") return { frames: [pixels(values, [channels, height, width])], width, height };
  if (height === 1) return curveOf(curve, channels, width);
  const flipped = new Float32Array(values.length);
  for (let row = 0; row < height; row++) flipped.set(values.subarray(row * width, (row + 1) * width), (height - 1 - row) * width);
  return { frames: [pixels(flipped, [1, height, width])], width, height };
}

export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export function saveImage(canvas, name) {
  canvas.toBlob((blob) => save(blob, name), "image/png");
}

// A 16-bit WAV file. samples: (N), or (N, 2) of two channels.
export function wav(samples, rate, channels = 1) {
  const bytes = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const word = (at, letters) => [...letters].forEach((letter, i) => bytes.setUint8(at + i, letter.charCodeAt(0)));
  word(0, "RIFF");
  bytes.setUint32(4, 36 + 2 * samples.length, true);
  word(8, "WAVEfmt ");
  bytes.setUint32(16, 16, true);
  bytes.setUint16(20, 1, true);
  bytes.setUint16(22, channels, true);
  bytes.setUint32(24, rate, true);
  bytes.setUint32(28, 2 * channels * rate, true);
  bytes.setUint16(32, 2 * channels, true);
  bytes.setUint16(34, 16, true);
  word(36, "data");
  bytes.setUint32(40, 2 * samples.length, true);
  samples.forEach((value, i) => bytes.setInt16(44 + 2 * i, Math.round(Math.min(1, Math.max(-1, value)) * 32767), true));
  return new Blob([bytes.buffer], { type: "audio/wav" });
}

// A GIF that repeats. frames: RGBA levels of each; delay: hundredths of a second. Small frames are enlarged.
export function gif(frames, width, height, delay) {
  const scale = Math.max(1, Math.round(128 / Math.max(width, height)));
  const [wide, high] = [width * scale, height * scale];
  const palette = paletteOf(frames);
  const bytes = [..."GIF89a"].map((letter) => letter.charCodeAt(0));
  const short = (value) => bytes.push(value & 255, value >> 8);
  short(wide);
  short(high);
  bytes.push(0xf7, 0, 0, ...palette.colours.flat());
  bytes.push(0x21, 0xff, 11, ...[..."NETSCAPE2.0"].map((letter) => letter.charCodeAt(0)), 3, 1, 0, 0, 0);
  for (const levels of frames) {
    bytes.push(0x21, 0xf9, 4, 4);
    short(delay);
    bytes.push(0, 0, 0x2c, 0, 0, 0, 0);
    short(wide);
    short(high);
    bytes.push(0, 8);
    const indices = new Uint8Array(wide * high);
    for (let y = 0; y < high; y++)
      for (let x = 0; x < wide; x++) {
        const at = 4 * (Math.floor(y / scale) * width + Math.floor(x / scale));
        indices[y * wide + x] = palette.index(levels[at], levels[at + 1], levels[at + 2]);
      }
    const packed = compressed(indices);
    for (let at = 0; at < packed.length; at += 255) {
      const piece = packed.slice(at, at + 255);
      bytes.push(piece.length);
      for (const byte of piece) bytes.push(byte);
    }
    bytes.push(0);
  }
  bytes.push(0x3b);
  return new Blob([new Uint8Array(bytes)], { type: "image/gif" });
}

// A palette: 256 greys if no frame has colour, else 6 x 7 x 6 colours.
function paletteOf(frames) {
  const isGrey = frames.every((levels) => levels.every((level, i) => i % 4 === 3 || level === levels[i - (i % 4)]));
  if (isGrey) return { colours: Array.from({ length: 256 }, (_, level) => [level, level, level]), index: (r) => r };
  const colours = [];
  for (let r = 0; r < 6; r++) for (let g = 0; g < 7; g++) for (let b = 0; b < 6; b++) colours.push([r * 51, Math.round(g * 42.5), b * 51]);
  while (colours.length < 256) colours.push([0, 0, 0]);
  return { colours, index: (r, g, b) => Math.round(r / 51) * 42 + Math.round(g / 42.5) * 6 + Math.round(b / 51) };
}

// LZW compression of GIF, with codes of 9 to 12 bits.
function compressed(indices) {
  const out = [];
  let [buffer, filled] = [0, 0];
  let [table, next, size] = [new Map(), 258, 9];
  const put = (code) => {
    buffer |= code << filled;
    filled += size;
    while (filled >= 8) {
      out.push(buffer & 255);
      buffer >>>= 8;
      filled -= 8;
    }
  };
  put(256);
  let known = indices[0];
  for (let i = 1; i < indices.length; i++) {
    const longer = (known << 8) | indices[i];
    if (table.has(longer)) {
      known = table.get(longer);
      continue;
    }
    put(known);
    if (next < 4096) {
      table.set(longer, next);
      if (next++ === 1 << size && size < 12) size++;
    } else {
      put(256);
      [table, next, size] = [new Map(), 258, 9];
    }
    known = indices[i];
  }
  put(known);
  put(257);
  if (filled) out.push(buffer & 255);
  return out;
}
