// The slider that chooses whose weights answer: the newest, or those of an earlier time in training.

import { get } from "./api.js";
import { clock, count, h } from "./dom.js";

/** @typedef {{step: number, seconds: number}} Kept */

export class Moment {
  /**
   * @param {import("./play_view.js").Play} play
   * @param {(play: import("./play_view.js").Play) => void} show draws the view again, with a play that uses the weights of this time
   */
  constructor(play, show) {
    this.play = play;
    this.show = show;
    /** @type {Kept[]} */
    this.kept = [];
    this.leaving = new AbortController();
    play.signal.addEventListener("abort", () => this.leaving.abort());
    this.output = h("output", { class: "hint", for: "moment" });
    this.slider = h("input", {
      type: "range",
      id: "moment",
      min: 0,
      max: 0,
      step: 1,
      value: 0,
      oninput: () => this.say(),
      onchange: () => this.ask(),
    });
    this.control = h("div", { hidden: true }, h("label", { for: "moment" }, "Time in training: whose weights answer"), this.slider);
    this.note = h("p", { class: "hint moment-note" });
    this.element = h("div", { class: "moment" }, this.control, this.output, this.note);
    this.say();
  }

  /** Find out which weights were kept, and let the newest answer. */
  async open() {
    this.ask();
    try {
      const { weights } = await get("/api/timelapse", { run: this.play.id }, this.play.signal);
      this.kept = weights;
    } catch {
      return;
    } // the view says when the Studio cannot be reached
    this.slider.max = String(this.kept.length);
    this.slider.value = this.slider.max; // after `max`: a slider does not go beyond it
    this.control.hidden = !this.kept.length;
    this.say();
  }

  /** The chosen weights; undefined: the newest. @returns {Kept | undefined} */
  get chosen() {
    return this.kept[Number(this.slider.value)];
  }

  /**
   * Let the weights answer that were kept at a step of the timelapse, or the newest weights.
   * @param {number} step
   * @param {boolean} isLast of the timelapse
   */
  choose(step, isLast) {
    const numBefore = this.kept.filter((kept) => kept.step <= step).length;
    const index = String(isLast ? this.kept.length : Math.max(0, numBefore - 1));
    if (!this.kept.length || index === this.slider.value) return;
    this.slider.value = index;
    this.ask();
  }

  ask() {
    this.leaving.abort();
    const leaving = (this.leaving = new AbortController());
    const moment = this.chosen ? { step: this.chosen.step } : {};
    const { play } = this;
    this.say();
    this.show({
      ...play,
      signal: leaving.signal,
      moment: () => moment,
      options: () => ({ ...play.options(), ...moment }),
      onOptions: (listener) => play.onOptions(listener, leaving.signal),
    });
  }

  say() {
    const { unfinished, has_timelapse } = this.play.about;
    const newest = unfinished ? "the newest checkpoint of this training" : "the finished model";
    const { chosen } = this;
    const who = chosen ? `weights after ${clock(chosen.seconds)}, step ${count(chosen.step)}` : newest;
    this.output.textContent = `Answers come from ${who}.`;
    this.slider.setAttribute("aria-valuetext", who);
    const timelapse = has_timelapse ? " The timelapse below shows how it was before, on the same data each time." : "";
    this.note.textContent = this.kept.length
      ? "Move this slider, or that of the timelapse, to ask an earlier model. Counts, and what is measured after the training, always come from the newest."
      : `Earlier weights of this run were not kept.${timelapse}`;
  }
}
