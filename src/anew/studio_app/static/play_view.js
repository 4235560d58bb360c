// The page Play: samples, shown while they form, and all other ways to try out a model.

import { address, follow, get, Refusal } from "./api.js";
import { asSentence, count, h, replaceChildren, words } from "./dom.js";
import { familyTitle } from "./families.js";
import { seedField } from "./seed_field.js";
import { besidePanel } from "./beside_panel.js";
import { fillPanel } from "./fill_panel.js";
import { stretchPanel } from "./fill_stretch.js";
import { explanationPanel, explanationOf } from "./explanation_panel.js";
import { shownItem } from "./items.js";
import { itemDialog } from "./item_dialog.js";
import { origins } from "./origin_drop.js";
import { runAddress } from "./runs_view.js";
import { tokenPanel } from "./token_panel.js";
import { walkPanel } from "./walk_panel.js";

/**
 * What the panels of the page share.
 * @typedef {object} Play
 * @property {string} id the run
 * @property {any} about facts about its model
 * @property {() => any} options seed, class and settings, as requests take them
 * @property {() => {step?: number}} moment the step whose weights answer, if they are not the newest
 * @property {() => void} another takes the next seed
 * @property {Record<string, string>} texts texts of panels that the address of the page keeps
 * @property {() => void} keep keeps options and texts in the address of the page
 * @property {AbortSignal} signal aborted when the page is left
 * @property {() => AbortSignal} begin ends what is being generated; the signal of what begins now
 * @property {(listener: () => void, signal?: AbortSignal) => void} onOptions calls a listener whenever options change
 */

const FIRST = ["temperature", "steps", "guidance", "truncation", "top_k", "top_p"]; // settings that are shown first; others are folded
const MAX_NUMBER = 2 ** 53 - 64; // of a sample, which the Studio takes
const STEP = 0.05; // of sliders that choose a number
const SET = "set."; // before the name of a setting in the address of the page
const ONLY_FOR = /** @type {Record<string, string>} */ ({ frames: "video", tile: "image" });

/**
 * @param {HTMLElement} main
 * @param {string} id
 * @param {string} [panel] that is opened first
 * @param {string} [query] what to generate, see `originIn`
 */
export function showPlay(main, id, panel = "make", query = "") {
  document.title = `Play with ${id.split("/").pop()} - Anew Studio`;
  const leaving = new AbortController();
  const crumb = h("p", { class: "crumb" }, h("a", { href: "#/" }, "Runs"), " / ", h("a", { href: runAddress(id) }, id), " / play");
  replaceChildren(
    main,
    crumb,
    h("h1", {}, "Play"),
    h("p", { class: "sub", role: "status" }, "Loading the model..."),
    h("progress", { "aria-label": "Loading" }),
  );
  Promise.all([get("/api/play/about", { run: id }, leaving.signal), get("/api/settings", {}, leaving.signal)])
    .then(([about, { settings }]) => {
      draw(main, crumb, id, about, settings, leaving.signal, panel, query);
    })
    .catch((error) => {
      if (leaving.signal.aborted) return;
      replaceChildren(
        main,
        crumb,
        h("h1", {}, "Play"),
        h("p", { class: "note wrong", role: "alert" }, error instanceof Refusal ? error.message : "The Studio cannot be reached."),
      );
    });
  return () => leaving.abort();
}

/**
 * @param {HTMLElement} main
 * @param {HTMLElement} crumb
 * @param {string} id
 * @param {any} about
 * @param {any[]} settings
 * @param {AbortSignal} signal
 * @param {string} first
 * @param {string} query
 */
