// How diffusion works: where the model would move items on a flat map, at each noise level.

import { follow } from "./api.js";
import { h, replaceChildren, s, short } from "./dom.js";

const SIDE = 420;

/** @param {import("./play_view.js").Play} play @returns {HTMLElement} */
export function fieldView(play) {
  const stage = h("div", {});
  const status = h("p", { class: "hint", role: "status" });
  const slider = h("input", {
    id: "field-level",
    type: "range",
    min: 0,
    max: 0,
    step: 1,
    value: "0",
    disabled: true,
    oninput: () => draw(),
  });
  /** @type {any} */
  let base = null;
  /** @type {any[]} */
  const levels = [];
  const draw = () => {
    const level = levels[Number(slider.value)];
    if (!base || !level) return;
    const at = (/** @type {number} */ value) => SIDE / 2 + (value / (1.15 * base.reach)) * (SIDE / 2);
    const svg = s("svg", {
      viewBox: `0 0 ${SIDE} ${SIDE}`,
      class: "map field",
      role: "img",
      "aria-label": `Where noise ${short(level.sigma)} would be moved to`,
    });
    for (const [x, y] of base.points) svg.append(s("circle", { cx: at(x).toFixed(1), cy: at(y).toFixed(1), r: 2.5, class: "real" }));
    base.starts.forEach((/** @type {number[]} */ [x, y], /** @type {number} */ index) => {
      const [toX, toY] = level.ends[index];
      svg.append(
        s("line", { x1: at(x).toFixed(1), y1: at(y).toFixed(1), x2: at(toX).toFixed(1), y2: at(toY).toFixed(1) }),
        s("circle", { cx: at(toX).toFixed(1), cy: at(toY).toFixed(1), r: 3, class: "made" }),
      );
    });
    replaceChildren(stage, svg);
    slider.setAttribute("aria-valuetext", `noise ${short(level.sigma)}`);
    status.textContent = [
      `Noise ${short(level.sigma)}: a line leads from each noisy item to the clean item that the model guesses for it.`,
      `Mean squared error on your items: ${short(Number(level.mean_squared_error.toPrecision(2)))}.`,
      `The map holds ${Math.round(100 * base.share)}% of the variance of your items.`,
    ].join(" ");
  };
  const start = h(
    "button",
    {
      type: "button",
      onclick: async () => {
        start.disabled = true;
        levels.length = 0;
        status.textContent = "Asking the model at each noise level...";
        try {
          await follow("/api/play/field", { run: play.id, ...play.moment() }, play.signal, (event) => {
            if (event.points) {
              base = event;
              level.hidden = false;
            }
            if (event.ends) {
              levels.push(event);
              Object.assign(slider, { max: String(levels.length - 1), disabled: false, value: "0" });
              draw();
            }
          });
        } catch (error) {
          if (!play.signal.aborted) status.textContent = /** @type {Error} */ (error).message;
        }
        start.disabled = false;
      },
    },
    "Show the map",
  );
  const level = h("div", { hidden: true }, h("label", { for: "field-level" }, "Noise level, from high to low"), slider);
  return h(
    "section",
    {},
    h("h3", {}, "Where the model moves things, on a flat map"),
    h("div", { class: "actions" }, start),
    status,
    h("div", { class: "map-box" }, stage, level),
  );
}
