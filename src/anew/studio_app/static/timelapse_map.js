// The timelapse of a model of images, sounds or clips: real and generated items on a fixed map; for a GAN above the discriminator's belief.

import { h, onTheme, replaceChildren, short } from "./dom.js";
import { sheetOf } from "./timelapse_data.js";

const SIDE = 480;
const NEAR = 24; // pixels from the pointer within which a point is chosen
const PUSH = 34; // pixels by which the longest arrow exceeds the shortest

/** @param {string} name */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class MapTimelapse {
  /** @param {import("./timelapse_data.js").Frame} scene */
  constructor(scene) {
    this.scene = scene;
    this.real = scene.numbers("real") ?? new Float32Array();
    /** @type {import("./timelapse_data.js").Frame | null} */
    this.frame = null;
    /** @type {Record<string, ImageBitmap | null>} */
    this.sheets = { real: null, generated: null, restored: null };
    this.reach = Math.max(scene.facts.field_reach, 1.05 * largest(this.real));
    /** @type {["real" | "generated", number] | null} */
    this.chosen = null;
    const ratio = Math.min(2, devicePixelRatio || 1);
    this.canvas = h("canvas", {
      class: "map timelapse-map",
      width: SIDE * ratio,
      height: SIDE * ratio,
      role: "img",
      "aria-label": "Map of items",
      tabindex: 0,
    });
    this.ratio = ratio;
    this.detail = h("div", { class: "timelapse-item", "aria-live": "polite" });
    this.caption = h("p", { class: "timelapse-caption" });
    this.below = h("div", {});
    for (const name of ["pointermove", "pointerdown"])
      this.canvas.addEventListener(name, (/** @type {PointerEvent} */ event) => this.pick(event));
    this.canvas.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.onKey(event));
    const share = Math.round(100 * scene.facts.share);
    this.element = h(
      "div",
      {},
      h(
        "ul",
        { class: "legend" },
        h("li", {}, h("i", { class: "dot real" }), "your items"),
        h("li", {}, h("i", { class: "dot generated" }), "generated items, from the same starting points each time"),
        h("li", { class: "belief-key", hidden: true }, h("i", { class: "dot belief" }), "where items look real to the discriminator"),
      ),
      h("div", { class: "timelapse-stage" }, this.canvas, h("div", {}, this.caption, this.detail)),
      h(
        "p",
        { class: "hint" },
        `The map is flat, your items are not: it holds ${share}% of their variance. Point at a dot to see its item; the left and right arrow keys step through the generated ones.`,
      ),
      this.below,
    );
    onTheme(this.element, () => this.paint());
    sheetOf(scene.bytes("real_sheet")).then((sheet) => {
      this.sheets.real = sheet;
      this.paint();
    });
  }

  /** @param {import("./timelapse_data.js").Frame} frame */
  async show(frame) {
    this.frame = frame;
    this.paint();
    this.sheets.generated = await sheetOf(frame.bytes("generated_sheet"));
    this.sheets.restored = await sheetOf(frame.bytes("restored_sheet"));
    if (this.frame !== frame) return;
    this.say(frame);
    this.drawDetail();
    replaceChildren(this.below, this.sheets.restored ? this.pairs() : null, frame.numbers("errors") ? this.errors(frame) : null);
  }

  /** Describe the frame in words. @param {import("./timelapse_data.js").Frame} frame */
  say(frame) {
    const [real, generated] = [frame.numbers("real_belief"), frame.numbers("generated_belief")];
    let sentence = `${frame.facts.generated} generated items.`;
    if (real && generated) sentence = aucSentence(auc(real, generated));
    if (frame.facts.error !== undefined)
      sentence = `Reconstructions differ from your items by ${short(frame.facts.error)} (mean squared error; values go from -1 to 1).`;
    const missed = this.spread(frame);
    this.caption.textContent = missed ? `${sentence} ${missed}` : sentence;
    this.canvas.setAttribute("aria-label", `Map of items. ${this.caption.textContent}`);
    /** @type {any} */ (this.element.querySelector(".belief-key")).hidden = !real;
  }

  /** How wide generated items spread compared to real ones, as a sentence. @param {import("./timelapse_data.js").Frame} frame */
  spread(frame) {
    const generated = frame.numbers("generated");
    if (!generated || generated.length < 16) return "";
    const share = Math.round(100 * Math.sqrt(area(generated) / Math.max(1e-9, area(this.real))));
    return `On the map, generated items spread ${share}% as wide as yours.`;
  }

  /** @param {number} value on the map */
  at(value) {
    return SIDE / 2 + (value / this.reach) * (SIDE / 2 - 8);
  }

  paint() {
    const pen = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.fillStyle = colour("--fill");
    pen.fillRect(0, 0, SIDE, SIDE);
    if (!this.frame) return;
    this.paintField(pen, this.frame);
    const generated = this.frame.numbers("generated") ?? new Float32Array();
    this.dots(pen, this.real, colour("--ink"), 3, 0.5);
    this.dots(pen, generated, colour("--accent"), 4, 0.85);
    if (this.chosen) this.paintChosen(pen, generated);
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {Float32Array} points
   * @param {string} fillStyle
   * @param {number} radius
   * @param {number} alpha
   */
  dots(pen, points, fillStyle, radius, alpha) {
    pen.fillStyle = fillStyle;
    pen.globalAlpha = alpha;
    for (let index = 0; index < points.length; index += 2) {
      pen.beginPath();
      pen.arc(inside(this.at(points[index])), inside(this.at(points[index + 1])), radius, 0, 2 * Math.PI);
      pen.fill();
    }
    pen.globalAlpha = 1;
  }

  /**
   * Colour the map by the discriminator's belief in the items that it stands for.
   * @param {CanvasRenderingContext2D} pen
   * @param {import("./timelapse_data.js").Frame} frame
   */
  paintField(pen, frame) {
    const field = frame.numbers("field");
    if (!field) return;
    const side = this.scene.facts.field_side;
    const [low, high] = [Math.min(...field), Math.max(...field)];
    const far = this.scene.facts.field_reach;
    const step = this.at((2 * far) / (side - 1)) - this.at(0);
    pen.fillStyle = colour("--accent");
    for (let row = 0; row < side; row++) {
      for (let column = 0; column < side; column++) {
        pen.globalAlpha = 0.42 * ((field[row * side + column] - low) / Math.max(1e-9, high - low)) ** 2;
        const [x, y] = [this.at(-far + (2 * far * column) / (side - 1)), this.at(-far + (2 * far * row) / (side - 1))];
        const [left, top] = [Math.round(x - step / 2), Math.round(y - step / 2)];
        pen.fillRect(left, top, Math.round(x + step / 2) - left, Math.round(y + step / 2) - top);
      }
    }
    pen.globalAlpha = 1;
  }

  /**
   * Draw a ring around the chosen item, and from a generated one an arrow in the direction that would fool the discriminator.
   * @param {CanvasRenderingContext2D} pen
   * @param {Float32Array} generated
   */
  paintChosen(pen, generated) {
    if (!this.chosen) return;
    const [group, index] = this.chosen;
    const points = group === "real" ? this.real : generated;
    const [x, y] = [inside(this.at(points[2 * index])), inside(this.at(points[2 * index + 1]))];
    pen.strokeStyle = colour(group === "real" ? "--ink" : "--accent");
    pen.lineWidth = 3;
    pen.beginPath();
    pen.arc(x, y, 9, 0, 2 * Math.PI);
    pen.stroke();
    const push = this.frame?.numbers("push");
    if (group !== "generated" || !push) return;
    const size = Math.hypot(push[2 * index], push[2 * index + 1]);
    const longest = largestLength(push);
    if (!size || !longest) return;
    const length = 12 + PUSH * (size / longest);
    const [dx, dy] = [(push[2 * index] / size) * length, (push[2 * index + 1] / size) * length];
    pen.strokeStyle = colour("--bad");
    pen.beginPath();
    pen.moveTo(x, y);
    pen.lineTo(x + dx, y + dy);
    pen.moveTo(x + dx - (dx * 0.3 + dy * 0.2), y + dy - (dy * 0.3 - dx * 0.2));
    pen.lineTo(x + dx, y + dy);
    pen.lineTo(x + dx - (dx * 0.3 - dy * 0.2), y + dy - (dy * 0.3 + dx * 0.2));
    pen.stroke();
  }

  /** @param {PointerEvent} event */
  pick(event) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
    /** @type {["real" | "generated", number] | null} */
    let best = null;
    let nearest = NEAR;
    for (const group of /** @type {const} */ (["generated", "real"])) {
      const points = group === "real" ? this.real : (this.frame?.numbers("generated") ?? new Float32Array());
      for (let index = 0; index < points.length / 2; index++) {
        const distance = Math.hypot(inside(this.at(points[2 * index])) - x, inside(this.at(points[2 * index + 1])) - y);
        if (distance < nearest) [best, nearest] = [[group, index], distance];
      }
    }
    if (String(best) === String(this.chosen)) return;
    this.chosen = best;
    this.paint();
    this.drawDetail();
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const turn = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const number = this.frame?.facts.generated ?? 0;
    if (!turn || !number) return;
    event.preventDefault();
    const index = this.chosen?.[0] === "generated" ? this.chosen[1] : turn > 0 ? -1 : 0;
    this.chosen = ["generated", (index + turn + number) % number];
    this.paint();
    this.drawDetail();
  }

  drawDetail() {
    if (!this.chosen || !this.frame) {
      replaceChildren(this.detail);
      return;
    }
    const [group, index] = this.chosen;
    const belief = this.frame.numbers(`${group}_belief`);
    const name = group === "real" ? "one of yours" : `generated item ${index + 1}`;
    const sheet = this.sheets[group];
    replaceChildren(
      this.detail,
      h(
        "figure",
        { class: "item" },
        sheet && index < this.shown(group) ? this.cut(sheet, index, name) : null,
        h("figcaption", {}, name, belief ? `, belief ${short(belief[index])}` : ""),
      ),
      group === "generated" && this.frame.numbers("push")
        ? h("p", { class: "hint" }, "The arrow shows the direction that would fool the discriminator, as far as the map can show it.")
        : null,
    );
  }

  /** Number of items on a sheet: of latents, as many as there was time to decode. @param {"real" | "generated"} group */
  shown(group) {
    return (group === "real" ? this.scene.facts.shown : this.frame?.facts.shown) ?? Infinity;
  }

  /** One item of a sheet. @param {ImageBitmap} sheet @param {number} index @param {string} name */
  cut(sheet, index, name) {
    const { thumb, columns } = this.scene.facts;
    const canvas = h("canvas", { width: thumb, height: thumb, class: "thumb-item", role: "img", "aria-label": name });
    canvas.getContext("2d").drawImage(sheet, -(index % columns) * thumb, -Math.floor(index / columns) * thumb);
    return canvas;
  }

  /** Items next to their reconstructions. */
  pairs() {
    const [real, restored] = [this.sheets.real, this.sheets.restored];
    if (!real || !restored) return null;
    const pair = (/** @type {number} */ index) =>
      h("figure", { class: "item both" }, this.cut(real, index, "an item"), this.cut(restored, index, "its reconstruction"));
    return h(
      "div",
      {},
      h("h3", {}, "Your items, each next to its reconstruction"),
      h(
        "div",
        { class: "items" },
        Array.from({ length: Math.min(12, this.shown("real")) }, (_, index) => pair(index)),
      ),
    );
  }

  /** The error of its guesses at each noise level. @param {import("./timelapse_data.js").Frame} frame */
  errors(frame) {
    const [sigmas, errors] = [frame.numbers("sigmas"), frame.numbers("errors")];
    if (!sigmas || !errors) return null;
    const longest = Math.max(...errors);
    return h(
      "div",
      {},
      h("h3", {}, "The error of its guess of the clean item, at each noise level"),
      h(
        "ul",
        { class: "plain bars" },
        [...sigmas].map((sigma, index) => {
          const bar = h("span", { class: "fill" });
          bar.style.width = `${Math.max(1, (100 * errors[index]) / (longest || 1))}%`;
          return h(
            "li",
            { class: "bar-row" },
            h("span", { class: "bar-text" }, String(Number(sigma.toPrecision(2)))),
            h("span", { class: "meter", "aria-hidden": "true" }, bar),
            h("span", { class: "bar-share" }, short(Number(errors[index].toPrecision(2)))),
          );
        }),
      ),
    );
  }
}

