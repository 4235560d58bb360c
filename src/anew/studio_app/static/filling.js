// What both tabs Fill in do: a part of a sample is filled in several times, and the results are shown.

import { follow, sayEnd } from "./api.js";
import { h, replaceChildren } from "./dom.js";
import { itemDialog } from "./item_dialog.js";
import { shownItem } from "./items.js";

/**
 * Fill in a part of a sample, and show every draft.
 * @param {import("./play_view.js").Play} play
 * @param {{n: number, samples: string, mask?: string, stretch?: number[]}} part the sample, what of it is filled in, and how often
 * @param {HTMLElement} results where the samples are shown
 * @param {HTMLElement} status
 * @param {string} done the sentence at the end
 */
export async function showFilled(play, part, results, status, done) {
  const signal = play.begin(status);
  replaceChildren(results);
  status.textContent = "Filling in...";
  try {
    await follow("/api/play/sample", { run: play.id, ...play.options(), index: 0, ...part }, signal, (event) => {
      if (event.end) return;
      replaceChildren(
        results,
        event.items.map((/** @type {any} */ item, /** @type {number} */ index) => {
          const title = `Filled in ${index + 1}`;
          const figure = shownItem(item, title);
          if (!event.samples) return figure;
          const open = () => itemDialog(play, item, event.samples, index, title);
          const more = h("button", { type: "button", onclick: open, "aria-label": `More of ${index + 1}` }, "More");
          return h("div", { class: "made" }, figure, h("div", { class: "below" }, more));
        }),
      );
      status.textContent = event.samples ? done : `Step ${event.draft}`;
    });
  } catch (error) {
    sayEnd(status, signal, error);
  }
}
