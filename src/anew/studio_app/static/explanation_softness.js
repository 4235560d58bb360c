// How a VAE works: the same samples with less and more noise in their details.

import { follow } from "./api.js";
import { h, replaceChildren, short } from "./dom.js";

/** @param {import("./play_view.js").Play} play @returns {HTMLElement} */
export function softnessView(play) {
  const slider = h("input", { id: "softness", type: "range", min: 0, max: 0, step: 1, value: "0", disabled: true, oninput: () => draw() });
  const status = h("p", { class: "hint", role: "status" }, "Drawing the same samples with less and more noise...");
  const items = h("div", { class: "items big" });
  /** @type {any[]} */
  const steps = [];
  let real = 0;
  const draw = () => {
    const step = steps[Number(slider.value)];
    if (!step) return;
    replaceChildren(
      items,
      step.items.map((/** @type {string} */ src, /** @type {number} */ index) =>
        h("figure", { class: "item" }, h("img", { src, alt: `Sample ${index + 1} at noise ${step.temperature}` })),
      ),
    );
    const share = real ? ` The samples have ${Math.round((100 * step.detail) / real)}% of the detail of your items.` : "";
    status.textContent = `Noise ${short(step.temperature)}${step.temperature === 0 ? ": each detail is at its average, so the image is soft" : ""}.${share}`;
    slider.setAttribute("aria-valuetext", `noise ${step.temperature}`);
  };
  follow("/api/play/softness", { run: play.id, ...play.options() }, play.signal, (event) => {
    if (event.items) {
      steps.push(event);
      Object.assign(slider, { max: String(steps.length - 1), disabled: false });
    }
    if (event.real_detail) real = event.real_detail;
    draw();
  }).catch((error) => {
    if (!play.signal.aborted) status.textContent = error.message;
  });
  return h(
    "section",
    {},
    h("h3", {}, "Why are they softer?"),
    h(
      "p",
      {},
      "Where the latents leave details open, the model knows only their average. Without noise each detail is that average, and the image is soft. With noise each detail is drawn by itself, and with too much of it the image falls apart.",
    ),
    h("label", { for: "softness" }, "Noise in the details"),
    slider,
    status,
    items,
  );
}
