// The page Compare families: four families learn the same cloud of points side by side, live.

import { follow } from "./api.js";
import { clock, h, onTheme, plural, replaceChildren } from "./dom.js";
import { FAMILIES, FAMILY_TITLES } from "./families.js";
import { seedField } from "./seed_field.js";

const SIDE = 240;
const EDGE = 0.15; // of the side, which is left out all around, since the cloud does not reach there
/** @param {HTMLElement} main */
export function showFamilies(main) {
  document.title = "Compare families - Anew Studio";
  let running = new AbortController();
  const seconds = h("input", { id: "families-seconds", type: "number", min: 4, max: 600, required: true, value: "60" });
  const seed = seedField("families-seed", "0");
  const status = h(
    "p",
    { class: "hint", role: "status" },
    "They take turns, each with a quarter of the time, and learn live on this machine.",
  );
  const chance = h("p", { class: "hint" });
  const cards = Object.fromEntries(Object.keys(FAMILIES).map((name) => [name, new Card(name)]));
  const start = async () => {
    running.abort();
    running = new AbortController();
    const signal = running.signal;
    for (const card of Object.values(cards)) card.reset();
    status.textContent = "Starting...";
    go.disabled = true;
    try {
      await follow("/api/toy-comparison", { seconds: Number(seconds.value), seed: seed.value() }, signal, (event) => {
        if (event.waiting) status.textContent = "They are learning on another page; this one waits.";
        if (event.cloud) {
          for (const card of Object.values(cards)) card.show(event.cloud);
          status.textContent = "They are learning.";
          chance.textContent = `For comparison: ${share(event.chance.inside)} of dots at random places would be on the moons, and cover ${share(event.chance.covered)} of them.`;
        }
        if (event.family) cards[event.family].report(event);
        if (event.end) status.textContent = verdict(cards);
      });
    } catch (error) {
      if (!signal.aborted) status.textContent = /** @type {Error} */ (error).message;
    }
    go.disabled = false;
  };
  const go = h("button", { type: "submit", class: "main" }, "Start");
  replaceChildren(
    main,
    h("h1", {}, "Compare families"),
    h(
      "p",
      { class: "sub" },
      "Four families learn the same toy data side by side: images of a dot that lies on two half moons. Each point shows where the dot of a generated image lies.",
    ),
    h(
      "form",
      {
        class: "row",
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          start();
        },
      },
      h("div", {}, h("label", { for: "families-seconds" }, "Total seconds"), seconds),
      h("div", {}, h("label", { for: "families-seed" }, "Seed"), seed.input),
      go,
    ),
    seed.problem,
    status,
    chance,
    h(
      "div",
      { class: "tiles families" },
      Object.values(cards).map((card) => card.element),
    ),
  );
  return () => running.abort();
}

class Card {
  /** @param {string} name */
  constructor(name) {
    this.name = name;
    this.canvas = h("canvas", {
      width: 2 * SIDE,
      height: 2 * SIDE,
      class: "map",
      role: "img",
      "aria-label": `Points of ${FAMILY_TITLES[name]}`,
    });
    this.facts = h("p", { class: "hint", "aria-live": "off" });
    this.sheet = h("img", { class: "sheet", alt: "", hidden: true });
    this.element = h(
      "article",
      { class: "card" },
      h("h2", {}, FAMILY_TITLES[name]),
      h("p", { class: "hint family-summary" }, FAMILIES[name]),
      this.canvas,
      this.facts,
      this.sheet,
    );
    /** @type {number[][]} */
    this.cloud = [];
    /** @type {any} */
    this.last = null;
    onTheme(this.element, () => this.draw(this.last?.points ?? []));
  }

  reset() {
    this.last = null;
    this.facts.textContent = "waiting";
    this.sheet.hidden = true;
    this.draw([]);
  }

  /** @param {number[][]} cloud */
  show(cloud) {
    this.cloud = cloud;
    this.draw([]);
  }

  /** @param {any} report */
  report(report) {
    this.last = report;
    this.draw(report.points);
    const steps = `${plural(report.step, "step")} in ${clock(report.seconds)}`;
    const places = `${share(report.inside)} of its dots are on the moons, and they cover ${share(report.covered)} of them`;
    this.facts.textContent = `${steps}: ${places}.${report.is_last ? " Done." : ""}`;
    this.canvas.setAttribute("aria-label", `Points of ${this.name}: ${this.facts.textContent}`);
    Object.assign(this.sheet, { src: report.sheet, alt: `Images that ${this.name} generated`, hidden: false });
  }

  /** @param {number[][]} points */
  draw(points) {
    const pen = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    const colour = (/** @type {string} */ name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    pen.setTransform(2, 0, 0, 2, 0, 0);
    pen.fillStyle = colour("--fill");
    pen.fillRect(0, 0, SIDE, SIDE);
    const dots = (
      /** @type {number[][]} */ places,
      /** @type {string} */ name,
      /** @type {number} */ radius,
      /** @type {number} */ alpha,
    ) => {
      pen.fillStyle = colour(name);
      pen.globalAlpha = alpha;
      for (const [x, y] of places) {
        pen.beginPath();
        pen.arc(zoom(x), zoom(y), radius, 0, 2 * Math.PI);
        pen.fill();
      }
      pen.globalAlpha = 1;
    };
    dots(this.cloud, "--ink", 2, 0.35);
    dots(points, "--accent", 3.5, 0.9);
  }
}

/** @param {number} value */
function share(value) {
  return `${Math.round(100 * value)}%`;
}

/** A coordinate on the canvas, such that the cloud fills it. @param {number} share of the image's side */
function zoom(share) {
  return ((share - EDGE) / (1 - 2 * EDGE)) * SIDE;
}

/** @param {Record<string, Card>} cards */
function verdict(cards) {
  const done = Object.values(cards).filter((card) => card.last);
  if (!done.length) return "";
  const best = (/** @type {string} */ figure) => done.reduce((one, other) => (other.last[figure] > one.last[figure] ? other : one)).name;
  return `In this time, the dots of ${best("inside")} are on the moons most often, and those of ${best("covered")} cover most of them. More time may change this: try it.`;
}
