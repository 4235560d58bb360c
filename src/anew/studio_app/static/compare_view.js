// The page of a comparison: its log while it runs, then its result.

import { address, get, onChange } from "./api.js";
import { fill, h } from "./dom.js";
import { badge, throttled } from "./runs_view.js";

/** @param {HTMLElement} main @param {string} id */
export function showComparison(main, id) {
  document.title = `${id.split("/").pop()} - Anew Studio`;
  let shown = "";
  const load = async () => {
    try {
      const value = await get("/api/comparison", { id });
      if (shown === "finished") return;
      shown = value.state;
      fill(main, h("p", { class: "crumb" }, h("a", { href: "#/" }, "Runs"), ` / ${id}`),
        h("div", { class: "head" }, h("h1", {}, value.name), badge(value.state)),
        h("p", { class: "sub" }, value.runs.join(", ")),
        value.state === "finished"
          ? h("iframe", { src: address("/api/comparison/page", { id }), title: `Comparison of ${value.runs.join(", ")}`, sandbox: "" })
          : h("section", { class: "card" }, h("h2", {}, value.state === "failed" ? "The end of its output" : "Its output"),
            h("pre", { class: "words", tabindex: 0 }, value.last_words.join("\n") || "It starts when the commands before it in the queue have ended.")));
    } catch (error) {
      fill(main, h("h1", {}, id), h("p", { class: "note wrong" }, /** @type {Error} */ (error).message));
    }
  };
  load();
  const later = throttled(load, 1000);
  return onChange((names) => { if (!names || names.includes(id)) later(); });
}
