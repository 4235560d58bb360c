// The form of Play that says what to generate: seed, class and sampling settings.

import { h, words } from "./dom.js";
import { seedField } from "./seed_field.js";

// These settings are shown first; others are folded.
const FIRST = ["temperature", "steps", "guidance", "truncation", "top_k", "top_p"];
const STEP = 0.05; // step of sliders that choose a number
// The kind of data that some settings are for.
const ONLY_FOR = /** @type {Record<string, string>} */ ({ frames: "video", tile: "image" });

/** The form, what it says, and what takes the next seed. @param {any} about @param {any[]} settings */
export function optionsForm(about, settings) {
  const seed = seedField("seed", String(about.origin?.seed ?? 0));
  const label = h(
    "select",
    { id: "label" },
    h("option", { value: "" }, about.prompts ? "any: as in the data, and as your text suggests" : "as in the data"),
    about.labels.map((/** @type {string} */ name) => h("option", { value: name }, name)),
  );
  /** @type {Map<string, string>} */
  const changed = new Map(Object.entries(about.origin?.settings ?? {}).map(([name, value]) => [name, String(value)]));
  if (about.origin?.label) label.value = about.origin.label;
  const own = settings.filter(
    (setting) =>
      setting.group === "sampling" &&
      setting.owner === about.family &&
      setting.name in about.defaults &&
      (ONLY_FOR[setting.name] ?? about.modality) === about.modality,
  );
  const field = (/** @type {any} */ setting) =>
    samplingField(setting, changed.get(setting.name) ?? about.defaults[setting.name], changed, about.defaults[setting.name]);
  const fields = own.filter(({ name }) => FIRST.includes(name)).map(field);
  const others = own.filter(({ name }) => !FIRST.includes(name)).map(field);
  const element = h(
    "div",
    { class: "options" },
    h("h2", {}, "What to generate"),
    h(
      "div",
      { class: "row" },
      h("div", {}, h("label", { for: "seed" }, "Seed"), seed.input),
      h("button", { type: "button", onclick: () => another() }, "Random"),
    ),
    seed.problem,
    about.labels.length ? [h("label", { for: "label" }, "Class"), label] : null,
    own.length
      ? h(
          "details",
          { open: innerWidth >= 880 },
          h("summary", {}, "Sampling"),
          fields,
          others.length ? h("details", { open: !fields.length }, h("summary", {}, `${others.length} more`), others) : null,
        )
      : null,
    h("p", { class: "hint" }, "The same seed and settings give the same result, here and in the terminal."),
  );
  const another = () => {
    seed.input.value = String(Math.floor(Math.random() * 1e6));
    seed.check();
  };
  const options = () => ({ seed: seed.value(), settings: Object.fromEntries(changed), ...(label.value ? { label: label.value } : {}) });
  return { element, options, another };
}

/** A value in the words of its setting's meaning: with "0: all" there, 0 is "all". @param {any} setting @param {any} value */
function valueInWords(setting, value) {
  const start = `${value}: `;
  const part = setting.meaning
    .replaceAll("`", "")
    .split("; ")
    .find((/** @type {string} */ text) => text.startsWith(start));
  return part ? part.slice(start.length) : String(value);
}

/** What an empty field means, if it is short; the setting's meaning below says it in any case. @param {string} text */
function placeholder(text) {
  return text.length > 24 ? "chosen for you" : text;
}

/** Whether a slider reaches the values of a number that matter: others need a finer step, a wider range, have a gap above -1, or have those
 * that matter in a corner of their range, as the temperature does.
 * @param {any} setting @param {number} usual */
function isForSlider({ type, minimum, maximum }, usual) {
  if (type === "integer") return maximum - minimum <= 100;
  const isOnStep = (/** @type {number} */ value) => Math.abs(value / STEP - Math.round(value / STEP)) < 1e-6;
  return minimum >= 0 && maximum <= Math.max(1, 4 * usual) && isOnStep(minimum) && isOnStep(usual);
}

/** @param {any} setting @param {any} value @param {Map<string, string>} changed @param {any} usual */
function samplingField(setting, value, changed, usual) {
  const id = `sampling-${setting.name}`;
  const isNumber = ["number", "integer"].includes(setting.type);
  const hasRange = isNumber && setting.minimum !== null && setting.maximum !== null && isForSlider(setting, Number(usual));
  const output = h("output", { for: id }, valueInWords(setting, value));
  const note = (/** @type {Event} */ event) => {
    const text = /** @type {HTMLInputElement} */ (event.target).value;
    output.textContent = valueInWords(setting, text);
    if (text === "" || text === String(usual)) changed.delete(setting.name);
    else changed.set(setting.name, text);
  };
  const choices = setting.type === "true or false" ? ["true", "false"] : setting.choices;
  const input = choices.length
    ? h(
        "select",
        { id, onchange: note },
        choices.map((/** @type {string} */ choice) => h("option", { value: choice, selected: choice === String(value) }, choice)),
      )
    : hasRange
      ? h("input", {
          id,
          type: "range",
          min: setting.minimum,
          max: setting.maximum,
          step: setting.type === "integer" ? 1 : STEP,
          value,
          oninput: note,
        })
      : h("input", {
          id,
          type: isNumber ? "number" : "text",
          step: setting.type === "integer" ? 1 : "any",
          min: setting.minimum ?? "",
          max: setting.maximum ?? "",
          value: value === usual ? "" : value,
          placeholder: placeholder(valueInWords(setting, usual)),
          oninput: note,
        });
  return h(
    "div",
    { class: "setting" },
    h("label", { for: id }, words(setting.name), hasRange ? [": ", output] : null),
    input,
    h("p", { class: "hint" }, setting.meaning.replaceAll("`", "")),
  );
}
