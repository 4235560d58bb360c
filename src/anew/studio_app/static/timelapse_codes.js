// The timelapse of a model of codes: how likely each code of one held-out item was, and items generated from the same starting points.

import { h, onTheme, replaceChildren } from "./dom.js";
import { sheetOf } from "./timelapse_data.js";

const SIDE = 240; // pixels of the longer side of the grid of codes

export class CodeTimelapse {
  /** @param {import("./timelapse_data.js").Frame} scene */
  constructor(scene) {
    this.scene = scene;
    /** @type {import("./timelapse_data.js").Frame | null} */
    this.frame = null;
    const shape = scene.facts.shape.length ? scene.facts.shape : scene.shape("ids");
    this.columns = shape[shape.length - 1];
    this.rows = shape.slice(0, -1).reduce((/** @type {number} */ product, /** @type {number} */ extent) => product * extent, 1); // of a clip: its frames, one below another
    this.guess = Math.log2(scene.facts.vocabulary);
    this.caption = h("p", { class: "timelapse-caption" });
    const cell = Math.max(4, Math.floor(SIDE / Math.max(this.rows, this.columns)));
    this.cell = cell;
    this.canvas = h("canvas", { class: "codes", width: cell * this.columns, height: cell * this.rows, role: "img" });
    const bytes = scene.bytes("picture");
    const picture = h("img", { class: "codes", alt: "The item, decoded from its codes" });
    if (bytes)
      new Response(/** @type {any} */ (bytes)).arrayBuffer().then((buffer) => {
        picture.src = `data:image/png;base64,${btoa(String.fromCharCode(...new Uint8Array(buffer)))}`;
      });
    this.generated = h("div", { class: "items" });
    this.generatedTitle = h("h3", { hidden: true }, "Generated meanwhile, from the same starting points each time");
    this.element = h(
      "div",
      {},
      this.caption,
      h("div", { class: "code-pair" }, bytes ? picture : null, this.canvas),
      h("p", { class: "hint" }, "One held-out item, and its codes at their positions. Coloured: the network was sure of the code."),
      this.generatedTitle,
      this.generated,
    );
    onTheme(this.element, () => this.paint());
  }

  /** @param {import("./timelapse_data.js").Frame} frame */
  async show(frame) {
    this.frame = frame;
    this.caption.textContent = `${frame.facts.bits.toFixed(2)} bits per code under the network; blind guessing would take ${this.guess.toFixed(1)}.`;
    this.canvas.setAttribute("aria-label", `How sure the network was of each code. ${this.caption.textContent}`);
    this.paint();
    const sheet = await sheetOf(frame.bytes("generated_sheet"));
    if (this.frame !== frame) return;
    this.generatedTitle.hidden = !sheet;
    const { thumb, columns } = this.scene.facts;
    replaceChildren(
      this.generated,
      sheet
        ? Array.from({ length: frame.facts.generated }, (_, index) => {
            const canvas = h("canvas", {
              width: thumb,
              height: thumb,
              class: "thumb-item",
              role: "img",
              "aria-label": `generated item ${index + 1}`,
            });
            canvas.getContext("2d").drawImage(sheet, -(index % columns) * thumb, -Math.floor(index / columns) * thumb);
            return canvas;
          })
        : null,
    );
  }

  paint() {
    const bits = this.frame?.numbers("token_bits");
    if (!bits) return;
    const pen = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    const colour = (/** @type {string} */ name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const first = bits.length - this.rows * this.columns; // before the grid there may be a code of the label
    pen.fillStyle = colour("--fill");
    pen.fillRect(0, 0, this.canvas.width, this.canvas.height);
    pen.fillStyle = colour("--accent");
    for (let index = 0; index < this.rows * this.columns; index++) {
      pen.globalAlpha = 2 ** -bits[first + index];
      pen.fillRect((index % this.columns) * this.cell, Math.floor(index / this.columns) * this.cell, this.cell - 1, this.cell - 1);
    }
    pen.globalAlpha = 1;
  }
}
