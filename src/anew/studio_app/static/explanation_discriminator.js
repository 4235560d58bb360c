// How a GAN works: how real the discriminator believes real and generated items to be.

import { follow, sayEnd } from "./api.js";
import { h, replaceChildren, s, short } from "./dom.js";
import { aucSentence } from "./timelapse_map.js";

const [ROW, MARGIN] = [46, 24];
// Largest and least width of the chart in pixels. It is not scaled, so that its text can be read on a phone.
const [WIDE, NARROW] = [640, 260];

/** @param {import("./play_view.js").Play} play @param {string} question @returns {HTMLElement} */
export function discriminatorView(play, question) {
  const stage = h("div", {});
  const detail = h("div", { class: "discriminator-items", "aria-live": "polite" });
  const status = h("p", { class: "hint", role: "status" }, "Asking the discriminator...");
  /** @type {any} */
  let answer = null;
  const load = async () => {
    const signal = play.begin(status);
    try {
      await follow("/api/play/discriminator", { run: play.id, ...play.options() }, signal, (event) => {
        if (event.end) return;
        answer = event;
        status.textContent = aucSentence(event.auc);
        replaceChildren(stage, field(event));
        show("generated", best());
      });
    } catch (error) {
      sayEnd(status, signal, error);
    }
  };
  const best = () =>
    answer.generated.reduce(
      (/** @type {number} */ at, /** @type {any} */ item, /** @type {number} */ index) =>
        item.logit > answer.generated[at].logit ? index : at,
      0,
    );
  const show = (/** @type {string} */ group, /** @type {number} */ index) => {
    const item = answer[group][index];
    replaceChildren(
      detail,
      h(
        "figure",
        { class: "item" },
        h("img", { src: item.src, alt: `The ${group} item` }),
        h("figcaption", {}, `${group}, belief ${short(item.logit)}`),
      ),
      group === "generated"
        ? h(
            "figure",
            { class: "item" },
            h("img", { src: answer.directions[index], alt: "What would make it look more real" }),
            h(
              "figcaption",
              {},
              `it would look more real if it were ${play.about.modality === "audio" ? "louder where blue and quieter" : "brighter where blue and darker"} where red`,
            ),
          )
        : null,
    );
  };
  const field = (/** @type {any} */ event) => {
    const width = Math.max(NARROW, Math.min(WIDE, stage.clientWidth || WIDE));
    const all = [...event.real, ...event.generated].map((item) => item.logit);
    const [low, high] = [Math.min(...all), Math.max(...all)];
    const x = (/** @type {number} */ value) => MARGIN + ((value - low) / Math.max(1e-9, high - low)) * (width - 2 * MARGIN);
    const svg = s("svg", {
      viewBox: `0 0 ${width} ${2 * ROW + 30}`,
      class: "belief",
      role: "group",
      "aria-label": "The discriminator's belief: items further right look more real to it",
    });
    for (const [row, group] of ["real", "generated"].entries()) {
      svg.append(s("text", { x: 0, y: row * ROW + 14 }, group));
      event[group].forEach((/** @type {any} */ item, /** @type {number} */ index) => {
        const dot = s("circle", {
          cx: x(item.logit),
          cy: row * ROW + 22 + ((index * 7) % 5) * 3,
          r: 6,
          class: group,
          tabindex: 0,
          role: "button",
          "aria-label": `${group} item, belief ${short(item.logit)}`,
        });
        dot.addEventListener("click", () => show(group, index));
        dot.addEventListener("focus", () => show(group, index));
        svg.append(dot);
      });
    }
    svg.append(
      s("text", { x: 0, y: 2 * ROW + 24 }, "looks generated to it"),
      s("text", { x: width, y: 2 * ROW + 24, "text-anchor": "end" }, "looks real to it"),
    );
    return svg;
  };
  load();
  return h(
    "div",
    {},
    h(
      "div",
      { class: "actions" },
      h("button", { type: "button", class: "main", onclick: load }, "Again, with the current settings"),
      h(
        "button",
        {
          type: "button",
          onclick: () => {
            if (answer) show("generated", best());
          },
        },
        question,
      ),
    ),
    status,
    stage,
    detail,
  );
}
