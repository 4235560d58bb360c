// The timelapse of a model of text: how likely each token of one held-out text was, and where each head looked.

import { h, replaceChildren } from "./dom.js";
import { headGrid, readToken } from "./heads.js";

export class TextTimelapse {
  /** @param {import("./timelapse_data.js").Frame} scene */
  constructor(scene) {
    /** @type {string[]} */
    this.tokens = scene.facts.tokens;
    this.guess = Math.log2(scene.facts.vocabulary);
    this.caption = h("p", { class: "timelapse-caption" });
    this.text = h("div", { class: "tokens timelapse-tokens", role: "img" });
    this.heads = headGrid(this.tokens.slice(0, -1));
    this.element = h(
      "div",
      {},
      this.caption,
      this.text,
      h("p", { class: "hint" }, "One held-out text. Coloured: the network was sure of the token. Underlined: it was surprised."),
      h("details", {}, h("summary", {}, "Where each head looked"), this.heads.element),
    );
  }

  /** @param {import("./timelapse_data.js").Frame} frame */
  async show(frame) {
    const bits = frame.numbers("token_bits") ?? new Float32Array();
    this.caption.textContent = `${frame.facts.bits.toFixed(2)} bits per token under the network alone; blind guessing would take ${this.guess.toFixed(1)}.`;
    this.text.setAttribute("aria-label", `${this.tokens.join("")}: ${this.caption.textContent}`);
    replaceChildren(
      this.text,
      h("span", { class: "token given" }, readToken(this.tokens[0])),
      [...bits].map((cost, index) => {
        const share = 2 ** -cost;
        const token = h(
          "span",
          { class: `token${share < 0.05 ? " rare" : ""}`, title: `${cost.toFixed(1)} bits` },
          readToken(this.tokens[index + 1]),
        );
        token.style.setProperty("--sure", String(Math.round(100 * share)));
        return token;
      }),
    );
    const levels = frame.bytes("attention");
    const [number, length] = frame.shape("attention");
    if (levels)
      this.heads.show(number, frame.facts.heads, length, (head, row, column) => levels[(head * length + row) * length + column] / 255);
  }
}
