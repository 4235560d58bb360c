// The page New run: choose data, see what Anew finds in it, choose time and settings, and start.

import { follow, get, onChange, post, Refusal } from "./api.js";
import { asSentence, busy, bytes, count, h, replaceChildren, showToast } from "./dom.js";
import { dropZone } from "./drop_zone.js";
import { FAMILIES, familyTitle } from "./families.js";
import { listFolder } from "./folder_list.js";
import { itemSheet } from "./items.js";
import { newAddress, readingIn } from "./reading.js";
import { seedField } from "./seed_field.js";
import { readingForm, settingsForm } from "./settings_form.js";

const BUDGETS = /** @type {[string, string][]} */ ([
  ["1m", "a minute"],
  ["10m", "ten minutes"],
  ["1h", "an hour"],
]);
const PREFERENCES = { quality: "the best samples", speed: "quick sampling", latent: "a latent space to walk in" };

/** @param {HTMLElement} main @param {string} [data] @param {string} [query] how it is read, as `readingIn` takes it */
export function showNew(main, data, query = "") {
  document.title = "New run - Anew Studio";
  const leaving = new AbortController();
  if (data) showData(main, data, leaving.signal, readingIn(query));
  else showChoice(main, leaving.signal);
  return () => leaving.abort();
}

/** @param {string} id */
function go(id) {
  location.hash = `#/new/${encodeURIComponent(id)}`;
}

// ---- choosing ----

/** @param {HTMLElement} main @param {AbortSignal} signal */
function showChoice(main, signal) {
  const chooser = h("div", {});
  const examples = h("div", { class: "choices" });
  replaceChildren(
    main,
    h("div", { class: "head" }, h("h1", {}, "New run")),
    h(
      "p",
      { class: "sub" },
      "Give Anew items of one kind: images, sound, text, code, sequences, clips or rows of a table. It learns to generate new ones. Nothing leaves this machine.",
    ),
    h(
      "div",
      { class: "grid" },
      h("section", { class: "card half" }, h("h2", {}, "Drop your own"), dropZone(signal, go)),
      h("section", { class: "card half" }, h("h2", {}, "Or an example"), examples),
      h("section", { class: "card" }, h("h2", {}, "Or choose from this folder"), chooser),
    ),
  );
  const load = () => {
    listFolder(chooser, "", go);
    showExamples(examples);
  };
  load();
  const end = onChange((names) => {
    // null: the Studio can be reached again
    if (!names && (!chooser.children.length || !examples.children.length)) load();
  });
  signal.addEventListener("abort", end);
}

/** @param {HTMLElement} examples */
function showExamples(examples) {
  get("/api/examples")
    .then(({ examples: all }) =>
      replaceChildren(
        examples,
        all.map((/** @type {any} */ example) => {
          const button = h(
            "button",
            {
              type: "button",
              class: "choice",
              onclick: async () => {
                button.disabled = true;
                try {
                  go((await post("/api/example", { name: example.name })).id);
                } catch (error) {
                  showToast(/** @type {Error} */ (error).message);
                  button.disabled = false;
                }
              },
            },
            h("strong", {}, example.name),
            h("span", {}, example.text.replaceAll("`", "")),
          );
          return button;
        }),
      ),
    )
    .catch((error) => showToast(error.message));
}

// ---- what Anew sees ----

/** @typedef {import("./reading.js").Reading} Reading */

/** @param {Reading} reading */
function asked({ modality, settings }) {
  return { ...(modality ? { modality } : {}), settings: Object.fromEntries(settings) };
}

/**
 * Keep how data is read in the address of its page, so that a reloaded page reads it in the same way.
 * @param {string} data
 * @param {Reading} reading
 */
function keepReading(data, reading) {
  history.replaceState(null, "", newAddress(data, reading));
}

