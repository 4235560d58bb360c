// How a Transformer works: a sentence of the user's, with next tokens, predictions of network and counts, and attention.

import { follow, sayEnd } from "./api.js";
import { h, replaceChildren } from "./dom.js";
import { headGrid, readToken } from "./heads.js";
import { percent, visibleToken } from "./token_text.js";

const PAUSE_MS = 250; // after the last key press
const NAMES = { network: "network", counts: "counts", records: "known records", together: "both together" };

/** @param {import("./play_view.js").Play} play @param {string} question @returns {HTMLElement} */
export function sentenceView(play, question) {
  const box = h("textarea", { id: "sentence", rows: 2, value: play.about.example ?? "" });
  const status = h("p", { class: "hint", role: "status" });
  const [sides, attention, next] = [h("div", {}), h("div", {}), h("div", {})];
  let timer = 0;
  /** @type {any} */
  let read = null;
  const ask = async (/** @type {Record<string, string>} */ extra = {}) => {
    const signal = play.begin(status);
    const options = play.options();
    if (!box.value.trim()) {
      status.textContent = "Type a sentence of your own.";
      return;
    }
    status.textContent = "Reading...";
    try {
      await follow(
        "/api/play/sentence",
        { run: play.id, ...options, settings: { ...options.settings, ...extra }, prompt: box.value },
        signal,
        (event) => {
          if (event.end) return;
          if (event.tokens) {
            read = event;
            results.hidden = false;
            replaceChildren(sides, sidesView(event));
          }
          if (event.attention) drawAttention(attention, read.tokens, event);
          if (event.next)
            replaceChildren(
              next,
              nextView(
                event.next,
                extra.temperature === "0" ? "At temperature 0 all but the most likely token are cut, so the text is always the same." : "",
              ),
            );
        },
      );
      status.textContent = read?.was_cut ? "Only its beginning is shown." : "";
    } catch (error) {
      sayEnd(status, signal, error);
    }
  };
  const later = () => {
    clearTimeout(timer);
    timer = window.setTimeout(ask, PAUSE_MS);
  };
  box.addEventListener("input", () => {
    play.about.example = box.value; // kept when the view is drawn again for another time in training
    later();
  });
  play.onOptions(() => {
    if (box.isConnected) later();
  });
  play.signal.addEventListener("abort", () => clearTimeout(timer));
  const results = h(
    "div",
    { hidden: true },
    h("h3", {}, "What may come next"),
    next,
    h("h3", {}, "Which came closer?"),
    sides,
    h("h3", {}, "Where it looked"),
    attention,
  );
  if (box.value) ask();
  else status.textContent = "Type a sentence of your own.";
  return h(
    "div",
    {},
    h("label", { for: "sentence" }, "Your sentence"),
    box,
    h(
      "div",
      { class: "actions" },
      h("button", { type: "button", onclick: () => ask({ temperature: "0" }) }, question),
      h("button", { type: "button", onclick: () => ask() }, "With the current settings"),
    ),
    status,
    results,
  );
}

