// A list of the files and folders below the start folder, of which one is chosen.

import { get } from "./api.js";
import { count, h, replaceChildren, showToast } from "./dom.js";

/**
 * @param {HTMLElement} container @param {string} path of the folder, below the start folder
 * @param {(id: string) => void} go to what was chosen
 */
export async function listFolder(container, path, go) {
  try {
    const listing = await get("/api/folder", { path });
    const parent = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
    const entries = listing.entries.map((/** @type {any} */ entry) => {
      const id = path ? `${path}/${entry.name}` : entry.name;
      return h(
        "li",
        {},
        entry.is_folder
          ? h("button", { type: "button", class: "entry", onclick: () => listFolder(container, id, go) }, `${entry.name}/`)
          : h("button", { type: "button", class: "entry file", onclick: () => go(id) }, entry.name),
      );
    });
    replaceChildren(
      container,
      h(
        "div",
        { class: "head" },
        path ? h("button", { type: "button", onclick: () => listFolder(container, parent, go) }, "Up") : null,
        h("strong", {}, path ? `${path}/` : "the start folder"),
        h("span", { class: "grow" }),
        path && !listing.is_run ? h("button", { type: "button", class: "main", onclick: () => go(path) }, "Use this folder") : null,
      ),
      listing.is_run ? h("p", { class: "hint" }, "This folder is a run, not data.") : null,
      entries.length ? h("ul", { class: "entries" }, entries) : h("p", { class: "hint" }, "It is empty."),
      listing.count > entries.length
        ? h("p", { class: "hint" }, `${count(listing.count)} in all, of which ${count(entries.length)} are shown.`)
        : null,
    );
  } catch (error) {
    showToast(/** @type {Error} */ (error).message);
  }
}
