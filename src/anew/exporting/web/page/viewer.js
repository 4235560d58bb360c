// The tab Look inside: what happens in the network.

import { visible } from "./continuation.js";
import { Latest } from "./client.js";
import { $, element, fitted, number, reporter, say } from "./elements.js";
import { draw, framesOf } from "./media.js";

const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}%`;

function canvasOf(content, kind) {
  const canvas = element("canvas", { class: "picture" });
  const { frames, width, height } = framesOf(content, kind);
  draw(canvas, frames[0], width, height);
  return canvas;
}

const sentences = (...lines) => element("p", { class: "explained" }, lines.join(" "));
const field = (name, input) => element("label", { class: "field" }, name, input);
const latestOf = (client) => new Latest(client, reporter("look-status"));
const index = (value = 0) => element("input", { type: "number", min: 0, max: 99999, value, inputmode: "numeric" });

// Which views a program has: [name, class].
export function viewsOf({ item, steps, container }) {
  const last = steps.at(-1).step;
  const isGrid = ["image", "clip", "sound"].includes(item.kind);
  const denoisesLast =
    isGrid &&
    steps
      .filter((step) => step.step === "denoise")
      .some((step) => steps.slice(steps.indexOf(step) + 1).every((later) => later.graph === "holder"));
  const views = [];
  if (item.kind === "text" && container.graphs.inside) views.push(Reading);
  if (denoisesLast) views.push(Denoising);
  if (isGrid && container.graphs.stages && last === "run") views.push(Stages);
  if (
    isGrid &&
    item.kind !== "sound" &&
    !denoisesLast &&
    last === "run" &&
    steps.some((step) => step.step === "normal") &&
    !steps.some((step) => step.step === "tokens")
  )
    views.push(SampleMap);
  return views;
}

export class Viewer {
  constructor(program, client, generator) {
    this.views = viewsOf(program).map((View) => new View(program, client, generator));
    $("panel-look").append(...this.views.map((view) => view.root));
  }

  open() {
    say("look-status", "");
    for (const view of this.views) view.open();
  }
}

// From noise to a sample: the noisy input of the network at each step, and its guess of the clean sample.
class Denoising {
  constructor(program, client, generator) {
    Object.assign(this, { program, generator, steps: [], latest: latestOf(client) });
    this.index = index();
    this.slider = element("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "Step" });
    this.slider.addEventListener("input", () => this.show(Number(this.slider.value)));
    this.index.addEventListener("change", () => this.load());
    this.pair = element("div", { class: "pair" });
    this.strip = element("div", { class: "strip" });
    this.root = element(
      "div",
      {},
      element("h2", {}, "From noise to a sample"),
      sentences(
        "A sample starts as a rough draft under so much noise that it looks like noise alone.",
        "At each step the network guesses the clean sample behind the noise, and a little of the noise is removed.",
        "The first guesses are smooth and typical; the details come last.",
      ),
      element("div", { class: "controls" }, field("Sample", this.index), element("label", { class: "field" }, "Step", this.slider)),
      this.pair,
      this.strip,
    );
  }

  open() {
    if (!this.steps.length) this.load();
  }

  async load() {
    this.steps = [];
    this.strip.replaceChildren();
    const request = { seed: number("seed"), index: fitted(this.index), label: this.generator.label };
    const result = await this.latest.ask("denoise", request, (step) => {
      this.steps.push(step);
      this.slider.max = this.steps.length - 1;
      this.strip.append(
        element(
          "figure",
          {},
          canvasOf(step.clean, this.program.item.kind),
          element("figcaption", {}, `noise ${step.sigma.toPrecision(2)}`),
        ),
      );
      this.show(this.steps.length - 1);
    });
    if (!result) return;
    this.slider.value = this.steps.length - 1;
    document.body.dataset.looked = this.steps.length;
  }

  show(at) {
    if (!this.steps[at]) return; // of another sample, which is not there yet
    const { noisy, clean, sigma } = this.steps[at];
    const scale = Math.max(1, sigma);
    const dimmed = { ...noisy, values: noisy.values.map((value) => value / scale) };
    const shown = (content, caption) =>
      element("figure", {}, canvasOf(content, this.program.item.kind), element("figcaption", {}, caption));
    this.pair.replaceChildren(
      shown(dimmed, `Input, at noise ${sigma.toPrecision(2)}`),
      shown(clean, "The network's guess of the clean sample"),
    );
  }
}

// The stages of a generator.
class Stages {
  constructor(program, client, generator) {
    Object.assign(this, { program, generator, latest: latestOf(client) });
    this.index = index();
    this.index.addEventListener("change", () => this.open());
    this.strip = element("div", { class: "strip" });
    this.root = element(
      "div",
      {},
      element("h2", {}, "The generator, stage by stage"),
      sentences(
        "The first image is coarse, and drawn from statistics of the data; the network refines it at growing sizes.",
        "The images between show where the network is active: its features are strong where they are bright.",
        "The last image is the sample.",
      ),
      element("div", { class: "controls" }, field("Sample", this.index)),
      this.strip,
    );
  }

  async open() {
    const request = { seed: number("seed"), index: fitted(this.index), label: this.generator.label };
    const result = await this.latest.ask("stages", request);
    if (!result) return;
    const { stages } = result;
    const figures = stages.map((stage, i) => {
      const caption =
        i === 0 ? "coarse" : i === stages.length - 1 ? "the sample" : `stage ${i}, ${stage.shape.at(-2)} × ${stage.shape.at(-1)}`;
      return element(
        "figure",
        {},
        canvasOf(stage, i === 0 || i === stages.length - 1 ? this.program.item.kind : "image"),
        element("figcaption", {}, caption),
      );
    });
    this.strip.replaceChildren(...figures);
    document.body.dataset.looked = stages.length;
  }
}

// A map: the plane through three samples, to drag through.
class SampleMap {
  constructor(program, client, generator) {
    Object.assign(this, { program, generator, side: 7, isMade: false, isWaiting: false });
    [this.tiles, this.place] = [latestOf(client), latestOf(client)];
    this.dot = element("span", { class: "dot" });
    this.pad = element(
      "div",
      { class: "pad", tabindex: 0, role: "application", "aria-label": "Map of samples; arrow keys move" },
      this.dot,
    );
    this.view = element("div", { style: "width: min(100%, 14rem)" });
    this.at = [0.5, 0.5];
    this.pad.addEventListener("pointerdown", (event) => this.pad.setPointerCapture(event.pointerId));
    for (const name of ["pointerdown", "pointermove"]) this.pad.addEventListener(name, (event) => event.buttons && this.drag(event));
    this.pad.addEventListener("keydown", (event) => this.press(event));
    this.root = element(
      "div",
      {},
      element("h2", {}, "A map of samples"),
      sentences(
        "The network turns a list of random numbers into a sample, and similar lists into similar samples.",
        "This map is a plane in the space of these numbers, through three samples, which are in three of its corners.",
        "Drag through it: samples change smoothly, and all between the corners are samples, too.",
      ),
      element("div", { class: "pair" }, this.pad, this.view),
    );
  }

  async open() {
    if (this.isMade) return;
    this.isMade = true;
    [this.seed, this.label] = [number("seed"), this.generator.label];
    const part = 100 / this.side;
    await this.go();
    for (let row = 0; row < this.side; row++)
      for (let column = 0; column < this.side; column++) {
        const canvas = await this.canvas(this.tiles, (column + 0.5) / this.side, (row + 0.5) / this.side);
        if (!canvas) {
          this.isMade = false;
          return;
        }
        canvas.style.cssText = `left: ${column * part}%; top: ${row * part}%; width: ${part}%; height: ${part}%`;
        this.dot.before(canvas);
      }
    document.body.dataset.mapped = this.side;
  }

  // The sample at a position; null if it failed.
  async canvas(latest, x, y) {
    const result = await latest.ask("place", { seed: this.seed, x, y, label: this.label });
    return result && canvasOf(result.item, this.program.item.kind);
  }

  drag(event) {
    const box = this.pad.getBoundingClientRect();
    const inside = (value) => Math.min(1, Math.max(0, value));
    this.at = [inside((event.clientX - box.left) / box.width), inside((event.clientY - box.top) / box.height)];
    this.go();
  }

  press(event) {
    const step = { ArrowLeft: [-0.04, 0], ArrowRight: [0.04, 0], ArrowUp: [0, -0.04], ArrowDown: [0, 0.04] }[event.key];
    if (!step) return;
    event.preventDefault();
    this.at = this.at.map((value, axis) => Math.min(1, Math.max(0, value + step[axis])));
    this.go();
  }

  // Show the sample at the newest position; positions that come while one is generated are skipped.
  async go() {
    [this.dot.style.left, this.dot.style.top] = this.at.map((value) => `${100 * value}%`);
    if (this.isWaiting) return;
    this.isWaiting = true;
    for (let shown = null; shown !== this.at;) {
      shown = this.at;
      const canvas = await this.canvas(this.place, ...shown);
      if (!canvas) break;
      this.view.replaceChildren(canvas);
    }
    this.isWaiting = false;
  }
}

// How a Transformer reads a text: attention of each head, probability of each token, predictions after each layer.
class Reading {
  constructor(program, client, generator) {
    Object.assign(this, { program, generator, at: null, latest: latestOf(client) });
    this.prompt = element("textarea", { rows: 2, spellcheck: "false", autocomplete: "off" });
    this.layer = element("select");
    this.head = element("select");
    this.attention = element("div", { class: "words", "aria-label": "Tokens; choose one to see where it looks" });
    this.surprise = element("div", { class: "words", "aria-label": "Tokens by how probable they were" });
    this.forming = element("div", { class: "scroll" });
    this.classNote = element("p", { class: "quiet" });
    let timer = null;
    this.prompt.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.load(), 250);
    });
    for (const select of [this.layer, this.head]) select.addEventListener("change", () => this.showAttention());
    this.root = element(
      "div",
      {},
      element("label", { class: "field wide" }, "A text to read (its first 48 tokens)", this.prompt),
      this.classNote,
      element("h2", {}, "Where it looked"),
      sentences(
        "To predict the next token, the network looks back at earlier tokens, with several attention heads in each layer.",
        "Choose a token: the stronger the colour of another token, the more the head looked at it from there.",
        "This shows where it looked, not why.",
      ),
      element("div", { class: "controls" }, field("Layer", this.layer), field("Head", this.head)),
      this.attention,
      element("h2", {}, "What surprised it"),
      sentences(
        "The network gave each token a probability before it read it.",
        "The stronger the colour, the less probable the token was.",
        "Where a word is pale after its first letters, the network knew how it would end.",
      ),
      this.surprise,
      element("h2", {}, "How the next token forms"),
      sentences(
        "Each layer changes a vector a little, and the last vector is turned into probabilities.",
        "Here the vector after each layer is turned into probabilities, as if it were the last.",
        "You see after which layer the prediction appears, and which others it replaces.",
      ),
      this.forming,
    );
  }

  open() {
    if (this.inside) return;
    const made = this.generator.samples[0]?.content?.text ?? "";
    this.prompt.value = made.slice(0, 60);
    this.load();
  }

  async load() {
    // Where no class is chosen, it is that of the first sample, whose text is here at first.
    const inside = await this.latest.ask("inside", { prompt: this.prompt.value, label: this.generator.label, seed: this.generator.seed });
    if (!inside) return;
    this.classNote.textContent = this.generator.classNote(inside.label);
    const isFirst = !this.inside;
    this.inside = inside;
    this.at = inside.length - 1;
    if (isFirst) {
      this.layer.append(...Array.from({ length: inside.layers }, (_, i) => new Option(String(i + 1), i)));
      this.head.append(new Option("all, on average", -1), ...Array.from({ length: inside.heads }, (_, i) => new Option(String(i + 1), i)));
    }
    this.showAttention();
    this.showSurprise();
    this.showForming();
    document.body.dataset.looked = inside.length;
  }

  // The attention of the chosen token to each token, in the chosen layer and head.
  weights() {
    const { heads, length, attention } = this.inside;
    const layer = Number(this.layer.value);
    const chosen = Number(this.head.value) < 0 ? Array.from({ length: heads }, (_, i) => i) : [Number(this.head.value)];
    return Array.from(
      { length },
      (_, to) =>
        chosen.reduce((sum, head) => sum + attention[((layer * heads + head) * length + this.at) * length + to], 0) / chosen.length,
    );
  }

  word(index, strength, title, extra = {}) {
    const shade = `background: color-mix(in srgb, var(--accent) ${Math.round(70 * strength)}%, transparent)`;
    const piece = this.inside.pieces[index];
    return element("button", { type: "button", style: shade, title, ...extra }, piece === null ? "◦" : visible(piece));
  }

  showAttention() {
    const weights = this.weights();
    const highest = Math.max(...weights);
    const words = weights.map((weight, index) =>
      this.word(index, weight / highest, percent(weight), {
        "aria-pressed": index === this.at ? "true" : "false",
        onclick: () => {
          this.at = index;
          this.showAttention();
          this.attention.children[index].focus();
        },
      }),
    );
    this.attention.replaceChildren(...words);
  }

  showSurprise() {
    const words = this.inside.probabilities.map((share, index) =>
      this.word(index, share === null ? 0 : Math.min(1, -Math.log2(Math.max(share, 1e-9)) / 8), share === null ? "given" : percent(share), {
        tabindex: -1,
      }),
    );
    this.surprise.replaceChildren(...words);
  }

  showForming() {
    const rows = this.inside.forming.map((top, state) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, state === 0 ? "before the first layer" : `after layer ${state}`),
        ...top.map(({ piece, share }) => element("td", {}, `${visible(piece)}  ${percent(share)}`)),
      ),
    );
    this.forming.replaceChildren(element("table", { class: "lens" }, element("tbody", {}, ...rows)));
  }
}
