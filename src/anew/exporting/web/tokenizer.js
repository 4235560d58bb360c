// Tokenizers: of characters, or of sub-words of bytes (BPE). settings: `tokenizer` of the program's item.

const HEX = 6; // digits of an escaped character

export function makeTokenizer(settings) {
  return settings.kind === "bpe" ? new SubWords(settings) : new Characters(settings);
}

// Each letter has an id. Any other character is an escape and six hexadecimal digits.
class Characters {
  // unknown: the letter as which any other character is read, instead of an escape.
  constructor({ letters, unknown }) {
    this.letters = [...letters];
    this.unknown = unknown ?? null;
    this.escape = this.letters.length;
    this.ids = new Map(this.letters.map((letter, id) => [letter, id]));
  }

  encode(text) {
    return [...text].flatMap((letter) => {
      const id = this.ids.get(letter) ?? this.ids.get(this.unknown);
      if (id !== undefined) return [id];
      const point = letter.codePointAt(0);
      const digits = Array.from({ length: HEX }, (_, i) => (point >> (4 * (HEX - 1 - i))) & 15);
      return [this.escape, ...digits.map((digit) => this.escape + 1 + digit)];
    });
  }

  decode(ids) {
    let text = "";
    for (let at = 0; at < ids.length;) {
      const id = ids[at++];
      if (id < this.escape) {
        text += this.letters[id];
        continue;
      }
      let point = 0;
      let digits = 0;
      while (id === this.escape && digits < HEX && at < ids.length && ids[at] > this.escape) {
        point = point * 16 + (ids[at++] - this.escape - 1);
        digits++;
      }
      const isReal = digits === HEX && point <= 0x10ffff && !(point >= 0xd800 && point <= 0xdfff);
      text += isReal ? String.fromCodePoint(point) : "\ufffd";
    }
    return text;
  }

  // The text of one token, to be shown alone.
  piece(id) {
    return id < this.escape ? this.letters[id] : id === this.escape ? "\ufffd" : "";
  }
}

class SubWords {
  // pieces: the bytes of each id, as the characters 0 to 255; merges: pairs of ids; words: a regular expression of words, within which
  // bytes are merged.
  constructor({ pieces, merges, words }) {
    this.pieces = pieces;
    this.split = new RegExp(words, "gu");
    const ids = new Map(pieces.map((piece, id) => [piece, id]));
    this.bytes = Array.from({ length: 256 }, (_, byte) => ids.get(String.fromCharCode(byte)));
    this.ranks = new Map(merges.map(([a, b], rank) => [a * pieces.length + b, { rank, id: ids.get(pieces[a] + pieces[b]) }]));
    this.cache = new Map();
    this.encoder = new TextEncoder();
    this.decoder = new TextDecoder("utf-8", { ignoreBOM: true }); // else it would drop U+FEFF at the beginning
  }

  encode(text) {
    return (text.toWellFormed?.() ?? text).match(this.split)?.flatMap((word) => this.word(word)) ?? [];
  }

  word(word) {
    if (!this.cache.has(word)) {
      const ids = [...this.encoder.encode(word)].map((byte) => this.bytes[byte]);
      for (;;) {
        let best = null;
        for (let i = 0; i + 1 < ids.length; i++) {
          const merge = this.ranks.get(ids[i] * this.pieces.length + ids[i + 1]);
          if (merge && (best === null || merge.rank < best.rank)) best = { ...merge, at: i };
        }
        if (best === null) break;
        ids.splice(best.at, 2, best.id);
      }
      this.cache.set(word, ids);
    }
    return this.cache.get(word);
  }

  decode(ids) {
    const letters = ids.map((id) => this.pieces[id] ?? "").join("");
    return this.decoder.decode(Uint8Array.from(letters, (letter) => letter.charCodeAt(0)));
  }

  piece(id) {
    return this.decode([id]);
  }
}
