// The zone in which files and folders are dropped or chosen, with the progress of copying them.

import { acceptDrops, count, h, replaceChildren, showToast } from "./dom.js";
import { fromDrop, fromInput, HAS_PICKER, pickFolder } from "./file_sources.js";
import { Upload } from "./upload.js";

/** @typedef {import("./file_sources.js").Source} Source */

/** @param {AbortSignal} signal ends copying @param {(id: string) => void} go to what was copied */
export function dropZone(signal, go) {
  const progress = h("progress", { max: 1, hidden: true, "aria-label": "Copied" });
  const sentence = h("p", { class: "hint", role: "status" }, "Copied to uploads/ in the start folder.");
  /** @type {AbortController | null} */
  let stopping = null;
  const stop = h("button", { type: "button", hidden: true, onclick: () => stopping?.abort() }, "Stop");
  const use = h("button", { type: "button", hidden: true }, "Use what is there");
  const choices = h("div", { class: "actions" });
  signal.addEventListener("abort", () => stopping?.abort());

  const take = async (/** @type {Source} */ source) => {
    if (stopping) {
      showToast("Files are being copied already. Wait for them, or stop that first.");
      return;
    }
    const stopped = (stopping = new AbortController());
    for (const element of [progress, stop]) element.hidden = false;
    for (const element of [invitation, choices, use]) element.hidden = true;
    sentence.textContent = "Looking at what you chose...";
    const copying = new Upload(source, stopped.signal, (share, text) => {
      if (share === null)
        progress.removeAttribute("value"); // their number is not known yet
      else progress.value = share;
      sentence.textContent = text;
    });
    try {
      const id = await copying.run();
      if (copying.leftOut) showToast(copying.leftOut);
      go(id);
    } catch (error) {
      if (signal.aborted) return;
      const why = stopped.signal.aborted ? "Stopped." : /** @type {Error} */ (error).message;
      const there = copying.done === 1 ? "1 file is" : `${count(copying.done)} files are`;
      sentence.textContent = copying.done ? `${why} ${there} in ${copying.id}.` : why;
      use.hidden = !copying.done;
      use.onclick = () => go(copying.id);
    } finally {
      stopping = null;
      for (const element of [progress, stop]) element.hidden = true;
      for (const element of [invitation, choices]) element.hidden = false;
    }
  };

  const input = (/** @type {boolean} */ isFolder) => {
    const element = h("input", {
      type: "file",
      multiple: true,
      hidden: true,
      webkitdirectory: isFolder,
      "data-input": isFolder ? "folder" : "files",
      onchange: () => {
        if (element.files.length) take(fromInput([...element.files]));
        element.value = "";
      },
    });
    return element;
  };
  const files = input(false);
  const folder = HAS_PICKER ? null : input(true);
  const chooseFolder = async () => {
    if (folder) {
      folder.click();
      return;
    }
    try {
      const source = await pickFolder();
      if (source) take(source);
    } catch (error) {
      sentence.textContent = `The browser does not let this page read that folder (${/** @type {Error} */ (error).message}). Drop it here instead.`;
    }
  };
  const invitation = h("p", {}, "Drop files or a folder here");
  replaceChildren(
    choices,
    h("button", { type: "button", onclick: () => files.click() }, "Choose files"),
    h("button", { type: "button", onclick: chooseFolder }, "Choose a folder"),
  );
  const zone = h("div", { class: "drop" }, invitation, choices, files, folder, progress, sentence, stop, use);
  acceptDrops(zone, (dropped) => fromDrop(dropped).then(take));
  return zone;
}
