// One sample on the page, while it forms and when it is finished.

import { element } from "./elements.js";
import { draw, framesOf, gif, save, saveImage, wav } from "./media.js";

const MIN_PLAYED_RATE = 3000; // Hz of a file, below which Chromium does not play it

export class Sample {
  // index, seed: of the sample.
  constructor({ item, labels }, index, seed) {
    this.item = item;
    this.classes = labels?.names ?? null;
    this.index = index;
    this.name = `sample-${seed}-${String(index).padStart(4, "0")}`;
    this.body =
      item.kind === "text" ? element("pre") : element("canvas", { class: "picture", role: "img", "aria-label": `Sample ${index}` });
    this.save = element(
      "button",
      { type: "button", hidden: true, "aria-label": `Save sample ${index}`, onclick: () => this.download() },
      "Save",
    );
    this.root = element(
      "figure",
      { class: "sample forming" },
      this.body,
      element("figcaption", {}, (this.caption = element("span", {}, String(index))), this.save),
    );
    this.timer = null;
    this.player = null;
  }

  show(content, isLast) {
    this.content = content;
    const className = this.classes?.[content.label];
    if (className !== undefined) this.caption.textContent = `${this.index}, ${className}`;
    if (this.item.kind === "text") this.body.textContent = content.text;
    else this.showFrames(isLast);
    if (!isLast) return;
    this.root.classList.remove("forming");
    this.save.hidden = false;
    if (content.wave && this.item.written_rate >= MIN_PLAYED_RATE) this.addPlayer();
  }

  showFrames(isLast) {
    const { frames, width, height } = framesOf(this.content, this.item.kind);
    clearInterval(this.timer);
    draw(this.body, frames[0], width, height);
    if (frames.length === 1 || !isLast) return;
    let at = 0;
    this.timer = setInterval(
      () => {
        if (!this.root.isConnected) clearInterval(this.timer);
        draw(this.body, frames[++at % frames.length], width, height);
      },
      1000 / (this.item.rate ?? 8),
    );
  }

  addPlayer() {
    this.release();
    if (!this.player) {
      this.player = element("audio", { controls: true, preload: "metadata", "aria-label": `Sound ${this.index}` });
      this.body.style.aspectRatio = "3 / 1";
      this.body.after(this.player);
    }
    this.player.src = URL.createObjectURL(wav(this.content.wave, this.item.written_rate, this.item.channels));
  }

  // Free the sound, which the browser keeps as long as it has an address.
  release() {
    if (this.player) URL.revokeObjectURL(this.player.src);
  }

  get suffix() {
    return this.item.suffixes?.[this.content.label] ?? this.item.suffix;
  }

  download() {
    const { kind } = this.item;
    if (kind === "text") save(new Blob([this.content.text], { type: "text/plain" }), this.name + this.suffix);
    else if (kind === "sound") save(wav(this.content.wave, this.item.written_rate, this.item.channels), `${this.name}.wav`);
    else if (kind === "clip") {
      const { frames, width, height } = framesOf(this.content, kind);
      save(gif(frames, width, height, Math.round(100 / (this.item.rate ?? 8))), `${this.name}.gif`);
    } else saveImage(this.body, `${this.name}.png`);
  }
}

// Save all samples: texts and images in one file, others in one file each.
export function saveAll(samples, item, seed) {
  const done = samples.filter((sample) => !sample.save.hidden);
  if (item.kind === "text") {
    const isFasta = item.suffix === ".fasta";
    const texts = done.map(({ content, index }) => (isFasta ? `>sample${index}\n${content.text}` : content.text));
    const suffixes = new Set(done.map(({ suffix }) => suffix));
    const suffix = suffixes.size === 1 ? [...suffixes][0] : ".txt"; // of several kinds, the file is of none
    save(new Blob([texts.join(item.packed ? "\n\n" : "\n") + "\n"], { type: "text/plain" }), `samples-${seed}${suffix}`);
  } else if (item.kind === "image" && done.length > 1) {
    const columns = Math.ceil(Math.sqrt(done.length));
    const { width, height } = done[0].body;
    const sheet = element("canvas", { width: columns * (width + 2), height: Math.ceil(done.length / columns) * (height + 2) });
    const context = sheet.getContext("2d");
    done.forEach(({ body }, i) => context.drawImage(body, (i % columns) * (width + 2), Math.floor(i / columns) * (height + 2)));
    saveImage(sheet, `samples-${seed}.png`);
  } else done.forEach((sample) => sample.download());
}
