// The tab Walk: frames from sample to sample, on a slider.

import { address, follow, sayEnd } from "./api.js";
import { h } from "./dom.js";

const FRAME_MS = 70;

/** @param {import("./play_view.js").Play} play @returns {HTMLElement} */
export function walkPanel(play) {
  const image = h("img", { class: "sheet walk", alt: "" });
  const slider = h("input", { id: "way", type: "range", min: 0, max: 0, value: "0", disabled: true, oninput: () => draw() });
  const status = h("p", { class: "hint", role: "status" });
  const all = h("a", { class: "button", hidden: true }, "Download all frames");
  /** @type {any[]} */
  let frames = [];
  /** @type {number[]} */
  let stops = [];
  let timer = 0;
  const pause = () => {
    clearInterval(timer);
    timer = 0;
    toggle.textContent = "Play";
  };
  const draw = () => {
    const index = Number(slider.value);
    if (!frames.length) return;
    image.src = frames[index].src;
    const stop = stops.indexOf(index);
    const near = stops.findIndex((at) => at > index);
    const where = stop >= 0 ? `sample ${stop + 1}` : `between sample ${near} and ${near + 1}`;
    image.alt = `Frame ${index + 1}, ${where}`;
    slider.setAttribute("aria-valuetext", where);
    status.textContent = `Frame ${index + 1} of ${frames.length}: ${where}.`;
  };
  const toggle = h(
    "button",
    {
      type: "button",
      disabled: true,
      onclick: () => {
        if (timer) {
          pause();
          return;
        }
        toggle.textContent = "Pause";
        timer = setInterval(() => {
          slider.value = String((Number(slider.value) + 1) % frames.length);
          draw();
        }, FRAME_MS);
      },
    },
    "Play",
  );
  play.signal.addEventListener("abort", () => clearInterval(timer));
  const walk = async () => {
    const signal = play.begin(status);
    status.textContent = "Walking...";
    try {
      await follow("/api/play/walk", { run: play.id, ...play.options(), n: 48, stops: 4 }, signal, (event) => {
        if (event.end) return;
        [frames, stops] = [event.items, event.stops];
        Object.assign(slider, { max: String(frames.length - 1), value: "0", disabled: false });
        toggle.disabled = false;
        Object.assign(all, { hidden: false, href: address("/api/play/zip", { run: play.id, samples: event.samples }) });
        draw();
      });
    } catch (error) {
      sayEnd(status, signal, error);
      if (signal.aborted) return;
      pause(); // it would go on with the frames of the walk before
      image.removeAttribute("src");
      image.alt = "";
      for (const control of [slider, toggle]) control.disabled = true;
      all.hidden = true;
    }
  };
  walk();
  return h(
    "div",
    {},
    h("div", { class: "walk-box" }, image),
    h("label", { for: "way" }, "The way from sample to sample"),
    slider,
    status,
    h(
      "div",
      { class: "actions" },
      toggle,
      h(
        "button",
        {
          type: "button",
          onclick: () => {
            play.another();
            walk();
          },
        },
        "Another walk",
      ),
      all,
    ),
  );
}