/** The predictions of network and counts, token by token. @param {any} event */
function sidesView(event) {
  const names = Object.keys(event.sides).filter((name) => name !== "together");
  const mean = (/** @type {number[]} */ bits) => bits.reduce((sum, value) => sum + value, 0) / Math.max(1, bits.length);
  if (names.length < 2) {
    return h(
      "p",
      { class: "hint" },
      `No counts are mixed with this network. It takes ${mean(event.sides.together).toFixed(2)} bits per token.`,
    );
  }
  const detail = h("p", { class: "hint", "aria-live": "polite" }, "Choose a token to see how likely it was under each of them.");
  const best = event.sides[names[0]].map((/** @type {number} */ _, /** @type {number} */ index) =>
    names.reduce((closest, name) => (event.sides[name][index] < event.sides[closest][index] ? name : closest), names[0]),
  );
  const line = h(
    "div",
    { class: "tokens sides", role: "group", "aria-label": "Under which of them each token was more likely" },
    h("span", { class: "token given" }, readToken(event.tokens[0])),
    best.map((/** @type {string} */ name, /** @type {number} */ index) => {
      const columns = names.map((side) => {
        const column = h("i", { class: side });
        column.style.height = `${Math.max(4, 100 * 2 ** -event.sides[side][index])}%`;
        return column;
      });
      const token = h(
        "button",
        {
          type: "button",
          class: `token column ${name}`,
          "aria-label": `${readToken(event.tokens[index + 1])}: ${NAMES[/** @type {keyof typeof NAMES} */ (name)]} came closer`,
          onclick: () => {
            const parts = Object.entries(event.sides).map(
              ([side, bits]) => `${NAMES[/** @type {keyof typeof NAMES} */ (side)]} ${percent(2 ** -bits[index])}`,
            );
            detail.textContent = `${readToken(event.tokens[index + 1])}: ${parts.join(", ")}.`;
          },
        },
        h("span", { class: "columns", "aria-hidden": "true" }, columns),
        readToken(event.tokens[index + 1]),
      );
      return token;
    }),
  );
  const won = names.map(
    (name) => `${NAMES[/** @type {keyof typeof NAMES} */ (name)]} ${best.filter((/** @type {string} */ other) => other === name).length}`,
  );
  const costs = Object.entries(event.sides).map(
    ([name, bits]) => `${NAMES[/** @type {keyof typeof NAMES} */ (name)]} ${mean(bits).toFixed(2)}`,
  );
  return h(
    "div",
    {},
    h(
      "ul",
      { class: "legend" },
      names.map((name) => h("li", {}, h("i", { class: `dot ${name}` }), NAMES[/** @type {keyof typeof NAMES} */ (name)])),
    ),
    h(
      "p",
      { class: "hint" },
      "Above each token is a column for each of them: the higher it is, the more likely the token was. The underline has the colour of the one that came closer.",
    ),
    line,
    detail,
    h(
      "p",
      { class: "hint" },
      `Tokens for which each came closer: ${won.join(", ")}. Bits per token (fewer are better): ${costs.join(", ")}.`,
    ),
  );
}

/** @param {HTMLElement} container @param {string[]} tokens @param {any} event */
function drawAttention(container, tokens, event) {
  const levels = Uint8Array.from(atob(event.attention), (letter) => letter.charCodeAt(0));
  const length = tokens.length;
  const grid = headGrid(tokens);
  replaceChildren(container, grid.element);
  grid.show(event.shown, event.heads, length, (head, row, column) => levels[(head * length + row) * length + column] / 255);
}

/** Candidates for the next token, before and after temperature and cutoffs. @param {any} next @param {string} remark */
function nextView(next, remark) {
  const highest = Math.max(...next.top.map((/** @type {any} */ other) => Math.max(other.p, other.drawn_p)));
  const bar = (/** @type {number} */ share, /** @type {string} */ look) => {
    const inner = h("span", { class: `fill ${look}` });
    inner.style.width = `${(100 * share) / highest}%`;
    return inner;
  };
  return h(
    "div",
    {},
    h(
      "p",
      { class: "hint" },
      "Pale: the model's probability. Dark: the probability with which the token is drawn, after temperature and cutoffs. ",
      `${next.left === 1 ? "One token is" : `${next.left.toLocaleString("en-US")} tokens are`} left; `,
      next.cut_p > 0 ? `${percent(next.cut_p)} was cut away.` : "nothing was cut away.",
      remark ? ` ${remark}` : "",
    ),
    h(
      "p",
      { class: "bar-row bar-head", "aria-hidden": "true" },
      h("span", { class: "bar-text" }),
      h("span", {}),
      h("span", { class: "bar-share" }, "model"),
      h("span", { class: "bar-share" }, "drawn"),
    ),
    h(
      "ul",
      { class: "plain bars" },
      next.top.map((/** @type {any} */ other) =>
        h(
          "li",
          { class: "bar-row" },
          h("span", { class: "bar-text" }, visibleToken(other)),
          h("span", { class: "meter double", "aria-hidden": "true" }, bar(other.p, "pale"), bar(other.drawn_p, "")),
          h("span", { class: "bar-share" }, percent(other.p)),
          h("span", { class: "bar-share" }, other.drawn_p > 0 ? percent(other.drawn_p) : "cut"),
        ),
      ),
    ),
  );
}
