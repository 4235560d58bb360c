// Attention of all heads as small images, and of a chosen head token by token.

import { h, onTheme, replaceChildren } from "./dom.js";
import { visibleText } from "./token_text.js";

const CELL = 96; // pixels of a head's image

/** The token of a text that a model has read; "" stands before a text. @param {string} text */
export function readToken(text) {
  return visibleText(text) || "\u25a0";
}

/**
 * Images of all heads over the given tokens.
 * @param {string[]} tokens
 * @returns {{element: HTMLElement, show: (heads: number, each: number, length: number, weight: (head: number, row: number, column: number) => number) => void}}
 */
export function headGrid(tokens) {
  const grid = h("div", { class: "heads" });
  const title = h("h3", {}, "The chosen head");
  const line = h("div", { class: "tokens", role: "group" });
  const hint = h(
    "p",
    { class: "hint" },
    "Choose a token: the earlier tokens that this head looked at are coloured. Where it looked does not explain why the model predicted what it did.",
  );
  const element = h(
    "div",
    {},
    h("p", { class: "hint" }, "One image per head: each row is a token, and its columns are the tokens up to it. Choose a head."),
    grid,
    title,
    hint,
    line,
  );
  let [head, row] = [0, -1];
  /** @type {any} */
  let last = null;
  const draw = () => {
    if (!last) return;
    const { heads, each, length, weight } = last;
    if (head >= heads) head = 0;
    if (row < 0 || row >= length) row = length - 1;
    replaceChildren(
      grid,
      Array.from({ length: heads }, (_, number) =>
        headImage(number, each, length, weight, number === head, () => {
          head = number;
          draw();
        }),
      ),
    );
    title.textContent = `Layer ${Math.floor(head / each) + 1}, head ${(head % each) + 1}: where it looked`;
    line.setAttribute("aria-label", title.textContent);
    replaceChildren(
      line,
      tokens.slice(0, length).map((text, index) => {
        const share = index <= row ? weight(head, row, index) : 0;
        const token = h(
          "button",
          {
            type: "button",
            class: "token",
            "aria-pressed": String(index === row),
            "aria-label": `${readToken(text)}, ${Math.round(100 * share)}%`,
            onclick: () => {
              row = index;
              draw();
            },
          },
          readToken(text),
        );
        token.style.setProperty("--sure", String(Math.round(100 * Math.min(1, 1.5 * share))));
        return token;
      }),
    );
  };
  onTheme(element, draw);
  return {
    element,
    show: (heads, each, length, weight) => {
      const focused = [...line.children].indexOf(/** @type {any} */ (document.activeElement));
      const focusedHead = [...grid.children].indexOf(/** @type {any} */ (document.activeElement));
      last = { heads, each, length, weight };
      draw();
      if (focused >= 0) /** @type {HTMLElement} */ (line.children[focused])?.focus();
      if (focusedHead >= 0) /** @type {HTMLElement} */ (grid.children[focusedHead])?.focus();
    },
  };
}

/**
 * @param {number} number
 * @param {number} each
 * @param {number} length
 * @param {any} weight
 * @param {boolean} isChosen
 * @param {() => void} choose
 */
function headImage(number, each, length, weight, isChosen, choose) {
  const canvas = h("canvas", { width: length, height: length });
  const pen = canvas.getContext("2d");
  const [red, green, blue] = rgbOf("--accent");
  const image = pen.createImageData(length, length);
  for (let row = 0; row < length; row++) {
    for (let column = 0; column <= row; column++) {
      const offset = 4 * (row * length + column);
      image.data.set([red, green, blue, Math.round(255 * Math.sqrt(weight(number, row, column)))], offset);
    }
  }
  pen.putImageData(image, 0, 0);
  canvas.style.width = `${CELL}px`;
  const name = `Layer ${Math.floor(number / each) + 1}, head ${(number % each) + 1}`;
  return h(
    "button",
    { type: "button", class: "attention-head", "aria-pressed": String(isChosen), "aria-label": name, title: name, onclick: choose },
    canvas,
  );
}

/** A colour of the theme as numbers. @param {string} name */
function rgbOf(name) {
  const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const value = parseInt(text.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}
