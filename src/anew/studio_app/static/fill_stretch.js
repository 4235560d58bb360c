// The tab Fill in for clips and sounds: a stretch of time is filled in, and the rest stays as it is.

import { follow, sayEnd } from "./api.js";
import { h, replaceChildren } from "./dom.js";
import { showFilled } from "./filling.js";
import { shownItem } from "./items.js";

/** @param {import("./play_view.js").Play} play @returns {HTMLElement} */
export function stretchPanel(play) {
  const noun = play.about.singular;
  const status = h("p", { class: "hint", role: "status" });
  const source = h("div", { class: "items big stretch" });
  const results = h("div", { class: "items big stretch" });
  const from = h("input", { id: "from", type: "range", min: 0, max: 100, value: "25", oninput: () => say() });
  const to = h("input", { id: "to", type: "range", min: 0, max: 100, value: "75", oninput: () => say() });
  let samples = "";
  const say = () => {
    const [first, stop] = [Number(from.value), Number(to.value)];
    status.textContent =
      first < stop
        ? `The time between ${first}% and ${stop}% is filled in; the rest stays as it is.`
        : "Move the second slider to the right of the first.";
  };
  const preset = (/** @type {number} */ first, /** @type {number} */ stop) => {
    from.value = String(first);
    to.value = String(stop);
    say();
  };
  const start = async () => {
    const signal = play.begin(status);
    status.textContent = `Generating a ${noun} to start from...`;
    samples = ""; // and nothing of it is left if the new one is refused
    replaceChildren(source);
    replaceChildren(results);
    try {
      await follow("/api/play/sample", { run: play.id, n: 1, ...play.options() }, signal, (event) => {
        if (!event.samples) return;
        samples = event.samples;
        replaceChildren(source, shownItem(event.items[0], `The ${noun} to start from`));
        say();
      });
    } catch (error) {
      sayEnd(status, signal, error);
    }
  };
  const fillIn = async () => {
    if (!samples) return;
    const stretch = [Number(from.value) / 100, Number(to.value) / 100];
    await showFilled(play, { n: 4, samples, stretch }, results, status, "Four ways to fill it in; another seed gives others.");
  };
  start();
  return h(
    "div",
    {},
    h("h2", {}, "Fill in a stretch of time"),
    source,
    h(
      "div",
      { class: "actions" },
      h("button", { type: "button", onclick: () => preset(25, 75) }, "The middle"),
      h("button", { type: "button", onclick: () => preset(50, 100) }, "The end"),
      h("button", { type: "button", onclick: () => preset(0, 50) }, "The beginning"),
      h(
        "button",
        {
          type: "button",
          onclick: () => {
            play.another();
            start();
          },
        },
        "Another",
      ),
      h("button", { type: "button", class: "main", onclick: fillIn }, "Fill in"),
    ),
    h("label", { for: "from" }, "From"),
    from,
    h("label", { for: "to" }, "To"),
    to,
    status,
    results,
  );
}
