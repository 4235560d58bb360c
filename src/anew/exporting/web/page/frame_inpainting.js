// The tab Fill in for clips: frames at the beginning and at the end are kept, and those between are filled in.

import { Latest } from "./client.js";
import { $, element, number, reporter, say } from "./elements.js";
import { Sample } from "./samples.js";

export class FrameInpainting {
  constructor(program, client, generator) {
    Object.assign(this, { program, generator, seed: 1, latest: new Latest(client, reporter("fill-status")) });
    [this.channels, this.frames, ...this.size] = program.item.shape;
    const maxKept = this.frames - 1;
    const field = (name, id, high, value) =>
      element("label", { class: "field" }, name, element("input", { id, type: "number", min: 0, max: high, value, inputmode: "numeric" }));
    this.pair = element("div", { class: "pair" });
    $("panel-fill").replaceChildren(
      element(
        "p",
        { class: "hint" },
        "Choose how many frames are kept at the beginning and at the end. The network fills in the frames between them.",
      ),
      element(
        "div",
        { class: "controls" },
        field("Sample", "fill-index", 99999, 0),
        field("First frames", "keep-first", maxKept, Math.ceil(this.frames / 4)),
        field("Last frames", "keep-last", maxKept, Math.floor(this.frames / 4)),
        element(
          "span",
          { class: "buttons" },
          element("button", { class: "primary", id: "fill-go", type: "button", onclick: () => this.fill() }, "Fill in"),
        ),
      ),
      element("p", { class: "status", id: "fill-status", role: "status", "aria-live": "polite" }),
      this.pair,
    );
    $("fill-index").addEventListener("change", () => this.load());
  }

  open() {
    if (!this.values) this.load();
  }

  figure(sample, caption) {
    sample.root.querySelector("figcaption span").textContent = caption;
    return sample.root;
  }

  async load() {
    say("fill-status", "Generating the sample…");
    this.values = null;
    $("fill-go").disabled = true;
    this.origin = { seed: number("seed"), index: number("fill-index"), label: this.generator.label };
    const given = new Sample(this.program, this.origin.index, this.origin.seed);
    this.pair.replaceChildren(this.figure(given, "Given"));
    const result = await this.latest.ask("sample", { n: 1, ...this.origin }, ({ items, isLast }) => {
      given.show(items[0], isLast);
      if (isLast) this.values = items[0].values;
    });
    if (!result) return;
    say("fill-status", "");
    $("fill-go").disabled = false;
  }

  async fill() {
    const [first, last] = [number("keep-first"), number("keep-last")];
    if (first + last >= this.frames) {
      say("fill-status", `The clip has ${this.frames} frames; keep fewer than that.`, true);
      return;
    }
    const parts = Array.from({ length: this.frames }, (_, i) => (i < first || i >= this.frames - last ? 1 : 0));
    const area = this.size[0] * this.size[1];
    const mask = Uint8Array.from({ length: this.values.length }, (_, i) => parts[Math.floor(i / area) % this.frames]);
    const { seed, index, label } = this.origin;
    const made = new Sample(this.program, index, 1000 + this.seed);
    this.pair.replaceChildren(this.pair.firstChild, this.figure(made, "Filled in"));
    say("fill-status", "Filling in…");
    const request = { n: 1, seed: 1000 + this.seed++, label, fill: { values: this.values, mask, parts, seed, index } };
    const result = await this.latest.ask("sample", request, ({ items, isLast }) => made.show(items[0], isLast));
    if (!result) return;
    document.body.dataset.filled = this.seed;
    say("fill-status", "Press Fill in again for another one.");
  }
}
