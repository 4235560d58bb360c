// The tab Walk: from one sample to another.

import { Latest } from "./client.js";
import { $, number, reporter, say } from "./elements.js";
import { framesOf, gif, save } from "./media.js";
import { Sample } from "./samples.js";

const FRAMES = 25;

export class Walk {
  constructor(program, client, generator) {
    this.program = program;
    this.latest = new Latest(client, reporter("walk-status"));
    this.generator = generator;
    this.items = [];
    $("walk-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.walk();
    });
    $("walk-position").addEventListener("input", () => this.show(Number($("walk-position").value)));
    $("walk-save").addEventListener("click", () => this.save());
  }

  open() {
    if (!this.items.length) this.walk();
  }

  async walk() {
    this.items = [];
    $("walk-save").hidden = true;
    $("walk-position").disabled = false;
    const wanted = { from: number("walk-from"), to: number("walk-to"), seed: number("seed"), label: this.generator.label };
    this.sample?.release();
    this.sample = new Sample(this.program, wanted.from, wanted.seed);
    $("walk-view").replaceChildren(this.sample.root);
    const order = Array.from({ length: FRAMES }, (_, i) => i).sort((a, b) => coarseness(a) - coarseness(b));
    const result = await this.latest.ask("walk", { ...wanted, fractions: order.map((i) => i / (FRAMES - 1)) }, ({ frame, items }) => {
      [this.items[order[frame]]] = items;
      say("walk-status", `${frame + 1} of ${FRAMES} frames generated…`);
      this.show(Number($("walk-position").value));
    });
    if (!result) return;
    say("walk-status", "");
    $("walk-save").hidden = this.program.item.kind === "sound";
    document.body.dataset.walked = FRAMES;
  }

  // Show the nearest frame that has been generated.
  show(position) {
    const generated = this.items.map((_, i) => i).filter((i) => this.items[i]);
    if (!generated.length) return;
    const nearest = generated.reduce((best, i) => (Math.abs(i - position) < Math.abs(best - position) ? i : best));
    this.sample.show(this.items[nearest], true);
    this.sample.save.hidden = true;
  }

  save() {
    const kind = this.program.item.kind === "clip" ? "image" : this.program.item.kind;
    const frames = this.items.map((item) => framesOf(item, this.program.item.kind).frames[0]);
    const { width, height } = framesOf(this.items[0], this.program.item.kind);
    save(gif([...frames, ...frames.toReversed()], width, height, 8), `walk-${kind}.gif`);
  }
}

// The order of frames: first both ends, then the middle, then those between, from coarse to fine.
function coarseness(frame) {
  if (frame === 0 || frame === FRAMES - 1) return 0;
  let step = (FRAMES - 1) / 2;
  let level = 1;
  while (frame % step && step > 1) {
    step /= 2;
    level++;
  }
  return level;
}
