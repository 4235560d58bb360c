// Random numbers as a function of a seed and the index of a sample: xoshiro128** (Blackman and Vigna 2018), whose state of four
// 32-bit numbers comes from splitmix32 of both. Uniform numbers take the upper 24 bits; normal ones come in pairs by Box and Muller.

function splitmix(state) {
  let now = state >>> 0;
  return () => {
    now = (now + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(now ^ (now >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
}

const rotated = (x, by) => (x << by) | (x >>> (32 - by));

export class Random {
  // seed: a whole number from 0 to 2^53 - 1; index: of the sample.
  constructor(seed, index = 0) {
    const low = splitmix(seed % 2 ** 32)();
    const high = splitmix((Math.floor(seed / 2 ** 32) ^ low) >>> 0)();
    const next = splitmix((high ^ Math.imul(index + 1, 0x85ebca6b)) >>> 0);
    this.state = [next(), next(), next(), next()];
    this.spare = null;
  }

  bits() {
    const s = this.state;
    const result = Math.imul(rotated(Math.imul(s[1], 5), 7), 9) >>> 0;
    const shifted = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotated(s[3], 11);
    return result;
  }

  // In [0, 1).
  uniform() {
    return (this.bits() >>> 8) * 2 ** -24;
  }

  normal() {
    if (this.spare !== null) {
      const spare = this.spare;
      this.spare = null;
      return spare;
    }
    const radius = Math.sqrt(-2 * Math.log((this.bits() + 1) * 2 ** -32));
    const angle = 2 * Math.PI * this.uniform();
    this.spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }
}