/** @param {HTMLElement} main @param {string} data @param {AbortSignal} signal @param {Reading} reading */
async function showData(main, data, signal, reading) {
  keepReading(data, reading);
  const look = () => showData(main, data, signal, reading);
  const head = [h("p", { class: "crumb" }, h("a", { href: "#/new" }, "New run"), ` / ${data}`), h("h1", {}, data.split("/").pop() ?? data)];
  const doing = h("p", { class: "hint" });
  replaceChildren(
    main,
    head,
    h("p", { class: "sub", role: "status" }, "Looking at your data. This takes a few seconds, or longer if there is a lot of it."),
    h("progress", { "aria-label": "Looking" }),
    doing,
    h("p", {}, h("a", { class: "button", href: "#/new" }, "Cancel")),
  ); // whoever leaves the page ends the looking
  /** Shows what budgets train, once the page is drawn. @type {Estimates | undefined} */
  let estimates;
  const take = (/** @type {any} */ event) => {
    if (signal.aborted) return;
    if (event.doing && estimates) estimates.doing.textContent = `${asSentence(event.doing)} You need not wait for it.`;
    else if (event.doing) doing.textContent = asSentence(event.doing);
    if (event.budgets) estimates?.show(event.budgets);
    if (!event.seen) return;
    for (const [key, value] of [...reading.settings]) {
      // those of this kind alone: a family may have one of the same name
      reading.settings.delete(key);
      reading.settings.set(key.includes(".") ? key : `${event.seen.modality}.${key}`, value);
    }
    keepReading(data, reading);
    estimates = drawData(main, head, data, event.seen, reading, look);
  };
  try {
    await follow("/api/look", { data, ...asked(reading) }, signal, take);
  } catch (error) {
    if (signal.aborted) return;
    if (estimates) {
      // what was seen stays
      estimates.doing.textContent = `What these times would train is not known. ${/** @type {Error} */ (error).message}`;
      return;
    }
    const { message, columns } = error instanceof Refusal ? error : { message: "The Studio cannot be reached.", columns: undefined };
    const form = h("details", { class: "card again", hidden: true }, h("summary", {}, "Change how it is read"));
    const readRows = () => {
      reading.settings.set("layout", "list");
      look();
    };
    const rows =
      columns && /\bsetting layout=list\b/.test(message)
        ? h("button", { type: "button", class: "main", onclick: readRows }, "Learn whole rows")
        : null;
    replaceChildren(
      main,
      head,
      h("p", { class: "note wrong", role: "alert" }, message),
      form,
      h("div", { class: "actions" }, rows, h("a", { class: "button", href: "#/new" }, "Choose other data")),
    );
    if (!columns) return;
    try {
      await addReadingForm(form, reading, { error: message, columns }, look);
    } catch (error) {
      showToast(/** @type {Error} */ (error).message);
      return;
    }
    form.open = form.querySelectorAll("select, input").length > 1; // more than the kind of data, which most often cannot help
  }
}

/**
 * @param {HTMLElement} container
 * @param {Reading} reading
 * @param {{modality?: string, error?: string, columns: string[]}} seen
 * @param {() => void} look
 */
async function addReadingForm(container, reading, seen, look) {
  const { settings } = await get("/api/settings");
  if (container.children.length > 1) return; // it was opened again meanwhile
  container.append(readingForm(settings, reading, seen, look));
  container.hidden = false;
}

/** Where it is shown what budgets train, and what is being done until that is known.
 * @typedef {{ doing: HTMLElement, show: (budgets: any[]) => void }} Estimates */

/**
 * @param {HTMLElement} main
 * @param {any[]} head
 * @param {string} data
 * @param {any} seen
 * @param {Reading} reading
 * @param {() => void} look
 * @returns {Estimates}
 */
function drawData(main, head, data, seen, reading, look) {
  const plural = seen.items === 1 ? seen.item_name : `${seen.item_name}s`;
  const skipped = seen.skipped
    ? [
        h("h3", {}, `${count(seen.skipped)} skipped`),
        h(
          "ul",
          {},
          seen.skipped_files.map((/** @type {any} */ file) => h("li", {}, `${file.name}: ${file.reason}`)),
        ),
      ]
    : null;
  const unnamed = Object.entries(seen.not_taken ?? {}).filter(([name]) => !seen.noted_kinds?.includes(name));
  const other = unnamed.map(([name, number]) => `${count(Number(number))} ${name}`).join(", ");
  const { form, estimates } = trainForm(data, seen, reading);
  const differently = h(
    "details",
    {
      class: "settings",
      open: Boolean(reading.modality) || reading.settings.size > 0,
      ontoggle: () => {
        if (differently.children.length > 1) return;
        addReadingForm(differently, reading, seen, look).catch((error) => showToast(error.message));
      },
    },
    h("summary", {}, "Change how it is read"),
  );
  const learn = h("section", { class: "card five", tabindex: -1, "aria-label": "Learn from it" }, h("h2", {}, "Learn from it"), form);
  replaceChildren(
    main,
    head,
    h(
      "button",
      {
        type: "button",
        class: "jump",
        onclick: () => {
          learn.scrollIntoView();
          learn.focus({ preventScroll: true });
        },
      },
      "Learn from it",
    ),
    h(
      "p",
      { class: "sub" },
      `${seen.is_estimate ? `about ${count(Number(seen.items.toPrecision(2)))}` : count(seen.items)} ${plural}, ${bytes(seen.bytes)}`,
      seen.labels.length ? `, ${seen.labels.length} classes` : "",
    ),
    h(
      "div",
      { class: "grid" },
      h(
        "section",
        { class: "card seven" },
        h("h2", {}, "What Anew sees"),
        itemSheet(seen.sheet),
        seen.labels.length
          ? h("p", { class: "hint" }, `Classes: ${seen.labels.slice(0, 40).join(", ")}${seen.labels.length > 40 ? ", ..." : ""}`)
          : null,
        h(
          "ul",
          { class: "plain facts" },
          seen.form ? h("li", {}, `learned at ${seen.form} (in ten minutes)`) : null,
          seen.notes.map((/** @type {string} */ note) => h("li", {}, note.replaceAll("`", ""))),
        ),
        other ? h("p", { class: "hint" }, `Not used: ${other}.`) : null,
        skipped,
        differently,
      ),
      learn,
    ),
  );
  return estimates;
}