function draw(main, crumb, id, about, settings, signal, first, query) {
  const origin = origins.get(id);
  origins.delete(id);
  about.origin = origin ?? originIn(query);
  const controls = optionsForm(about, settings);
  let running = new AbortController();
  signal.addEventListener("abort", () => running.abort());
  /** @type {Play} */
  const play = {
    id,
    about,
    texts: {},
    keep: () => keepInAddress(id, openPanel, { ...controls.options(), ...play.texts }),
    onOptions: (listener, signal) => controls.element.addEventListener("input", listener, { signal }),
    options: controls.options,
    moment: () => ({}),
    another: controls.another,
    signal,
    begin: () => {
      running.abort();
      running = new AbortController();
      return running.signal;
    },
  };
  let openPanel = first;
  const stage = h("div", {});
  /** @type {[string, string, (play: Play) => HTMLElement][]} */
  const panels = [["make", "Generate", makePanel]];
  if (about.tokens) panels.push(["tokens", "Token by token", tokenPanel]);
  if (about.fills) panels.push(["fill", "Fill in", about.fills === "paint" ? fillPanel : stretchPanel]);
  if (about.walks) panels.push(["walk", "Walk", walkPanel]);
  if (explanationOf(about)) panels.push(["explanation", "How it works", explanationPanel]);
  panels.push(["beside", "Two runs", besidePanel]);
  const tabs = panels.map(([key, title, make]) =>
    h(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${key}`,
        "aria-controls": "stage",
        "aria-selected": "false",
        onclick: () => open(key),
        onkeydown: (/** @type {KeyboardEvent} */ event) => arrow(event, key),
      },
      title,
    ),
  );
  /** @type {Map<string, HTMLElement>} */
  const made = new Map();
  const open = (/** @type {string} */ key) => {
    const panel = panels.find(([name]) => name === key);
    if (!panel) return;
    if (!made.has(key)) made.set(key, panel[2](play));
    replaceChildren(stage, made.get(key));
    for (const tab of tabs) {
      const isOpen = tab.id === `tab-${key}`;
      tab.setAttribute("aria-selected", String(isOpen));
      tab.tabIndex = isOpen ? 0 : -1;
    }
    stage.setAttribute("aria-labelledby", `tab-${key}`);
    controls.element.dataset.panel = key;
    openPanel = key;
    play.keep();
  };
  const arrow = (/** @type {KeyboardEvent} */ event, /** @type {string} */ key) => {
    const turn = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!turn) return;
    const index = panels.findIndex(([name]) => name === key);
    const next = (index + turn + panels.length) % panels.length;
    open(panels[next][0]);
    tabs[next].focus();
  };
  stage.id = "stage";
  stage.setAttribute("role", "tabpanel");
  replaceChildren(
    main,
    crumb,
    h(
      "div",
      { class: "head" },
      h("h1", {}, "Play"),
      h("span", { class: "grow" }),
      panels.length > 1 ? h("div", { class: "tabs", role: "tablist", "aria-label": "Ways to play" }, tabs) : null,
    ),
    h("p", { class: "sub" }, `${familyTitle(about.family)}, learned from ${about.plural}`),
    origin && origin.weights !== about.weights
      ? h("p", { class: "note" }, "This run has been trained further since the file was made, so what it generates now may differ.")
      : null,
    about.notes.map((/** @type {string} */ note) => h("p", { class: "note" }, asSentence(note))),
    h(
      "div",
      { class: "grid" },
      h("section", { class: "card third", "aria-label": "What to generate" }, controls.element),
      h("section", { class: "card two-thirds" }, stage),
    ),
  );
  open(panels.some(([key]) => key === first) ? first : "make");
}

/** What to generate, from the address of the page, in the shape of the origin of a file. @param {string} query */
function originIn(query) {
  const values = new Map(new URLSearchParams(query));
  if (!values.size) return undefined;
  const settings = Object.fromEntries(
    [...values].filter(([name]) => name.startsWith(SET)).map(([name, value]) => [name.slice(SET.length), value]),
  );
  return { ...Object.fromEntries(values), settings };
}

/**
 * Keep what is generated in the address of the page, so that a reload or a link gives the same.
 * @param {string} id
 * @param {string} panel
 * @param {any} options
 */
function keepInAddress(id, panel, { settings, ...others }) {
  const values = [...Object.entries(others), ...Object.entries(settings).map(([name, value]) => [`${SET}${name}`, value])].filter(
    ([, value]) => value !== null && value !== "",
  );
  const query = new URLSearchParams(values.map(([name, value]) => [name, String(value)])).toString();
  history.replaceState(null, "", `#/play/${encodeURIComponent(id)}/${panel}?${encodeURIComponent(query)}`);
}

/** The form of sample options: seed, label, sampling settings. @param {any} about @param {any[]} settings */
function optionsForm(about, settings) {
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

// ---- samples ----

/** @param {Play} play @returns {HTMLElement} */
function makePanel(play) {
  const { about, id } = play;
  const number = h("input", {
    id: "number",
    type: "number",
    min: 1,
    max: 64,
    required: true,
    value: String(about.origin?.n ?? (about.prompts ? 3 : 9)),
  });
  const from = h("input", {
    id: "first",
    type: "number",
    min: 1,
    max: MAX_NUMBER,
    required: true,
    value: String(Number(about.origin?.first_index ?? 0) + 1),
  });
  const prompt = h("textarea", {
    id: "prompt",
    rows: 2,
    placeholder: "leave empty to start from nothing",
    value: about.origin?.prompt ?? "",
  });
  const suffix = h("textarea", {
    id: "suffix",
    rows: 2,
    placeholder: "leave empty to let it end by itself",
    value: about.origin?.suffix ?? "",
  });
  const ending = h("input", {
    id: "stop",
    type: "text",
    placeholder: "leave empty to let it end by itself",
    value: about.origin?.stop ?? "",
  });
  const result = h("div", { class: `items big ${about.prompts ? "text" : about.modality === "audio" ? "sound" : ""}` });
  const status = h("p", { class: "hint", role: "status" });
  const all = h("a", { class: "button", hidden: true }, "Download all");
  const stop = h("button", { type: "button", hidden: true, onclick: () => play.begin() }, "Stop");
  const go = h("button", { type: "submit", class: "main" }, "Generate");
  const make = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const signal = play.begin();
    const started = performance.now();
    stop.hidden = false;
    all.hidden = true;
    const first = Number(from.value) - 1;
    play.texts = {
      n: number.value,
      first_index: first ? String(first) : "",
      prompt: prompt.value,
      suffix: suffix.value,
      stop: ending.value,
    };
    play.keep();
    status.textContent = "Starting...";
    const texts = Object.entries({ prompt, suffix, stop: ending })
      .map(([name, input]) => [name, input.value])
      .filter(([, value]) => value);
    const body = {
      run: id,
      n: Number(number.value),
      ...(first ? { first_index: first } : {}),
      ...play.options(),
      ...Object.fromEntries(texts),
    };
    try {
      await follow("/api/play/sample", body, signal, (event) => {
        if (event.end) return;
        update(result, event, play, first);
        const seconds = ((performance.now() - started) / 1000).toFixed(1);
        const unit = about.prompts ? "token" : "step";
        status.textContent = event.samples
          ? [`Done in ${seconds} s, ${count(event.drafts)} ${event.drafts === 1 ? unit : `${unit}s`}.`, ...(event.notes ?? [])].join(" ")
          : `${about.prompts ? "Token" : "Step"} ${count(event.draft)}, ${seconds} s`;
        if (event.samples) {
          terminal.hidden = false;
          /** @type {HTMLElement} */ (terminal.lastChild).textContent = command(body);
        }
        if (event.samples) Object.assign(all, { hidden: false, href: address("/api/play/zip", { run: id, samples: event.samples }) });
      });
    } catch (error) {
      status.textContent = signal.aborted ? "Stopped." : /** @type {Error} */ (error).message;
      if (!signal.aborted) replaceChildren(result); // earlier samples do not answer this
    }
    stop.hidden = true;
  };
  const terminal = h("details", { hidden: true }, h("summary", {}, "The same in the terminal"), h("pre", { class: "words", tabindex: 0 }));
  const form = h(
    "form",
    { onsubmit: make },
    about.prompts ? [h("label", { for: "prompt" }, "Begin with"), prompt] : null,
    about.gap ? [h("label", { for: "suffix" }, "End with (the model fills the gap)"), suffix] : null,
    about.prompts ? [h("label", { for: "stop" }, "Stop before"), ending] : null,
    h(
      "div",
      { class: "row" },
      h("div", {}, h("label", { for: "number" }, "How many"), number),
      h("div", {}, h("label", { for: "first" }, "From number"), from),
      go,
      stop,
      all,
    ),
    status,
    terminal,
  );
  const panel = h("div", {}, form, result);
  queueMicrotask(() => form.requestSubmit());
  return panel;
}

/** The command that generates the same, in the start folder; those that are shown are its last files. @param {any} body of a request */
function command({ run, n, first_index, seed, label, prompt, suffix, stop, settings }) {
  const options = Object.entries({ seed, label, prompt, suffix, stop })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `--${name}=${value}`);
  const words = [
    "anew",
    "sample",
    run,
    "-n",
    n + (first_index ?? 0),
    ...options,
    ...Object.entries(settings).map(([name, value]) => `--set=${name}=${value}`),
    "--out",
    "samples",
  ];
  return words
    .map(String)
    .map((word) => (/^[\w./=:,@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(" ");
}

/**
 * Show a draft or the samples.
 * @param {HTMLElement} result
 * @param {any} event
 * @param {Play} play
 * @param {number} first index of the first sample
 */
function update(result, event, play, first) {
  replaceChildren(
    result,
    event.items.map((/** @type {any} */ item, /** @type {number} */ index) => {
      const number = first + index + 1;
      const figure = shownItem(item, `Sample ${number}`);
      if (!event.samples) return figure;
      const open = (/** @type {boolean} */ isAsked) => itemDialog(play, item, event.samples, index, isAsked);
      return h(
        "div",
        { class: "made" },
        figure,
        h(
          "div",
          { class: "below" },
          h("button", { type: "button", onclick: () => open(false), "aria-label": `More of sample ${number}` }, "More"),
          h("button", { type: "button", onclick: () => open(true), "aria-label": `Is sample ${number} a copy?` }, "Copy?"),
        ),
      );
    }),
  );
}
