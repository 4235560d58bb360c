// A web component for curves over steps, which shows the values at the pointer, or at a point chosen by arrow keys.

import { count, h, replaceChildren, s, short } from "./dom.js";

const [LEFT, RIGHT, TOP, BOTTOM] = [46, 8, 8, 22];
const TICKS = 4;

/**
 * @typedef {{name: string, label: string, style: string, steps: number[], values: number[]}} Line
 */

/** The range of the axis: all values, but without the largest 2% of each long curve. @param {Line[]} lines */
function range(lines) {
  const curves = lines.map((line) => line.values.filter(Number.isFinite).sort((a, b) => a - b)).filter((values) => values.length);
  if (!curves.length) return [0, 1];
  let low = Math.min(...curves.map((values) => values[0]));
  let high = Math.max(...curves.map((values) => values[values.length - 1 - (values.length > 50 ? Math.floor(values.length / 50) : 0)]));
  if (low === high) [low, high] = [low - Math.abs(low) * 0.1 - 1e-9, high + Math.abs(high) * 0.1 + 1e-9];
  const margin = (high - low) * 0.06;
  return [low - margin, high + margin];
}

/** Round numbers in a range. @param {number} low @param {number} high */
function ticks(low, high) {
  const raw = (high - low) / TICKS;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw) ?? raw;
  const values = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) values.push(value);
  return values;
}

export class LineChart extends HTMLElement {
  constructor() {
    super();
    /** @type {Line[]} */
    this.lines = [];
    this.index = -1;
    this.observer = new ResizeObserver(() => this.draw());
  }

  connectedCallback() {
    this.classList.add("chart");
    this.observer.observe(this);
  }

  disconnectedCallback() {
    this.observer.disconnect();
  }

  /** @param {string} title @param {Line[]} lines */
  show(title, lines) {
    this.titled = title;
    this.lines = lines.filter((line) => line.steps.length);
    this.draw();
  }

  draw() {
    const width = this.clientWidth;
    if (!width || !this.lines.length) {
      if (!this.lines.length) replaceChildren(this, h("p", { class: "hint" }, "Nothing measured yet."));
      return;
    }
    const height = this.classList.contains("small") ? 130 : 220;
    const last = Math.max(...this.lines.map((line) => line.steps[line.steps.length - 1]));
    const first = Math.min(...this.lines.map((line) => line.steps[0]));
    const [low, high] = range(this.lines);
    const x = (/** @type {number} */ step) => LEFT + ((step - first) / Math.max(1, last - first)) * (width - LEFT - RIGHT);
    const y = (/** @type {number} */ value) => TOP + (1 - (value - low) / (high - low)) * (height - TOP - BOTTOM);
    this.scale = { x, y, first, last, width, height };
    const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0, "aria-label": this.described() });
    for (const value of ticks(low, high)) {
      svg.append(
        s("line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }),
        s("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, short(value)),
      );
    }
    for (const [step, anchor] of last > first
      ? [
          [first, "start"],
          [last, "end"],
        ]
      : [[first, "start"]]) {
      svg.append(s("text", { x: x(Number(step)), y: height - 4, "text-anchor": anchor }, `step ${count(Number(step))}`));
    }
    const name = `clip-${Math.random().toString(36).slice(2)}`;
    svg.append(s("clipPath", { id: name }, s("rect", { x: LEFT, y: 0, width: Math.max(0, width - LEFT), height: height - BOTTOM + 2 })));
    for (const line of this.lines) {
      const points = line.steps.map((step, index) => `${x(step).toFixed(1)},${y(line.values[index]).toFixed(1)}`).join(" ");
      const dot = line.steps.length === 1; // a line of one point is drawn as two at the same place, with round ends
      svg.append(
        s("polyline", {
          class: dot ? `${line.style} dot` : line.style,
          points: dot ? `${points} ${points}` : points,
          "clip-path": `url(#${name})`,
        }),
      );
    }
    const hidden = this.lines.flatMap((line) => line.values).filter((value) => value > high).length;
    this.cross = s("line", { class: "cross", y1: TOP, y2: height - BOTTOM, visibility: "hidden" });
    svg.append(this.cross);
    this.readout = h(
      "p",
      { class: "read", "aria-live": "off" },
      hidden ? `${hidden} ${hidden === 1 ? "point is" : "points are"} above the range.` : "",
    );
    svg.addEventListener("pointermove", (event) => this.read(event.offsetX));
    svg.addEventListener("pointerleave", () => this.read(-1));
    svg.addEventListener("keydown", (event) => this.onKey(event));
    const hadFocus = this.contains(document.activeElement);
    replaceChildren(this, svg, this.readout);
    if (hadFocus) svg.focus();
  }

  described() {
    const ends = this.lines
      .filter((line) => line.label)
      .map((line) => `${line.label}: ${short(line.values[line.values.length - 1])} at step ${count(line.steps[line.steps.length - 1])}`);
    return `${this.titled}. ${ends.join(", ")}. Left and right arrows read the points.`;
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const line = this.lines[0];
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    event.preventDefault();
    const step = Math.max(1, Math.round(line.steps.length / 40));
    const start = this.index < 0 ? line.steps.length - 1 : this.index;
    this.index = Math.min(line.steps.length - 1, Math.max(0, start + (event.key === "ArrowLeft" ? -step : step)));
    this.point(line.steps[this.index]);
    /** @type {any} */ (this.readout).setAttribute("aria-live", "polite");
  }

  /** @param {number} pixel from the left; below 0: none */
  read(pixel) {
    if (!this.scale || pixel < 0) {
      this.cross?.setAttribute("visibility", "hidden");
      return;
    }
    const { first, last, width } = this.scale;
    this.point(first + ((pixel - LEFT) / (width - LEFT - RIGHT)) * (last - first));
  }

  /** @param {number} wanted step */
  point(wanted) {
    if (!this.scale) return;
    const parts = [];
    let step = wanted;
    for (const line of this.lines.filter((line) => line.label)) {
      const index = nearest(line.steps, wanted);
      if (!parts.length) step = line.steps[index];
      parts.push(`${line.label} ${short(line.values[index])}`);
    }
    const x = this.scale.x(step);
    for (const name of ["x1", "x2"]) this.cross?.setAttribute(name, String(x));
    this.cross?.setAttribute("visibility", "visible");
    if (this.readout) this.readout.textContent = `step ${count(Math.round(step))}: ${parts.join(", ")}`;
  }
}

/** Index of the number nearest to another in an ascending list. @param {number[]} values @param {number} wanted */
function nearest(values, wanted) {
  let [low, high] = [0, values.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (values[middle] < wanted) low = middle;
    else high = middle;
  }
  return wanted - values[low] < values[high] - wanted ? low : high;
}

customElements.define("line-chart", LineChart);