/** The number of passes over the data, rounded. @param {number} epochs */
function passes(epochs) {
  const number = Number(epochs.toPrecision(2));
  return `${count(number)} ${number === 1 ? "pass" : "passes"}`;
}

/**
 * The form that starts a training, which needs no estimates.
 * @param {string} data
 * @param {any} seen
 * @param {Reading} reading
 * @returns {{ form: HTMLFormElement, estimates: Estimates }}
 */
function trainForm(data, seen, reading) {
  const tried = /** @type {string[]} */ (seen.tried?.families ?? []);
  const trying = tried.reduce((text, name) => text.replace(new RegExp(`\\b${name}\\b`), familyTitle(name)), seen.tried?.reason ?? "");
  const alternatives = /** @type {[string, any][]} */ (Object.entries(seen.alternatives)).filter(
    ([, other]) => !tried.includes(other.family),
  );
  /** What a choice adds to the request, by its value.
   * @type {{ value: string, request: object, family: string, text: string, why: string }[]} */
  const choices = [
    {
      value: "",
      request: {},
      family: seen.tried ? "" : seen.family,
      text: seen.tried ? "Let Anew choose" : familyTitle(seen.family),
      why: seen.tried ? `With little time it chooses ${familyTitle(seen.family)}; ${trying}.` : seen.reason,
    },
    ...tried.map((name) => ({
      value: name,
      request: { family: name },
      family: name,
      text: familyTitle(name),
      why: name === seen.family ? seen.reason : "",
    })),
    ...alternatives.map(([preference, other]) => ({
      value: other.family,
      request: { prefer: preference },
      family: other.family,
      text: `${familyTitle(other.family)}, for ${PREFERENCES[/** @type {keyof typeof PREFERENCES} */ (preference)]}`,
      why: other.reason,
    })),
  ];
  const custom = h("input", {
    id: "budget",
    placeholder: "90s, 30m, 2h",
    autocomplete: "off",
    oninput: () => {
      for (const radio of radios) radio.checked = false;
    },
  });
  /** @type {HTMLInputElement[]} */
  const radios = [];
  /** What each time trains, by its seconds. @type {Map<number, HTMLElement>} */
  const trained = new Map();
  const budget = (/** @type {string} */ value, /** @type {string} */ name, /** @type {number} */ seconds) => {
    const radio = h("input", {
      type: "radio",
      name: "budget",
      value,
      checked: value === "10m",
      onchange: () => {
        custom.value = "";
      },
    });
    radios.push(radio);
    const estimate = h("span", {});
    trained.set(seconds, estimate);
    return h("label", { class: "option" }, radio, h("span", {}, h("strong", {}, name), estimate));
  };
  const doing = h("p", { class: "hint", role: "status" }, "What these times would train is being measured. You need not wait for it.");
  const show = (/** @type {any[]} */ budgets) => {
    doing.hidden = true;
    for (const { seconds, parameters, steps, epochs } of budgets) {
      const estimate = trained.get(seconds);
      if (estimate)
        replaceChildren(
          estimate,
          h("small", {}, ` a model of ${count(parameters)} parameters, about ${count(steps)} steps, ${passes(epochs)} over the data`),
        );
    }
  };
  const options = choices.map(({ value, family, text, why }) =>
    h(
      "label",
      { class: "option" },
      h("input", { type: "radio", name: "family", value, checked: value === "" }),
      h("span", {}, h("strong", {}, text), h("small", {}, FAMILIES[family] ?? null), why ? h("small", {}, asSentence(why)) : null),
    ),
  );
  const seed = seedField("seed", "0");
  const settings = settingsForm(seen);
  const problem = h("p", { class: "note wrong", role: "alert", hidden: true });
  const start = h("button", { type: "submit", class: "main" }, "Start learning");
  const status = h("div", { class: "starting", role: "status" });
  const seconds = [60, 600, 3600];
  const form = h(
    "form",
    {
      onsubmit: async (/** @type {Event} */ event) => {
        event.preventDefault();
        problem.hidden = true;
        const values = new FormData(form);
        const body = { data, budget: custom.value.trim() || String(values.get("budget") ?? "10m"), seed: seed.value(), ...asked(reading) };
        Object.assign(body.settings, settings.values());
        Object.assign(body, choices.find(({ value }) => value === values.get("family"))?.request);
        try {
          const { id } = await busy(start, "Starting...", () => post("/api/train", body), status);
          if (form.isConnected) location.hash = `#/run/${encodeURIComponent(id)}`;
        } catch (error) {
          problem.textContent = /** @type {Error} */ (error).message;
          problem.hidden = false;
        }
      },
    },
    h(
      "fieldset",
      {},
      h("legend", {}, "Time for everything"),
      BUDGETS.map(([value, name], index) => budget(value, name, seconds[index])),
      doing,
      h("label", { for: "budget" }, "Or another time"),
      custom,
    ),
    h("fieldset", {}, h("legend", {}, "Family"), options),
    h("label", { for: "seed" }, "Seed"),
    seed.input,
    seed.problem,
    settings.element,
    problem,
    status,
    h("div", { class: "actions go" }, start),
  );
  return { form, estimates: { doing, show } };
}
