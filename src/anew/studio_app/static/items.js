// Items on the page: images, sounds with their spectrograms, signals as curves, clips, texts.

import { h } from "./dom.js";

/**
 * One item.
 * @param {any} item "type" is picture, sound, video or text
 * @param {string} name for screen readers
 */
export function shownItem(item, name) {
  const label = item.label === null || item.label === undefined ? null : h("figcaption", {}, String(item.label));
  if (item.type === "text") return h("figure", { class: "item words" }, h("pre", {}, item.text), label);
  // Browsers do not play signals of a low rate
  if (item.type === "sound" && !item.src)
    return h("figure", { class: "item sound" }, h("img", { src: item.picture, alt: `Curve of ${name}` }), label);
  if (item.type === "sound") {
    const audio = h("audio", { controls: true, preload: "metadata", src: item.src, "aria-label": name });
    const length = h("span", { class: "hint" }); // the player shows whole seconds
    audio.addEventListener("loadedmetadata", () => {
      if (Number.isFinite(audio.duration)) length.textContent = `${audio.duration.toFixed(audio.duration < 10 ? 2 : 1)} s`;
    });
    const loop = h(
      "label",
      { class: "loop" },
      h("input", {
        type: "checkbox",
        onchange: (/** @type {Event} */ event) => {
          audio.loop = /** @type {HTMLInputElement} */ (event.target).checked;
        },
      }),
      "loop",
    );
    return h(
      "figure",
      { class: "item sound" },
      item.picture ? h("img", { src: item.picture, alt: `Spectrogram of ${name}` }) : null,
      audio,
      h("div", { class: "below" }, loop, length),
      label,
    );
  }
  if (item.type === "video") return h("figure", { class: "item" }, clip(item.src, name), label);
  return h(
    "figure",
    { class: "item" },
    h("img", { src: item.src, alt: item.label === null || item.label === undefined ? name : `${name}, ${item.label}` }),
    label,
  );
}

/**
 * A clip. Its controls, which hide much of it, show only under the pointer and with keyboard focus.
 * @param {string} src
 * @param {string} name
 */
function clip(src, name) {
  const show = () => {
    video.controls = true;
  };
  const hide = () => {
    video.controls = video.matches(":hover, :focus");
  };
  const video = h("video", {
    loop: true,
    muted: true,
    autoplay: true,
    playsInline: true,
    src,
    "aria-label": name,
    tabIndex: 0,
    onpointerenter: show,
    onfocus: show,
    onpointerleave: hide,
    onblur: hide,
  });
  return video;
}

/** A sheet of items. @param {any[]} items @param {string} [name] */
export function itemSheet(items, name = "Item") {
  const type = items.length ? items[0].type : "text";
  const isShort = items.every((item) => item.type === "text" && item.text.length < 32);
  return h(
    "div",
    {
      class: `items ${type}${isShort ? " short" : ""}`,
      ...(type === "text" ? { tabindex: 0, role: "group", "aria-label": `${name}s` } : {}),
    },
    items.map((item, index) => shownItem(item, `${name} ${index + 1}`)),
  );
}
