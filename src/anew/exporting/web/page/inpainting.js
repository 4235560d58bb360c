// The tab Fill in for images: a part is painted over and filled in.

import { Latest } from "./client.js";
import { $, number, reporter, say } from "./elements.js";
import { draw, pixels, saveImage } from "./media.js";

const REASONS = {
  latents:
    "This model works on latents, and the page has no encoder that turns an image into latents. So it cannot keep a part of an image.",
  tokens:
    "This model generates a row of codes, from the first to the last, and cannot keep some of them as they are. Diffusion models and VAEs can keep a part of an image.",
  generator:
    "This model generates the whole sample in one step from random numbers, and has no way back from a sample to these numbers. So it cannot keep a part of one. Diffusion models and VAEs can.",
};

// Show why this model cannot fill in, in place of the tools.
export function explainInpainting({ steps }) {
  const has = (name) => steps.some((step) => step.step === name);
  const reason = has("tokens") ? "tokens" : has("denoise") ? "latents" : "generator";
  for (const child of $("panel-fill").children) child.hidden = child.id !== "fill-why";
  $("fill-why").textContent = REASONS[reason];
  return {};
}

export class Inpainting {
  constructor(program, client, generator) {
    this.program = program;
    this.latest = new Latest(client, reporter("fill-status"));
    this.generator = generator;
    this.seed = 1;
    [this.channels, this.height, this.width] = program.item.shape;
    this.painted = new Uint8Array(this.height * this.width); // 1 where it is filled in
    this.listen();
  }

  listen() {
    const canvas = $("paint");
    const paint = (event) => {
      if (event.buttons !== 1 || !this.values) return;
      const box = canvas.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * this.width;
      const y = ((event.clientY - box.top) / box.height) * this.height;
      const radius = (Number($("brush").value) * Math.max(this.width, this.height)) / 28 / 2;
      this.mark((column, row) => (column + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2 <= radius ** 2);
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      paint(event);
    });
    canvas.addEventListener("pointermove", paint);
    $("half-right").addEventListener("click", () => this.mark((column) => column >= this.width / 2));
    $("half-bottom").addEventListener("click", () => this.mark((_, row) => row >= this.height / 2));
    $("clear").addEventListener("click", () => {
      this.painted.fill(0);
      this.show();
    });
    $("fill-index").addEventListener("change", () => this.load());
    $("fill-go").addEventListener("click", () => this.fill());
    $("fill-save").addEventListener("click", () => saveImage($("filled"), "filled.png"));
  }

  open() {
    if (!this.values) this.load();
  }

  mark(isInside) {
    for (let row = 0; row < this.height; row++)
      for (let column = 0; column < this.width; column++) if (isInside(column, row)) this.painted[row * this.width + column] = 1;
    this.show();
  }

  async load() {
    say("fill-status", "Generating the sample…");
    this.values = null;
    $("fill-go").disabled = true;
    this.origin = { seed: number("seed"), index: number("fill-index"), label: this.generator.label };
    const result = await this.latest.ask("sample", { n: 1, ...this.origin }, ({ items, isLast }) => {
      if (isLast) this.values = items[0].values;
    });
    if (!result) return;
    say("fill-status", "");
    $("fill-go").disabled = false;
    this.show();
  }

  show() {
    if (!this.values) return;
    const levels = pixels(this.values, [this.channels, this.height, this.width]);
    this.painted.forEach((isPainted, i) => {
      if (isPainted) levels.set([214, 120, 70, 255], 4 * i);
    });
    draw($("paint"), levels, this.width, this.height);
  }

  async fill() {
    if (!this.painted.some(Boolean)) {
      say("fill-status", "Paint over a part first.");
      return;
    }
    const area = this.height * this.width;
    const mask = Uint8Array.from({ length: this.values.length }, (_, i) => 1 - this.painted[i % area]);
    const { seed, index, label } = this.origin;
    const request = { n: 1, seed: 1000 + this.seed++, label, fill: { values: this.values, mask, seed, index } };
    say("fill-status", "Filling in…");
    const result = await this.latest.ask("sample", request, ({ items }) => {
      draw($("filled"), pixels(items[0].values, [this.channels, this.height, this.width]), this.width, this.height);
    });
    if (!result) return;
    $("fill-save").hidden = false;
    document.body.dataset.filled = this.seed;
    say("fill-status", "Press Fill in again for another one.");
  }
}
