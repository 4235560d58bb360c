// What happens inside the network, on the model itself.

import { visible } from "./continuing.js";
import { $, element } from "./elements.js";
import { draw, framesOf } from "./pictures.js";

const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}%`;

function picture(content, kind) {
  const canvas = element("canvas", { class: "picture" });
  const { frames, width, height } = framesOf(content, kind);
  draw(canvas, frames[0], width, height);
  return canvas;
}

const sentences = (...lines) => element("p", { class: "explained" }, lines.join(" "));
const field = (name, input) => element("label", { class: "field" }, name, input);
const index = (value = 0) => element("input", { type: "number", min: 0, max: 99999, value, inputmode: "numeric" });

// Which views a program has: [name, class].
export function viewsOf({ item, steps, container }) {
  const last = steps.at(-1).step;
  const isGrid = ["image", "clip", "sound"].includes(item.kind);
  const denoisesLast = isGrid && steps.filter((step) => step.step === "denoise").some((step) => steps.slice(steps.indexOf(step) + 1).every((later) => later.graph === "holder"));
  const views = [];
  if (item.kind === "text" && container.graphs.inside) views.push(Reading);
  if (denoisesLast) views.push(Film);
  if (isGrid && container.graphs.stages && last === "run") views.push(Stages);
  if (isGrid && item.kind !== "sound" && !denoisesLast && last === "run" && steps.some((step) => step.step === "normal") && !steps.some((step) => step.step === "tokens")) views.push(Map2d);
  return views;
}

export class Looking {
  constructor(program, client, making) {
    this.views = viewsOf(program).map((View) => new View(program, client, making));
    $("panel-look").append(...this.views.map((view) => view.root));
  }

  open() {
    for (const view of this.views) view.open();
  }
}

// From noise to a sample: what goes into the network at each step, and what it makes of it.
class Film {
  constructor(program, client, making) {
    Object.assign(this, { program, client, making, places: [] });
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
        "The model starts from pure noise: the first picture.",
        "At each step the network says what it believes lies under the noise, the second picture, and a little of the noise is taken away.",
        "First it knows no more than the average of many samples; the details come last.",
      ),
      element("div", { class: "controls" }, field("Sample", this.index), element("label", { class: "field" }, "Step", this.slider)),
      this.pair,
      this.strip,
    );
  }

  open() {
    if (!this.places.length) this.load();
  }

  async load() {
    this.places = [];
    this.strip.replaceChildren();
    const asked = { seed: Number($("seed").value), index: Number(this.index.value), label: this.making.label };
    await this.client.ask("film", asked, (place) => {
      this.places.push(place);
      this.slider.max = this.places.length - 1;
      this.strip.append(element("figure", {}, picture(place.clean, this.program.item.kind), element("figcaption", {}, `noise ${place.sigma.toPrecision(2)}`)));
      this.show(this.places.length - 1);
    }).promise;
    this.slider.value = this.places.length - 1;
    document.body.dataset.looked = this.places.length;
  }

  show(at) {
    const { noisy, clean, sigma } = this.places[at];
    const scale = Math.max(1, sigma);
    const dimmed = { ...noisy, values: noisy.values.map((value) => value / scale) };
    const shown = (content, caption) => element("figure", {}, picture(content, this.program.item.kind), element("figcaption", {}, caption));
    this.pair.replaceChildren(shown(dimmed, `Given: noise of ${sigma.toPrecision(2)}`), shown(clean, "What the network believes lies under it"));
  }
}

// A generator, size by size.
class Stages {
  constructor(program, client, making) {
    Object.assign(this, { program, client, making });
    this.index = index();
    this.index.addEventListener("change", () => this.open());
    this.strip = element("div", { class: "strip" });
    this.root = element(
      "div",
      {},
      element("h2", {}, "The generator, stage by stage"),
      sentences(
        "A coarse picture is drawn from what was counted in the data; the network then works on it at growing sizes.",
        "Between them you see where it is busy: bright places are those where its features are strong.",
        "At the end stands the sample.",
      ),
      element("div", { class: "controls" }, field("Sample", this.index)),
      this.strip,
    );
  }

  async open() {
    const asked = { seed: Number($("seed").value), index: Number(this.index.value), label: this.making.label };
    const { stages } = await this.client.ask("stages", asked).promise;
    const figures = stages.map((stage, i) => {
      const caption = i === 0 ? "coarse" : i === stages.length - 1 ? "the sample" : `stage ${i}, ${stage.shape.at(-2)} × ${stage.shape.at(-1)}`;
      return element("figure", {}, picture(stage, i === 0 || i === stages.length - 1 ? this.program.item.kind : "image"), element("figcaption", {}, caption));
    });
    this.strip.replaceChildren(...figures);
    document.body.dataset.looked = stages.length;
  }
}

// A plane through three samples, to drag through.
class Map2d {
  constructor(program, client, making) {
    Object.assign(this, { program, client, making, side: 7, isMade: false, waiting: null });
    this.dot = element("span", { class: "dot" });
    this.pad = element("div", { class: "pad", tabindex: 0, role: "application", "aria-label": "Map of samples; arrow keys move" }, this.dot);
    this.view = element("div", { style: "width: min(100%, 14rem)" });
    this.at = [0.5, 0.5];
    this.pad.addEventListener("pointerdown", (event) => this.pad.setPointerCapture(event.pointerId));
    for (const name of ["pointerdown", "pointermove"]) this.pad.addEventListener(name, (event) => event.buttons && this.drag(event));
    this.pad.addEventListener("keydown", (event) => this.press(event));
    this.root = element(
      "div",
      {},
      element("h2", {}, "A map of what it can make"),
      sentences(
        "The network turns a list of numbers into a sample, and similar lists into similar samples.",
        "This map is a flat piece of that space, laid through three samples in its corners.",
        "Drag through it: nothing jumps, and between two samples lie others that are just as possible.",
      ),
      element("div", { class: "pair" }, this.pad, this.view),
    );
  }

  async open() {
    if (this.isMade) return;
    this.isMade = true;
    this.seed = Number($("seed").value);
    const part = 100 / this.side;
    await this.go();
    for (let row = 0; row < this.side; row++)
      for (let column = 0; column < this.side; column++) {
        const canvas = picture(await this.sample((column + 0.5) / this.side, (row + 0.5) / this.side), this.program.item.kind);
        canvas.style.cssText = `left: ${column * part}%; top: ${row * part}%; width: ${part}%; height: ${part}%`;
        this.dot.before(canvas);
      }
    document.body.dataset.mapped = this.side;
  }

  async sample(x, y) {
    const { item } = await this.client.ask("place", { seed: this.seed, x, y, label: this.making.label }).promise;
    return item;
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

  // The newest place counts; those between are left out while one is made.
  async go() {
    [this.dot.style.left, this.dot.style.top] = this.at.map((value) => `${100 * value}%`);
    if (this.waiting) return;
    for (;;) {
      const at = this.at;
      this.waiting = this.sample(...at);
      this.view.replaceChildren(picture(await this.waiting, this.program.item.kind));
      if (at === this.at) break;
    }
    this.waiting = null;
  }
}

// How a text is read: where each head looks, how probable each token was, what forms from layer to layer.
class Reading {
  constructor(program, client, making) {
    Object.assign(this, { program, client, making, at: null });
    this.prompt = element("textarea", { rows: 2, spellcheck: "false", autocomplete: "off" });
    this.layer = element("select");
    this.head = element("select");
    this.attention = element("div", { class: "words", "aria-label": "Tokens; choose one to see where it looks" });
    this.surprise = element("div", { class: "words", "aria-label": "Tokens by how probable they were" });
    this.forming = element("div", { class: "scroll" });
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
      element("h2", {}, "Where it looked"),
      sentences(
        "To say what comes next, the network looks back at earlier tokens, with several heads in each layer.",
        "Choose a token: the stronger the colour of another one, the more the head looked at it from there.",
        "That is where it looked, not why.",
      ),
      element("div", { class: "controls" }, field("Layer", this.layer), field("Head", this.head)),
      this.attention,
      element("h2", {}, "What surprised it"),
      sentences(
        "Before each token the network had a probability for it.",
        "The stronger its colour, the less it was expected.",
        "Where a word is pale behind its first letters, the network knew how it would end.",
      ),
      this.surprise,
      element("h2", {}, "How the next token forms"),
      sentences(
        "Each layer changes a list of numbers a little, and the last one is turned into probabilities.",
        "Here every layer's list is turned into them as if it were the last.",
        "You see when the answer appears, and which ones it pushes aside.",
      ),
      this.forming,
    );
  }

  open() {
    if (this.inside) return;
    const made = this.making.samples[0]?.content?.text ?? "";
    this.prompt.value = made.slice(0, 60);
    this.load();
  }

  async load() {
    const inside = await this.client.ask("inside", { prompt: this.prompt.value, label: this.making.label }).promise;
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

  // How much each token was looked at from the chosen one, by the chosen layer and head.
  weights() {
    const { heads, length, attention } = this.inside;
    const layer = Number(this.layer.value);
    const chosen = Number(this.head.value) < 0 ? Array.from({ length: heads }, (_, i) => i) : [Number(this.head.value)];
    return Array.from({ length }, (_, to) => chosen.reduce((sum, head) => sum + attention[((layer * heads + head) * length + this.at) * length + to], 0) / chosen.length);
  }

  word(place, strength, title, extra = {}) {
    const shade = `background: color-mix(in srgb, var(--accent) ${Math.round(70 * strength)}%, transparent)`;
    const piece = this.inside.pieces[place];
    return element("button", { type: "button", style: shade, title, ...extra }, piece === null ? "◦" : visible(piece));
  }

  showAttention() {
    const weights = this.weights();
    const most = Math.max(...weights);
    const words = weights.map((weight, place) =>
      this.word(place, weight / most, percent(weight), {
        "aria-pressed": place === this.at ? "true" : "false",
        onclick: () => {
          this.at = place;
          this.showAttention();
          this.attention.children[place].focus();
        },
      }),
    );
    this.attention.replaceChildren(...words);
  }

  showSurprise() {
    const words = this.inside.probabilities.map((share, place) =>
      this.word(place, share === null ? 0 : Math.min(1, -Math.log2(Math.max(share, 1e-9)) / 8), share === null ? "given" : percent(share), { tabindex: -1 }),
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
