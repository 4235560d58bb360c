// The zone in which to drop a file that Anew generated, to find its run, seed and settings.

import { checked } from "./api.js";
import { acceptDrops, h, replaceChildren } from "./dom.js";

/** Origins of dropped files by run, from which Play takes its first options. @type {Map<string, any>} */
export const origins = new Map();

export function originDrop() {
  const answer = h("div", { role: "status" });
  const take = async (/** @type {File | undefined} */ file) => {
    if (!file) return;
    replaceChildren(answer, h("p", { class: "hint" }, "Reading the file..."));
    try {
      const headers = { "Content-Type": "application/octet-stream", "X-Anew-Studio": "1" };
      const response = await checked(await fetch("/api/play/origin", { method: "POST", headers, body: file }));
      replaceChildren(answer, originView(file.name, await response.json()));
    } catch (error) {
      replaceChildren(answer, h("p", { class: "note wrong" }, /** @type {Error} */ (error).message));
    }
  };
  const input = h("input", { type: "file", hidden: true, "data-input": "origin", onchange: () => take(input.files[0]) });
  const zone = h(
    "div",
    { class: "drop small" },
    h("p", {}, "Drop a file that Anew generated, to find its run and settings"),
    h("button", { type: "button", onclick: () => input.click() }, "Choose a file"),
    input,
    answer,
  );
  acceptDrops(zone, (dropped) => take(dropped.files[0]));
  return zone;
}

/** What a file records of its sample, in short clauses. @param {any} origin @returns {string[]} */
export function originFacts(origin) {
  const settings = Object.entries(origin.settings ?? {}).map(([setting, value]) => `${setting} = ${value}`);
  return [
    `run ${origin.run}`,
    `seed ${origin.seed}`,
    `sample ${origin.index + 1}`,
    origin.label === null ? "" : `label ${origin.label}`,
    origin.prompt ? `beginning "${origin.prompt}"` : "",
    origin.suffix ? `ending "${origin.suffix}"` : "",
    origin.stop ? `stopped before "${origin.stop}"` : "",
    origin.scale ? `enlarged ${origin.scale} times` : "",
    ...settings,
  ].filter(Boolean);
}

/** @param {string} name @param {any} origin */
function originView(name, origin) {
  const open = (/** @type {string} */ run) => {
    origins.set(run, { ...origin, n: 1, first_index: origin.index });
    location.hash = `#/play/${encodeURIComponent(run)}`;
  };
  return h(
    "div",
    {},
    h("p", {}, h("strong", {}, name), `: ${originFacts(origin).join(", ")}.`),
    origin.is_given
      ? h("p", { class: "hint" }, "It was filled in from a sample that the file does not hold, so it cannot be regenerated from here.")
      : null,
    origin.runs.length
      ? h(
          "div",
          { class: "actions" },
          origin.runs.map((/** @type {string} */ run) =>
            h("button", { type: "button", class: "main", onclick: () => open(run) }, `Regenerate it with ${run}`),
          ),
        )
      : h("p", { class: "hint" }, `There is no run named ${origin.run} in this folder.`),
  );
}
