// The timelapse of a training run: frames of the same scene while the model learned, on a slider.

import { get, Refusal } from "./api.js";
import { clock, count, h, replaceChildren } from "./dom.js";
import { frameOf } from "./timelapse_data.js";
import { CodeTimelapse } from "./timelapse_codes.js";
import { MapTimelapse } from "./timelapse_map.js";
import { TextTimelapse } from "./timelapse_text.js";

const FRAME_MS = 180;
const KEPT = 200; // frames in memory

export class Timelapse {
  /**
   * @param {string} id of the run @param {AbortSignal} signal ends it
   * @param {(step: number, isLast: boolean) => void} [onChosen] called when a frame is chosen, or the timelapse stops
   */
  constructor(id, signal, onChosen) {
    this.id = id;
    this.signal = signal;
    this.chosen = () => onChosen?.(this.steps[Number(this.slider.value)], this.follows);
    /** @type {number[]} */
    this.steps = [];
    /** @type {Map<number, import("./timelapse_data.js").Frame>} */
    this.frames = new Map();
    this.follows = true;
    /** @type {MapTimelapse | TextTimelapse | CodeTimelapse | null} */
    this.scene = null;
    this.stage = h("div", {});
    this.caption = h("output", { class: "hint", for: "timelapse-time" });
    this.slider = h("input", {
      type: "range",
      id: "timelapse-time",
      min: 0,
      max: 0,
      step: 1,
      value: 0,
      oninput: () => {
        this.follows = Number(this.slider.value) === this.steps.length - 1;
        this.draw();
      },
      onchange: this.chosen,
    });
    this.button = h("button", { type: "button", onclick: () => this.toggle() }, "Play");
    this.timer = 0;
    signal.addEventListener("abort", () => clearInterval(this.timer));
    this.control = h("div", { class: "grow" }, h("label", { for: "timelapse-time" }, "Time in the timelapse"), this.slider);
    this.element = h(
      "section",
      { class: "timelapse-box", hidden: true, "aria-label": "Timelapse of the training" },
      h("h2", {}, "The timelapse"),
      this.stage,
      h("div", { class: "timelapse-bar" }, this.button, this.control),
      this.caption,
    );
  }

  /** Load new frames, if there are any. */
  async refresh() {
    try {
      const { steps } = await get("/api/timelapse", { run: this.id }, this.signal);
      if (JSON.stringify(steps) === JSON.stringify(this.steps)) return;
      const shown = this.steps[Number(this.slider.value)];
      this.steps = steps;
      this.element.hidden = !steps.length;
      this.button.hidden = this.control.hidden = steps.length < 2; // nothing moves yet
      if (!steps.length) return;
      if (!this.scene) {
        const scene = await frameOf(this.id, null, this.signal);
        this.scene =
          scene.facts.scene === "map"
            ? new MapTimelapse(scene)
            : scene.facts.scene === "codes"
              ? new CodeTimelapse(scene)
              : new TextTimelapse(scene);
        replaceChildren(this.stage, this.scene.element);
      }
      this.slider.max = String(steps.length - 1);
      if (!this.follows) this.slider.value = String(Math.max(0, steps.indexOf(shown)));
      else this.slider.value = this.slider.max;
      await this.draw();
    } catch (error) {
      // the header says when the Studio cannot be reached
      if (error instanceof Refusal) this.caption.textContent = error.message;
    }
  }

  async draw() {
    const step = this.steps[Number(this.slider.value)];
    if (step === undefined || !this.scene) return;
    let frame = this.frames.get(step);
    if (!frame) {
      try {
        frame = await frameOf(this.id, step, this.signal);
      } catch {
        return;
      }
      if (this.frames.size >= KEPT) this.frames.clear();
      this.frames.set(step, frame);
    }
    if (this.steps[Number(this.slider.value)] !== step) return; // the slider has moved on
    const when = `step ${count(step)}, ${clock(frame.facts.seconds)}`;
    this.caption.textContent = `${when}, frame ${Number(this.slider.value) + 1} of ${this.steps.length}`;
    this.slider.setAttribute("aria-valuetext", when);
    await this.scene.show(frame);
  }

  toggle() {
    if (this.timer) {
      clearInterval(this.timer);
      this.timer = 0;
      this.button.textContent = "Play";
      this.chosen();
      return;
    }
    this.button.textContent = "Pause";
    if (Number(this.slider.value) === this.steps.length - 1) this.slider.value = "0";
    this.timer = window.setInterval(() => {
      const next = Number(this.slider.value) + 1;
      if (next >= this.steps.length) {
        this.toggle();
        return;
      }
      this.slider.value = String(next);
      this.follows = next === this.steps.length - 1;
      this.draw();
    }, FRAME_MS);
  }
}
