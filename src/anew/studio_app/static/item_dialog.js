// The dialog of one sample: enlarged, as a file, and next to the nearest training item.

import { address, follow } from "./api.js";
import { h, replaceChildren } from "./dom.js";
import { shownItem } from "./items.js";

/** @param {any} side an item of a pair @param {string} title */
function pairSide(side, title) {
  const text = side?.text
    ? h(
        "pre",
        {},
        ...side.text.map((/** @type {string} */ piece, /** @type {number} */ place) => (place % 2 ? h("mark", {}, piece) : piece)),
      )
    : null;
  return h(
    "figure",
    { class: "item" },
    h("figcaption", {}, title),
    side?.picture ? h("img", { src: side.picture, alt: title }) : null,
    side?.media ? h(side.is_video ? "video" : "audio", { controls: true, src: side.media, "aria-label": title }) : null,
    text,
    side ? null : h("p", {}, "nothing is near"),
  );
}

/**
 * @param {{id: string}} play
 * @param {any} item
 * @param {string} samples
 * @param {number} index of the item among these samples
 * @param {string} title what the page calls the item
 * @param {boolean} isAsked whether to search for the nearest training item at once
 */
export function itemDialog(play, item, samples, index, title, isAsked = false) {
  const leaving = new AbortController();
  const result = h("div", { role: "status" });
  const large = h("div", { class: "large" }, shownItem(item, title));
  const close = () => {
    leaving.abort();
    dialog.close();
    dialog.remove();
  };
  const ask = async () => {
    askButton.hidden = true;
    closeButton.focus(); // else the keyboard has lost its place
    replaceChildren(result, h("p", { class: "hint" }, "Looking through the training items..."), h("progress", { "aria-label": "Looking" }));
    try {
      await follow("/api/play/nearest", { run: play.id, samples, index }, leaving.signal, (answer) => {
        if (answer.end) return;
        large.hidden = true;
        replaceChildren(
          result,
          h("div", { class: "pair" }, pairSide(answer.sample, "the sample"), pairSide(answer.nearest, "the nearest training item")),
          h(
            "p",
            { class: answer.close ? "note wrong" : "note" },
            answer.close ? "This looks like a copy: " : "This does not look like a copy: ",
            answer.caption || "nothing in common that is worth naming",
            ".",
          ),
          h("p", { class: "hint" }, answer.explanation),
        );
      });
    } catch (error) {
      askButton.hidden = false;
      if (!leaving.signal.aborted) replaceChildren(result, h("p", { class: "note wrong" }, /** @type {Error} */ (error).message));
    }
  };
  const askButton = h("button", { type: "button", onclick: ask }, "Is it a copy? Show the nearest training item");
  const closeButton = h("button", { type: "button", class: "main", onclick: close }, "Close");
  const dialog = h(
    "dialog",
    {
      class: "wide",
      "aria-labelledby": "sample-title",
      oncancel: () => {
        leaving.abort();
        dialog.remove();
      },
    },
    h("h2", { id: "sample-title" }, title),
    large,
    result,
    h(
      "div",
      { class: "actions" },
      askButton,
      h("a", { class: "button", href: address("/api/play/file", { run: play.id, samples, index }) }, "Download"),
      closeButton,
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  if (isAsked) ask();
}
