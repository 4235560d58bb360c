// The form of all settings that apply to some data, made from the data of `anew settings`.

import { get } from "./api.js";
import { fill, h } from "./dom.js";

/** @param {any} setting @param {Map<string, string>} changed */
function field(setting, changed) {
  const key = `${setting.owner}.${setting.name}`;
  const id = `set-${key}`;
  const shown = Array.isArray(setting.default) ? setting.default.join(",") : String(setting.default ?? "none");
  const note = (/** @type {Event} */ event) => {
    const value = /** @type {HTMLInputElement} */ (event.target).value.trim();
    if (value === "" || value === shown) changed.delete(key);
    else changed.set(key, value);
  };
  const help = setting.meaning.replaceAll("`", "");
  const choices = setting.type === "true or false" ? ["true", "false"] : setting.choices;
  const input = choices.length
    ? h("select", { id, "aria-describedby": `${id}-help`, onchange: note }, choices.map((/** @type {string} */ choice) => h("option", { value: choice, selected: choice === shown }, choice)))
    : h("input", { id, "aria-describedby": `${id}-help`, placeholder: shown, autocomplete: "off", onchange: note,
      ...(["integer", "number"].includes(setting.type) ? { type: "number", step: "any", min: setting.minimum ?? "", max: setting.maximum ?? "" } : {}) });
  const unit = setting.unit ? `, in ${setting.unit}` : "";
  return h("div", { class: "setting" }, h("label", { for: id }, setting.name), input,
    h("p", { class: "hint", id: `${id}-help` }, `${help} (${choices.length ? "" : setting.values}${unit}${choices.length ? `default ${shown}` : `; default ${shown}`})`));
}

/**
 * @param {any} seen what `/api/look` says of the data
 * @returns {{element: HTMLElement, values: () => Record<string, string>}}
 */
export function settingsForm(seen) {
  /** @type {Map<string, string>} */
  const changed = new Map();
  const container = h("div", {}, h("p", { class: "hint" }, "Loading..."));
  let isLoaded = false;
  const families = new Set([seen.family, ...(seen.tried?.families ?? []), ...Object.values(seen.instead).map((/** @type {any} */ other) => other.family)]);
  const element = h("details", { class: "settings", ontoggle: async () => {
    if (isLoaded) return;
    isLoaded = true;
    const { settings } = await get("/api/settings");
    const owners = /** @type {[string, string][]} */ ([["train", "Training"], [seen.modality, `Data: ${seen.modality}`], ...[...families].map((name) => [name, `Family: ${name}`])]);
    fill(container, h("p", { class: "hint" }, "Leave a field empty to let Anew choose: families fit many of these to your data and time."),
      owners.map(([owner, title]) => {
        const fields = settings.filter((/** @type {any} */ setting) => setting.owner === owner && setting.group !== "sampling");
        return fields.length ? h("details", {}, h("summary", {}, `${title} (${fields.length})`), fields.map((/** @type {any} */ setting) => field(setting, changed))) : null;
      }));
  } }, h("summary", {}, "All settings"), container);
  return { element, values: () => Object.fromEntries(changed) };
}
