// The tab Two runs: samples of two runs side by side, with the same seed and settings.

import { follow, get, sayEnd } from "./api.js";
import { h, replaceChildren } from "./dom.js";
import { familyTitle } from "./families.js";
import { shownItem } from "./items.js";

/** @param {import("./play_view.js").Play} play @returns {HTMLElement} */
export function besidePanel(play) {
  const other = h("select", { id: "other-run" });
  const status = h("p", { class: "hint", role: "status" }, "Looking for runs of the same kind...");
  const sides = [h("div", { class: "items big" }), h("div", { class: "items big" })];
  const names = [h("h3", {}, play.id), h("h3", {}, "another run")];
  const number = h("input", { id: "beside-number", type: "number", min: 1, max: 16, required: true, value: "6" });
  const prompt = h("input", { id: "beside-prompt", type: "text", autocomplete: "off" });
  const make = async () => {
    if (!other.value) return;
    const signal = play.begin(status);
    names[1].textContent = other.value;
    status.textContent = "Generating with the same seed and settings...";
    const failed = /** @type {string[]} */ ([]);
    for (const [position, run] of [play.id, other.value].entries()) {
      replaceChildren(sides[position]);
      const options = play.options();
      const body = { run, n: Number(number.value), ...options, ...(prompt.value ? { prompt: prompt.value } : {}) };
      try {
        await follow("/api/play/sample", body, signal, (event) => {
          if (!event.items) return;
          replaceChildren(
            sides[position],
            event.items.map((/** @type {any} */ item, /** @type {number} */ index) => shownItem(item, `Sample ${index + 1} of ${run}`)),
          );
        });
      } catch (error) {
        if (signal.aborted) return sayEnd(status, signal, error);
        failed.push(`${run}: ${/** @type {Error} */ (error).message}`);
      }
    }
    status.textContent = failed.length ? failed.join(" ") : "The seed and settings are the same; what differs comes from the runs.";
  };
  const form = h(
    "form",
    {
      class: "row",
      hidden: true,
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        make();
      },
    },
    h("div", { class: "wide" }, h("label", { for: "other-run" }, "The other run"), other),
    h("div", {}, h("label", { for: "beside-number" }, "How many"), number),
    play.about.prompts ? h("div", { class: "wide" }, h("label", { for: "beside-prompt" }, "Begin with"), prompt) : null,
    h("button", { type: "submit", class: "main" }, "Generate both"),
  );
  const board = h(
    "div",
    { class: "beside", hidden: true },
    sides.map((side, position) => h("section", {}, names[position], side)),
  );
  get("/api/runs", {}, play.signal)
    .then(({ runs }) => {
      const fitting = runs.filter(
        (/** @type {any} */ run) => run.id !== play.id && run.modality === play.about.modality && run.step > 0 && !run.has_own_code,
      );
      replaceChildren(
        other,
        fitting.map((/** @type {any} */ run) => h("option", { value: run.id }, `${run.id} (${familyTitle(run.family)})`)),
      );
      form.hidden = board.hidden = !fitting.length;
      status.textContent = fitting.length
        ? "Choose the other run."
        : `There is no other run of ${play.about.plural} in this folder. Train another one, with a different family or seed.`;
      if (fitting.length) make();
    })
    .catch((error) => {
      if (!play.signal.aborted) status.textContent = error.message;
    });
  return h("div", {}, h("h2", {}, "Two runs side by side"), form, status, board);
}
