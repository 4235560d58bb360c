// The tab Fill in for images: a part is painted over, and the model fills it in.

import { follow, sayEnd } from "./api.js";
import { h, replaceChildren } from "./dom.js";
import { showFilled } from "./filling.js";

const SHOWN_SIDE = 336; // pixels on the page

/** A bit for each pixel, the first in the highest bit of the first byte, as base64. @param {Uint8Array} mask 0 or 1 for each pixel */
function packed(mask) {
  const bytes = new Uint8Array(Math.ceil(mask.length / 8));
  mask.forEach((bit, index) => {
    bytes[index >> 3] |= bit << (7 - (index & 7));
  });
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

/** @param {import("./play_view.js").Play} play @returns {HTMLElement} */
export function fillPanel(play) {
  const [, height, width] = play.about.shape;
  const zoom = Math.max(1, Math.floor(SHOWN_SIDE / Math.max(height, width)));
  const canvas = h("canvas", {
    width: width * zoom,
    height: height * zoom,
    class: "paint",
    tabindex: 0,
    role: "img",
    "aria-label": "The image. Paint over the part to fill in, or use the buttons below.",
  });
  const status = h("p", { class: "hint", role: "status" }, "Generating an image to start from...");
  const results = h("div", { class: "items big" });
  const brush = h("input", {
    id: "brush",
    type: "range",
    min: 1,
    max: Math.max(2, Math.floor(width / 3)),
    value: String(Math.max(2, Math.round(width / 8))),
  });
  /** 1 where a pixel is kept */
  let mask = new Uint8Array(width * height).fill(1);
  /** @type {{samples: string, image: HTMLImageElement} | null} */
  let source = null;
  /** Whether Fill in was pressed before the image was there, and waits for it. */
  let isAwaited = false;
  /** Of the image that is on its way; null if none is. @type {AbortSignal | null} */
  let pendingRequest = null;
  const redraw = () => {
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    pen.imageSmoothingEnabled = false;
    pen.clearRect(0, 0, canvas.width, canvas.height);
    if (source) pen.drawImage(source.image, 0, 0, canvas.width, canvas.height);
    pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent");
    pen.globalAlpha = 0.75;
    for (let index = 0; index < mask.length; index++) {
      if (!mask[index]) pen.fillRect((index % width) * zoom, Math.floor(index / width) * zoom, zoom, zoom);
    }
    pen.globalAlpha = 1;
  };
  const paint = (/** @type {PointerEvent} */ event) => {
    if (!(event.buttons & 1)) return;
    const box = canvas.getBoundingClientRect();
    const [x, y] = [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
    const radius = Number(brush.value) / 2;
    for (let row = Math.floor(y - radius); row <= y + radius; row++) {
      for (let column = Math.floor(x - radius); column <= x + radius; column++) {
        const inside = row >= 0 && row < height && column >= 0 && column < width && Math.hypot(row + 0.5 - y, column + 0.5 - x) <= radius;
        if (inside) mask[row * width + column] = 0;
      }
    }
    redraw();
  };
  canvas.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
    canvas.setPointerCapture(event.pointerId);
    paint(event);
  });
  canvas.addEventListener("pointermove", paint);
  const setMask = (/** @type {(row: number, column: number) => boolean} */ isLost) => {
    for (let index = 0; index < mask.length; index++) mask[index] = isLost(Math.floor(index / width), index % width) ? 0 : 1;
    redraw();
  };
  const start = async () => {
    const signal = play.begin(status);
    mask.fill(1);
    pendingRequest = signal;
    isAwaited = false;
    source = null; // and nothing of it is left if the new one is refused
    replaceChildren(results);
    redraw();
    status.textContent = "Generating an image to start from...";
    try {
      await follow("/api/play/sample", { run: play.id, n: 1, ...play.options() }, signal, (event) => {
        if (!event.samples) return;
        const image = new Image();
        image.onload = () => {
          source = { samples: event.samples, image };
          pendingRequest = null;
          redraw();
          status.textContent = "Paint over the part to fill in.";
          if (isAwaited) fillIn();
        };
        image.src = event.items[0].src;
      });
    } catch (error) {
      if (pendingRequest === signal) pendingRequest = null;
      sayEnd(status, signal, error);
    }
  };
  const fillIn = async () => {
    if (mask.every((kept) => kept)) {
      status.textContent = "Paint over a part of the image first.";
      return;
    }
    if (!source && !pendingRequest) return; // it was refused, which the status says
    if (!source) {
      isAwaited = true;
      status.textContent = "Generating an image to start from; then it is filled in...";
      return;
    }
    await showFilled(
      play,
      { n: 6, samples: source.samples, mask: packed(mask) },
      results,
      status,
      "Six ways to fill it in; another seed gives others.",
    );
  };
  start();
  return h(
    "div",
    {},
    h(
      "div",
      { class: "paint-box" },
      canvas,
      h(
        "div",
        {},
        h("label", { for: "brush" }, "Brush"),
        brush,
        h(
          "div",
          { class: "actions" },
          h("button", { type: "button", onclick: () => setMask((row) => row >= height / 2) }, "Lower half"),
          h("button", { type: "button", onclick: () => setMask((row, column) => column >= width / 2) }, "Right half"),
          h("button", { type: "button", onclick: () => setMask(() => false) }, "Clear"),
          h(
            "button",
            {
              type: "button",
              onclick: () => {
                play.another();
                start();
              },
            },
            "Another image",
          ),
          h("button", { type: "button", class: "main", onclick: fillIn }, "Fill in"),
        ),
        status,
      ),
    ),
    results,
  );
}
