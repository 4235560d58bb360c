// The tab Token by token: the probability of each token, its alternatives, and how the text continues with one of them.

import { follow, sayEnd } from "./api.js";
import { count, h, plural, replaceChildren } from "./dom.js";
import { percent, visibleToken } from "./token_text.js";

const MAX_TOKENS = 100;

/** How unsure a model was, a clause. @param {number} entropy in bits */
function doubt(entropy) {
  const equallyLikely = Math.round(2 ** entropy);
  if (equallyLikely <= 1) return "the model was almost sure of what comes here";
  return `the model was as unsure as if ${count(equallyLikely)} tokens were equally likely`;
}

/** @param {import("./play_view.js").Play} play @returns {HTMLElement} */
export function tokenPanel(play) {
  const prompt = h("textarea", {
    id: "token-prompt",
    rows: 3,
    placeholder: "leave empty to start from nothing",
    value: play.about.origin?.prompt ?? "",
  });
  const maxTokens = h("input", { id: "token-most", type: "number", min: 1, max: 2000, required: true, value: String(MAX_TOKENS) });
  const text = h("div", { class: "tokens", role: "group", "aria-label": "The text, a button for each token" });
  const detail = h("div", { class: "token-detail", "aria-live": "polite" });
  const status = h("p", { class: "hint", role: "status" });
  /** @type {any[]} */
  let tokens = [];
  const run = async (/** @type {Record<string, string>} */ extra = {}) => {
    const signal = play.begin(status);
    const options = play.options();
    tokens = [];
    replaceChildren(text);
    status.textContent = "Reading...";
    try {
      await follow(
        "/api/play/tokens",
        {
          run: play.id,
          ...options,
          settings: { ...options.settings, ...extra },
          prompt: prompt.value,
          max_tokens: Number(maxTokens.value),
        },
        signal,
        (token) => {
          if (token.end) return;
          const index = tokens.length;
          tokens.push(token);
          text.append(button(token, () => show(index)));
          if (token.text.includes("\n")) text.append(h("br"));
        },
      );
      const drawn = tokens.filter((token) => !token.given);
      const bits = tokens.reduce((sum, token) => sum + token.bits, 0) / Math.max(1, tokens.length);
      status.textContent = `${plural(tokens.length, "token")}, ${count(drawn.length)} of them new; ${bits.toFixed(2)} bits per token on average. Coloured: the model was sure. Underlined: it was surprised.`;
      if (!detail.children.length) detail.append(h("p", { class: "hint" }, "Choose a token to see what else could have stood there."));
    } catch (error) {
      sayEnd(status, signal, error);
    }
  };
  const show = (/** @type {number} */ index) => {
    const token = tokens[index];
    for (const [other, element] of [...text.querySelectorAll("button")].entries())
      element.setAttribute("aria-pressed", String(other === index));
    const before = tokens
      .slice(0, index)
      .map((each) => each.text)
      .join("");
    const highest = token.top[0]?.p ?? 1;
    replaceChildren(
      detail,
      h("h3", {}, `${visibleToken(token)}: ${percent(token.p)}${token.given ? ", given" : ""}`),
      h("p", { class: "hint" }, `${token.bits.toFixed(1)} bits; ${doubt(token.entropy)}. Choose another token to continue with it.`),
      h(
        "p",
        { class: "hint" },
        "First number: the model's probability. Second: the probability with which the token is drawn, after temperature and cutoffs.",
      ),
      h(
        "ul",
        { class: "plain bars" },
        token.top.map((/** @type {any} */ other) =>
          h(
            "li",
            {},
            h(
              "button",
              {
                type: "button",
                class: "bar-button",
                disabled: other.is_end,
                onclick: () => {
                  prompt.value = before + other.text;
                  run();
                },
              },
              h("span", { class: "bar-text" }, visibleToken(other)),
              meter(other.p / highest),
              h("span", { class: "bar-share" }, percent(other.p)),
              h("span", { class: "bar-share" }, other.drawn_p > 0 ? percent(other.drawn_p) : "cut"),
            ),
          ),
        ),
      ),
    );
  };
  return h(
    "div",
    {},
    h("h2", {}, "Token by token"),
    h(
      "ol",
      { class: "explanation-text" },
      [
        "The model has learned one thing: to say how likely each token is to come next, given those before it.",
        "To write, it draws a token with these probabilities, adds it to the text, and starts over.",
        "Temperature sharpens or flattens the probabilities; the cutoffs top k, top p and min p leave out unlikely tokens.",
      ].map((sentence) => h("li", {}, sentence)),
    ),
    h(
      "form",
      {
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          run();
        },
      },
      h("label", { for: "token-prompt" }, "Your text"),
      prompt,
      h(
        "div",
        { class: "row" },
        h("div", {}, h("label", { for: "token-most" }, "New tokens, at most"), maxTokens),
        h("button", { type: "submit", class: "main" }, "Continue"),
        h("button", { type: "button", onclick: () => run({ temperature: "0" }) }, "What if temperature were 0?"),
      ),
    ),
    status,
    text,
    detail,
    h(
      "p",
      { class: "hint" },
      "In the source: temperature and cutoffs in anew/functional/token_choice.py; the loop in anew/families/transformer/drawing/sampler.py.",
    ),
  );
}

/** @param {number} share */
function meter(share) {
  const inner = h("span", { class: "fill" });
  inner.style.width = `${Math.max(1, 100 * share)}%`;
  return h("span", { class: "meter", "aria-hidden": "true" }, inner);
}

/** @param {any} token @param {() => void} onclick */
function button(token, onclick) {
  const element = h(
    "button",
    {
      type: "button",
      class: `token${token.given ? " given" : ""}${token.p < 0.05 ? " rare" : ""}`,
      "aria-label": `${visibleToken(token)}, ${percent(token.p)}`,
      onclick,
    },
    token.is_end ? "\u25a0" : token.text.includes("\n") ? visibleToken(token) : token.text || "\u25e6",
  ); // a line break would make the button as high as several lines
  element.style.setProperty("--sure", String(Math.round(100 * token.p)));
  return element;
}