/** A coordinate, moved onto the canvas. @param {number} pixel */
function inside(pixel) {
  return Math.max(5, Math.min(SIDE - 5, pixel));
}

/** @param {Float32Array} values */
function largest(values) {
  return values.reduce((longest, value) => Math.max(longest, Math.abs(value)), 0);
}

/** @param {Float32Array} pairs */
function largestLength(pairs) {
  let longest = 0;
  for (let index = 0; index < pairs.length; index += 2) longest = Math.max(longest, Math.hypot(pairs[index], pairs[index + 1]));
  return longest;
}

/** Summed variance of points. @param {Float32Array} pairs */
function area(pairs) {
  const number = pairs.length / 2;
  let sum = 0;
  for (const axis of [0, 1]) {
    let [mean, square] = [0, 0];
    for (let index = axis; index < pairs.length; index += 2) {
      mean += pairs[index] / number;
      square += pairs[index] ** 2 / number;
    }
    sum += square - mean ** 2;
  }
  return sum;
}

/** How often a real item looks more real than a generated one. @param {Float32Array} real @param {Float32Array} generated */
export function auc(real, generated) {
  let more = 0;
  for (const one of real) for (const other of generated) more += one > other ? 1 : one === other ? 0.5 : 0;
  return more / Math.max(1, real.length * generated.length);
}

/** Which network of a GAN is winning, in a sentence. @param {number} toldApart how often the discriminator is right, 0 to 1 */
export function aucSentence(toldApart) {
  const share = Math.round(100 * toldApart);
  const who = share >= 75 ? "The discriminator is winning" : share <= 60 ? "The generator is winning" : "Neither network is winning";
  return `${who}: shown a real and a generated item, the discriminator picks the real one ${share}% of the time (guessing: 50%).`;
}
