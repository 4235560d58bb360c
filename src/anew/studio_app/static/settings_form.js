// Forms of settings, made from the data of `anew settings`: how data is read, and what is trained.

import { get } from "./api.js";
import { h, replaceChildren, showToast } from "./dom.js";

const COLUMN = "_column"; // at the end of the name of a setting that names a column of a table

/**
 * @param {any} setting
 * @param {Map<string, string>} changed by key
 * @param {string} key
 * @param {string[]} [columns] of the tables in the data
 */
function field(setting, changed, key, columns = []) {
  const id = `set-${key}`;
  const value = changed.get(key);
  const shown = Array.isArray(setting.default) ? setting.default.join(",") : String(setting.default ?? "none");
  const note = (/** @type {Event} */ event) => {
    const value = /** @type {HTMLInputElement} */ (event.target).value.trim();
    if (value === "" || value === shown) changed.delete(key);
    else changed.set(key, value);
  };
  const help = setting.meaning.replaceAll("`", "");
  const choices = setting.type === "true or false" ? ["true", "false"] : setting.choices;
  const option = (/** @type {string} */ choice) =>
    h("option", { value: choice, selected: choice === (value ?? shown) }, choice || "found by its name");
  const listed = columns.length && setting.name.endsWith(COLUMN) ? ["", ...columns] : choices;
  const input = listed.length
    ? h("select", { id, "aria-describedby": `${id}-help`, onchange: note }, listed.map(option))
    : h("input", {
        id,
        "aria-describedby": `${id}-help`,
        placeholder: shown,
        value: value ?? "",
        autocomplete: "off",
        onchange: note,
        ...(["integer", "number"].includes(setting.type)
          ? { type: "number", step: "any", min: setting.minimum ?? "", max: setting.maximum ?? "" }
          : {}),
      });
  const unit = setting.unit ? `, in ${setting.unit}` : "";
  const range = [listed.length ? "" : `${setting.values}${unit}`, shown && `default ${shown}`].filter(Boolean).join("; ");
  return h(
    "div",
    { class: "setting" },
    h("label", { for: id }, setting.name),
    input,
    h("p", { class: "hint", id: `${id}-help` }, range ? `${help} (${range})` : help),
  );
}

/** @param {any} setting */
function fullName({ owner, name }) {
  return `${owner}.${name}`;
}

/**
 * How data is read: its kind, and the settings of that kind, or those that an error names.
 * @param {any[]} settings all of them
 * @param {{modality?: string, settings: Map<string, string>}} reading how it was read, which the form changes
 * @param {{modality?: string, error?: string, columns: string[]}} seen the kind that was seen, or why none was
 * @param {() => void} look reads the data again
 * @returns {HTMLElement}
 */
export function readingForm(settings, reading, { modality, error, columns }, look) {
  const ofData = settings.filter(({ group }) => group === "data");
  const isNamed = (/** @type {any} */ { name }) => new RegExp(`\\bsetting ${name}\\b|\\b${name}=`).test(error ?? "");
  /**
   * Fields by the keys of their settings: of data that no kind has taken yet, the name alone, which several kinds may have.
   * @type {Map<string, any>}
   */
  const shown = new Map(
    modality
      ? ofData.filter(({ owner }) => owner === modality).map((setting) => [fullName(setting), setting])
      : ofData.filter((setting) => isNamed(setting) || reading.settings.has(setting.name)).map((setting) => [setting.name, setting]),
  );
  for (const setting of ofData) if (reading.settings.has(fullName(setting))) shown.set(fullName(setting), setting);
  const owners = [...new Set(ofData.map(({ owner }) => owner))];
  const kind = h(
    "select",
    {
      id: "kind",
      onchange: () => {
        reading.modality = kind.value || undefined;
        for (const key of [...reading.settings.keys()])
          if (kind.value && key.includes(".") && !key.startsWith(`${kind.value}.`)) reading.settings.delete(key);
      },
    },
    ["", ...owners].map((owner) =>
      h("option", { value: owner, selected: owner === (reading.modality ?? "") }, owner || "recognised by its content"),
    ),
  );
  return h(
    "form",
    {
      class: "reading",
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        look();
      },
    },
    h("div", { class: "setting" }, h("label", { for: "kind" }, "kind of data"), kind),
    [...shown].map(([key, setting]) => field(setting, reading.settings, key, columns)),
    h("div", { class: "actions" }, h("button", { type: "submit" }, "Look again")),
  );
}

/**
 * The form of all settings of the training and of the families that suit some data.
 * @param {any} seen what `/api/look` says of the data
 * @returns {{element: HTMLElement, values: () => Record<string, string>}}
 */
export function settingsForm(seen) {
  /** @type {Map<string, string>} */
  const changed = new Map();
  const container = h("div", {}, h("p", { class: "hint" }, "Loading..."));
  let isLoaded = false;
  const families = new Set([
    seen.family,
    ...(seen.tried?.families ?? []),
    ...Object.values(seen.alternatives).map((/** @type {any} */ other) => other.family),
  ]);
  const element = h(
    "details",
    {
      class: "settings",
      ontoggle: async () => {
        if (isLoaded) return;
        isLoaded = true;
        let settings;
        try {
          ({ settings } = await get("/api/settings"));
        } catch (error) {
          isLoaded = false; // opened again, it asks again
          showToast(/** @type {Error} */ (error).message);
          return;
        }
        const owners = /** @type {[string, string][]} */ ([
          ["train", "Training"],
          ...[...families].map((name) => [name, `Family: ${name}`]),
        ]);
        replaceChildren(
          container,
          h("p", { class: "hint" }, "Leave a field empty to let Anew choose: families fit many of these to your data and time."),
          owners.map(([owner, title]) => {
            const fields = settings.filter((/** @type {any} */ setting) => setting.owner === owner && setting.group !== "sampling");
            return fields.length
              ? h(
                  "details",
                  {},
                  h("summary", {}, `${title} (${fields.length})`),
                  fields.map((/** @type {any} */ setting) => field(setting, changed, fullName(setting))),
                )
              : null;
          }),
        );
      },
    },
    h("summary", {}, "All settings"),
    container,
  );
  return { element, values: () => Object.fromEntries(changed) };
}
