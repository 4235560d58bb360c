// The panel of Play that generates samples, and shows them while they form.

import { address, follow, sayEnd } from "./api.js";
import { count, h, plural, replaceChildren } from "./dom.js";
import { shownItem } from "./items.js";
import { itemDialog } from "./item_dialog.js";

/** @typedef {import("./play_view.js").Play} Play */

const MAX_NUMBER = 2 ** 53 - 64; // the largest number of a sample that the Studio takes

/** @param {Play} play @returns {HTMLElement} */
export function samplesPanel(play) {
  const { about, id } = play;
  const number = h("input", {
    id: "number",
    type: "number",
    min: 1,
    max: 64,
    required: true,
    value: String(about.origin?.n ?? (about.prompts ? 3 : 9)),
  });
  const from = h("input", {
    id: "first",
    type: "number",
    min: 1,
    max: MAX_NUMBER,
    required: true,
    value: String(Number(about.origin?.first_index ?? 0) + 1),
  });
  const prompt = h("textarea", {
    id: "prompt",
    rows: 2,
    placeholder: "leave empty to start from nothing",
    value: about.origin?.prompt ?? "",
  });
  const suffix = h("textarea", {
    id: "suffix",
    rows: 2,
    placeholder: "leave empty to let it end by itself",
    value: about.origin?.suffix ?? "",
  });
  const ending = h("input", {
    id: "stop",
    type: "text",
    placeholder: "leave empty to let it end by itself",
    value: about.origin?.stop ?? "",
  });
  const result = h("div", { class: `items big ${about.prompts ? "text" : about.modality === "audio" ? "sound" : ""}` });
  const status = h("p", { class: "hint", role: "status" });
  const all = h("a", { class: "button", hidden: true }, "Download all");
  const stop = h("button", { type: "button", hidden: true, onclick: () => play.begin() }, "Stop");
  const go = h("button", { type: "submit", class: "main" }, "Generate");
  const make = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const signal = play.begin(status);
    const started = performance.now();
    stop.hidden = false;
    all.hidden = true;
    const first = Number(from.value) - 1;
    play.texts = {
      n: number.value,
      first_index: first ? String(first) : "",
      prompt: prompt.value,
      suffix: suffix.value,
      stop: ending.value,
    };
    play.keep();
    status.textContent = "Starting...";
    const texts = Object.entries({ prompt, suffix, stop: ending })
      .map(([name, input]) => [name, input.value])
      .filter(([, value]) => value);
    const body = {
      run: id,
      n: Number(number.value),
      ...(first ? { first_index: first } : {}),
      ...play.options(),
      ...Object.fromEntries(texts),
    };
    try {
      await follow("/api/play/sample", body, signal, (event) => {
        if (event.end) return;
        update(result, event, play, first);
        const seconds = ((performance.now() - started) / 1000).toFixed(1);
        const unit = about.prompts ? "token" : "step";
        status.textContent = event.samples
          ? [`Done in ${seconds} s, ${plural(event.drafts, unit)}.`, ...(event.notes ?? [])].join(" ")
          : `${about.prompts ? "Token" : "Step"} ${count(event.draft)}, ${seconds} s`;
        if (event.samples) {
          terminal.hidden = false;
          /** @type {HTMLElement} */ (terminal.lastChild).textContent = command(body);
        }
        if (event.samples) Object.assign(all, { hidden: false, href: address("/api/play/zip", { run: id, samples: event.samples }) });
      });
    } catch (error) {
      sayEnd(status, signal, error);
      if (signal.reason === status) return; // what is shown is of the samples that were asked for since
      if (!signal.aborted) replaceChildren(result); // earlier samples do not answer this
    }
    stop.hidden = true;
  };
  const terminal = h("details", { hidden: true }, h("summary", {}, "The same in the terminal"), h("pre", { class: "words", tabindex: 0 }));
  const form = h(
    "form",
    { onsubmit: make },
    about.prompts ? [h("label", { for: "prompt" }, "Begin with"), prompt] : null,
    about.gap ? [h("label", { for: "suffix" }, "End with (the model fills the gap)"), suffix] : null,
    about.prompts ? [h("label", { for: "stop" }, "Stop before"), ending] : null,
    h(
      "div",
      { class: "row" },
      h("div", {}, h("label", { for: "number" }, "How many"), number),
      h("div", {}, h("label", { for: "first" }, "From number"), from),
      go,
      stop,
      all,
    ),
    status,
    terminal,
  );
  const panel = h("div", {}, form, result);
  queueMicrotask(() => form.requestSubmit());
  return panel;
}

/** The command that generates the same, in the start folder; those that are shown are its last files. @param {any} body of a request */
function command({ run, n, first_index, seed, label, prompt, suffix, stop, settings }) {
  const options = Object.entries({ seed, label, prompt, suffix, stop })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `--${name}=${value}`);
  const words = [
    "anew",
    "sample",
    run,
    "-n",
    n + (first_index ?? 0),
    ...options,
    ...Object.entries(settings).map(([name, value]) => `--set=${name}=${value}`),
    "--out",
    "samples",
  ];
  return words
    .map(String)
    .map((word) => (/^[\w./=:,@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(" ");
}

/**
 * Show a draft or the samples.
 * @param {HTMLElement} result
 * @param {any} event
 * @param {Play} play
 * @param {number} first index of the first sample
 */
function update(result, event, play, first) {
  replaceChildren(
    result,
    event.items.map((/** @type {any} */ item, /** @type {number} */ index) => {
      const number = first + index + 1;
      const title = `Sample ${number}`;
      const figure = shownItem(item, title);
      if (!event.samples) return figure;
      const open = (/** @type {boolean} */ isAsked) => itemDialog(play, item, event.samples, index, title, isAsked);
      return h(
        "div",
        { class: "made" },
        figure,
        h(
          "div",
          { class: "below" },
          h("button", { type: "button", onclick: () => open(false), "aria-label": `More of sample ${number}` }, "More"),
          h("button", { type: "button", onclick: () => open(true), "aria-label": `Is sample ${number} a copy?` }, "Copy?"),
        ),
      );
    }),
  );
}
