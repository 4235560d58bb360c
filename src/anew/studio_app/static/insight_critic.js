// GAN: what the critic believes of real and of made items.

import { follow } from "./api.js";
import { fill, h, s, short } from "./dom.js";

const [WIDTH, ROW, MARGIN] = [640, 46, 24];

/** @param {import("./play_view.js").Play} play @param {string} question @returns {HTMLElement} */
export function criticView(play, question) {
  const stage = h("div", {});
  const detail = h("div", { class: "judged", "aria-live": "polite" });
  const status = h("p", { class: "hint", role: "status" }, "Asking the critic...");
  /** @type {any} */
  let answer = null;
  const load = async () => {
    const signal = play.begin();
    try {
      await follow("/api/play/critic", { run: play.id, ...play.wish() }, signal, (event) => {
        if (event.end) return;
        answer = event;
        const share = Math.round(100 * event.told_apart);
        const who = share >= 75 ? "the critic is winning" : share <= 55 ? "the maker has fooled it" : "neither has won";
        status.textContent = `Of a real and a made item the critic believes the real one ${share}% of the time (guessing: 50%): ${who}.`;
        fill(stage, field(event));
        show("made", best());
      });
    } catch (error) {
      if (!signal.aborted) status.textContent = /** @type {Error} */ (error).message;
    }
  };
  const best = () => answer.made.reduce((/** @type {number} */ at, /** @type {any} */ item, /** @type {number} */ place) => (item.belief > answer.made[at].belief ? place : at), 0);
  const show = (/** @type {string} */ sort, /** @type {number} */ place) => {
    const item = answer[sort][place];
    fill(detail, h("figure", { class: "item" }, h("img", { src: item.src, alt: `The ${sort} item` }), h("figcaption", {}, `${sort}, belief ${short(item.belief)}`)),
      sort === "made" ? h("figure", { class: "item" }, h("img", { src: answer.directions[place], alt: "Where it would have to change" }),
        h("figcaption", {}, "would look more real: brighter where blue, darker where red")) : null);
  };
  const field = (/** @type {any} */ event) => {
    const all = [...event.real, ...event.made].map((item) => item.belief);
    const [low, high] = [Math.min(...all), Math.max(...all)];
    const x = (/** @type {number} */ value) => MARGIN + ((value - low) / Math.max(1e-9, high - low)) * (WIDTH - 2 * MARGIN);
    const svg = s("svg", { viewBox: `0 0 ${WIDTH} ${2 * ROW + 30}`, class: "belief", role: "group", "aria-label": "The critic's belief: further right looks more real to it" });
    for (const [row, sort] of ["real", "made"].entries()) {
      svg.append(s("text", { x: 0, y: row * ROW + 14 }, sort));
      event[sort].forEach((/** @type {any} */ item, /** @type {number} */ place) => {
        const dot = s("circle", { cx: x(item.belief), cy: row * ROW + 22 + ((place * 7) % 5) * 3, r: 6, class: sort, tabindex: 0, role: "button",
          "aria-label": `${sort} item, belief ${short(item.belief)}` });
        dot.addEventListener("click", () => show(sort, place));
        dot.addEventListener("focus", () => show(sort, place));
        svg.append(dot);
      });
    }
    svg.append(s("text", { x: 0, y: 2 * ROW + 24 }, "looks made to it"), s("text", { x: WIDTH, y: 2 * ROW + 24, "text-anchor": "end" }, "looks real to it"));
    return svg;
  };
  load();
  return h("div", {}, h("div", { class: "actions" },
    h("button", { type: "button", class: "main", onclick: load }, "Again, with the settings at the side"),
    h("button", { type: "button", onclick: () => { if (answer) show("made", best()); } }, question)), status, stage, detail);
}
