// How diffusion works: the noisy input of the model at each noise level, and its guess of the clean item.

import { follow, sayEnd } from "./api.js";
import { h, short } from "./dom.js";
import { fieldView } from "./explanation_field.js";

/** How sounds, clips and latents are shown, in words. @param {any} about */
function viewNote(about) {
  const ofModality =
    about.modality === "audio"
      ? " Sounds are shown as spectrograms, low tones below."
      : about.modality === "video"
        ? " Of each clip the middle frame is shown."
        : "";
  return `${ofModality}${about.latents ? " The model removes noise from latents; the images show what its codec decodes, so noise looks like broken items." : ""}`;
}

/** @param {import("./play_view.js").Play} play @param {string} question @returns {HTMLElement} */
export function noiseView(play, question) {
  const rows = h("div", {});
  const status = h("p", { class: "hint", role: "status" });
  const make = async (/** @type {Record<string, string>} */ extra, /** @type {string} */ title, eachLabel = false) => {
    const signal = play.begin(status);
    const options = play.options();
    const levels = h("div", { class: "noise-levels", tabindex: 0, role: "group", "aria-label": title });
    const head = h("h3", {}, title);
    rows.prepend(h("section", {}, head, levels));
    while (rows.children.length > 2) rows.lastElementChild?.remove();
    status.textContent = "Removing noise...";
    try {
      await follow(
        "/api/play/noise",
        { run: play.id, ...options, settings: { ...options.settings, ...extra }, each_label: eachLabel },
        signal,
        (event) => {
          if (event.end) {
            status.textContent = `Above: what the model was given. Below: the clean item that it guessed. Left: noise; right: the samples.${viewNote(play.about)}`;
            return;
          }
          if (event.labels) {
            head.textContent = `${title}: ${event.levels} noise levels${event.labels[0] === null ? "" : `, classes ${event.labels.join(", ")}`}`;
            return;
          }
          levels.append(
            h(
              "figure",
              { class: "level" },
              h(
                "div",
                {},
                event.noisy.map((/** @type {string} */ src) => h("img", { src, alt: `Given, at noise ${short(event.sigma)}` })),
              ),
              h(
                "div",
                {},
                event.estimate.map((/** @type {string} */ src) => h("img", { src, alt: `Guessed, at noise ${short(event.sigma)}` })),
              ),
              h("figcaption", {}, `noise ${Number(event.sigma.toPrecision(2))}`),
            ),
          );
        },
      );
    } catch (error) {
      sayEnd(status, signal, error);
    }
  };
  const labels = play.about.labels;
  const again = () => make({}, "The current settings");
  again();
  return h(
    "div",
    {},
    h(
      "div",
      { class: "actions" },
      h("button", { type: "button", class: "main", onclick: again }, "Again, with the current settings"),
      h("button", { type: "button", onclick: () => make({ steps: "2" }, "Two steps") }, question),
      "guidance" in play.about.defaults && labels.length
        ? h("button", { type: "button", onclick: () => make({ guidance: "3" }, "Guidance 3") }, "What does guidance do?")
        : null,
      labels.length
        ? h("button", { type: "button", onclick: () => make({}, "The same start with each class", true) }, "The same start, other classes")
        : null,
    ),
    status,
    rows,
    fieldView(play),
  );
}
