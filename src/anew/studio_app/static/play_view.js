// The page Play: samples, shown while they form, and all other ways to try out a model.

import { get, Refusal } from "./api.js";
import { asSentence, h, replaceChildren } from "./dom.js";
import { familyTitle } from "./families.js";
import { besidePanel } from "./beside_panel.js";
import { fillPanel } from "./fill_panel.js";
import { stretchPanel } from "./fill_stretch.js";
import { explanationPanel, explanationOf } from "./explanation_panel.js";
import { origins } from "./origin_drop.js";
import { optionsForm } from "./play_options.js";
import { runAddress } from "./runs_view.js";
import { samplesPanel } from "./samples_panel.js";
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
 * @property {(status?: HTMLElement) => AbortSignal} begin ends what is being generated, by any panel; the signal of what begins now.
 *   status: where the panel says how far it is, by which `sayEnd` tells panels apart
 * @property {(listener: () => void, signal?: AbortSignal) => void} onOptions calls a listener whenever options change
 */

// Names of settings begin with this in the address of the page.
const SET = "set.";

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
    begin: (status) => {
      running.abort(status);
      running = new AbortController();
      return running.signal;
    },
  };
  let openPanel = first;
  const stage = h("div", {});
  /** @type {[string, string, (play: Play) => HTMLElement][]} */
  const panels = [["make", "Generate", samplesPanel]];
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
