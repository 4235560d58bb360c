// How a VAE works: a map of the data in latent space, and reconstructions.

import { follow } from "./api.js";
import { h, replaceChildren, s } from "./dom.js";
import { softnessView } from "./explanation_softness.js";

const SIDE = 420;

/** @param {import("./play_view.js").Play} play @param {string} question @returns {HTMLElement} */
export function mapView(play, question) {
  const status = h("p", { class: "hint", role: "status" }, "Encoding your items as latents...");
  const stage = h("div", { class: "map-box" });
  const pairs = h("div", { class: "items" });
  const pairTitle = h("h3", { hidden: true }, "Held-out items, each next to its reconstruction");
  const strips = h("div", {});
  const large = h("img", { class: "sheet walk", alt: "What this position decodes to" });
  const near = h("img", { class: "nearest-item", alt: "Your nearest item on the map" });
  /** @type {any} */
  let map = null;
  let [busy, wanted] = [false, /** @type {[number, number] | null} */ (null)];
  let position = /** @type {[number, number]} */ ([0, 0]);
  /** @type {SVGElement} */
  let mark;
  const scale = (/** @type {number} */ value) => SIDE / 2 + (value / map.reach) * (SIDE / 2 - 10);
  const read = async (/** @type {[number, number]} */ at) => {
    position = at;
    mark.setAttribute("cx", String(scale(at[0])));
    mark.setAttribute("cy", String(scale(at[1])));
    const nearest = map.points.reduce(
      (/** @type {any} */ best, /** @type {any} */ point) => (distance(point, at) < distance(best, at) ? point : best),
      map.points[0],
    );
    near.src = nearest.src;
    if (busy) {
      wanted = at;
      return;
    }
    busy = true;
    try {
      await follow("/api/play/place", { run: play.id, ...play.moment(), places: [at] }, play.signal, (event) => {
        if (event.items) large.src = event.items[0];
      });
    } catch (error) {
      if (!play.signal.aborted) status.textContent = /** @type {Error} */ (error).message;
    }
    busy = false;
    if (wanted) {
      const next = wanted;
      wanted = null;
      read(next);
    }
  };
  const drag = (/** @type {PointerEvent} */ event) => {
    if (event.type === "pointermove" && !(event.buttons & 1)) return;
    const box = /** @type {Element} */ (event.currentTarget).getBoundingClientRect();
    const to = (/** @type {number} */ pixel, /** @type {number} */ size) => Math.max(-1, Math.min(1, (2 * pixel) / size - 1)) * map.reach;
    read([to(event.clientX - box.left, box.width), to(event.clientY - box.top, box.height)]);
  };
  const draw = () => {
    const svg = s("svg", {
      viewBox: `0 0 ${SIDE} ${SIDE}`,
      class: "map",
      tabindex: 0,
      role: "application",
      "aria-label": "Map of the data. Drag, or use the arrow keys, to move through it.",
    });
    for (const point of map.points) {
      svg.append(s("image", { href: point.src, x: scale(point.x) - 9, y: scale(point.y) - 9, width: 18, height: 18 }));
    }
    mark = s("circle", { r: 12, class: "map-mark" });
    svg.append(mark);
    svg.addEventListener("pointerdown", (/** @type {any} */ event) => {
      svg.setPointerCapture(event.pointerId);
      drag(event);
    });
    svg.addEventListener("pointermove", /** @type {any} */ (drag));
    svg.addEventListener("keydown", (/** @type {any} */ event) => {
      const step = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] }[
        /** @type {string} */ (event.key)
      ];
      if (!step) return;
      event.preventDefault();
      read([
        Math.max(-map.reach, Math.min(map.reach, position[0] + step[0])),
        Math.max(-map.reach, Math.min(map.reach, position[1] + step[1])),
      ]);
    });
    replaceChildren(
      stage,
      svg,
      h(
        "div",
        {},
        h("p", { class: "hint" }, "This position decodes to"),
        large,
        h("p", { class: "hint" }, "your nearest item on the map"),
        near,
      ),
    );
  };
  const between = async () => {
    if (!map) return;
    const [first, last] = [
      map.points[0],
      map.points.reduce(
        (/** @type {any} */ far, /** @type {any} */ point) =>
          distance(point, [map.points[0].x, map.points[0].y]) > distance(far, [map.points[0].x, map.points[0].y]) ? point : far,
        map.points[0],
      ),
    ];
    for (let step = 0; step <= 12; step++) {
      await read([first.x + ((last.x - first.x) * step) / 12, first.y + ((last.y - first.y) * step) / 12]);
      await new Promise((resolve) => setTimeout(resolve, 120));
    }
  };
  follow("/api/play/map", { run: play.id, ...play.moment() }, play.signal, (event) => {
    if (event.end) return;
    map = event;
    status.textContent = `This map is the plane in which the latents of your items vary most. It holds ${Math.round(100 * map.share)}% of their variance, so it does not show everything.`;
    draw();
    read([0, 0]);
    pairTitle.hidden = false;
    replaceChildren(strips, stripViews(map.directions), map.softness ? softnessView(play) : null);
    replaceChildren(
      pairs,
      map.pairs.map((/** @type {string[]} */ [item, reconstruction]) =>
        h(
          "figure",
          { class: "item both" },
          h("img", { src: item, alt: "An item" }),
          h("img", { src: reconstruction, alt: "Its reconstruction" }),
        ),
      ),
    );
  }).catch((error) => {
    if (!play.signal.aborted) status.textContent = error.message;
  });
  return h(
    "div",
    {},
    h("div", { class: "actions" }, h("button", { type: "button", onclick: between }, question)),
    status,
    stage,
    pairTitle,
    pairs,
    strips,
  );
}

/** @param {{x: number, y: number}} point @param {[number, number]} at */
function distance(point, at) {
  return Math.hypot(point.x - at[0], point.y - at[1]);
}

/** What changes along each of the strongest directions. @param {any[]} directions */
function stripViews(directions) {
  return h(
    "section",
    {},
    h("h3", {}, "What each of the strongest directions changes, from the middle of the map"),
    directions.map((direction, index) =>
      h(
        "figure",
        { class: "strip" },
        h(
          "div",
          {},
          direction.items.map((/** @type {string} */ src, /** @type {number} */ step) =>
            h("img", { src, alt: `Direction ${index + 1}, position ${step + 1} of ${direction.items.length}` }),
          ),
        ),
        h("figcaption", {}, `direction ${index + 1}: ${Math.round(100 * direction.share)}% of the variance`),
      ),
    ),
  );
}
