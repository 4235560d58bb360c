// Measuring beyond the report of a training: a run once more, or samples of another tool against the data of a run.

import { get, post, Refusal } from "./api.js";
import { busy, h, replaceChildren } from "./dom.js";
import { dropZone } from "./drop_zone.js";
import { listFolder } from "./folder_list.js";
import { formDialog } from "./form_dialog.js";
import { runAddress } from "./runs_view.js";

const NUM_SAMPLES = 2000; // as `anew evaluate` without -n
const MAX_SAMPLES = 1_000_000;

/** @param {string} id */
function numberField(id) {
  return h("input", { id, type: "number", min: 1, max: MAX_SAMPLES, step: 1, required: true, value: String(NUM_SAMPLES) });
}

/** The buttons beside the report of a run. @param {any} run @returns {HTMLElement[]} */
export function measureButtons(run) {
  if (run.state !== "finished" || !run.has_weights) return [];
  const again = run.has_own_code
    ? []
    : [h("button", { type: "button", onclick: () => measureAgain(run) }, run.has_report ? "Measure again" : "Measure")];
  return [...again, h("a", { class: "button", href: `#/measure/${encodeURIComponent(run.id)}` }, "Measure other samples")];
}

/** Ask how many samples, and measure the run. @param {any} run */
function measureAgain(run) {
  const number = numberField("measured");
  const data = h("input", { id: "moved", autocomplete: "off" });
  const moved = h("div", { hidden: true }, h("label", { for: "moved" }, "Where the data is now, below the start folder"), data);
  formDialog({
    title: "Measure again",
    text:
      "New samples are drawn and measured, without a limit of time. More samples may settle what was left open. " +
      "If you stop it, the report has what was measured by then. " +
      "Of two reports the one that says more is shown; the other is kept in the run folder.",
    fields: [h("label", { for: "measured" }, "How many samples"), number, moved],
    first: number,
    verb: "Measure",
    send: () => {
      const place = data.value.trim();
      return post("/api/evaluate", { run: run.id, n: Number(number.value), ...(place ? { data: place } : {}) });
    },
    done: "Queued; measuring starts after the commands before it.",
    onRefused: (error) => {
      if (error instanceof Refusal && error.code === "data_moved") moved.hidden = false;
    },
  });
}

/**
 * The page on which samples of another tool are chosen and measured.
 * @param {HTMLElement} main @param {string} id of the run @param {string} [samples] the name of what was chosen
 */
export function showMeasure(main, id, samples) {
  document.title = `Measure other samples - Anew Studio`;
  const leaving = new AbortController();
  const place = `#/measure/${encodeURIComponent(id)}`;
  const sentence = h(
    "p",
    { class: "sub" },
    "How close to the data of this run, how varied and how new are samples that another tool made?",
  );
  const head = [
    h("p", { class: "crumb" }, h("a", { href: "#/" }, "Runs"), " / ", h("a", { href: runAddress(id) }, id), " / other samples"),
    h("h1", {}, "Measure other samples"),
    sentence,
  ];
  get("/api/run", { run: id }, leaving.signal)
    .then((run) => {
      if (run.data)
        sentence.textContent = `How close to the data of this run, ${run.data}, how varied and how new are samples that another tool made?`;
    })
    .catch((error) => {
      if (!leaving.signal.aborted) replaceChildren(main, head, h("p", { class: "note wrong", role: "alert" }, error.message));
    });
  if (samples) {
    replaceChildren(main, head, h("section", { class: "card narrow" }, samplesForm(id, samples, place)));
  } else {
    const chooser = h("div", {});
    const go = (/** @type {string} */ name) => {
      location.hash = `${place}/${encodeURIComponent(name)}`;
    };
    replaceChildren(
      main,
      head,
      h(
        "div",
        { class: "grid" },
        h("section", { class: "card half" }, h("h2", {}, "Drop the samples"), dropZone(leaving.signal, go)),
        h("section", { class: "card half" }, h("h2", {}, "Or choose them from this folder"), chooser),
      ),
    );
    listFolder(chooser, "", go);
  }
  return () => leaving.abort();
}

/** @param {string} id @param {string} samples @param {string} place the address of the page on which others are chosen */
function samplesForm(id, samples, place) {
  const number = numberField("measured");
  const heldOut = h("input", { id: "held-out", autocomplete: "off", placeholder: "none", "aria-describedby": "held-out-help" });
  const problem = h("p", { class: "note wrong", role: "alert", hidden: true });
  const status = h("div", { class: "starting", role: "status" });
  const go = h("button", { class: "main", type: "submit" }, "Measure");
  return h(
    "form",
    {
      onsubmit: async (/** @type {Event} */ event) => {
        event.preventDefault();
        problem.hidden = true;
        const body = { run: id, samples, n: Number(number.value), ...(heldOut.value.trim() ? { held_out: heldOut.value.trim() } : {}) };
        try {
          const job = await busy(go, "Starting...", () => post("/api/evaluate-samples", body), status);
          if (go.isConnected) location.hash = `#/compare/${encodeURIComponent(job.id)}`;
        } catch (error) {
          problem.textContent = /** @type {Error} */ (error).message;
          problem.hidden = false;
        }
      },
    },
    h("p", {}, "Samples: ", h("strong", {}, samples), " ", h("a", { href: place }, "choose others")),
    h("label", { for: "measured" }, "How many are measured, at most"),
    number,
    h("label", { for: "held-out" }, "Items of the same source that the other tool was not trained on, a name below the start folder"),
    heldOut,
    h(
      "p",
      { class: "hint", id: "held-out-help" },
      "Without any, samples are compared with items that the tool may have been trained on, and a tool that copies them looks perfect. The report says so.",
    ),
    problem,
    status,
    h("div", { class: "actions go" }, go),
  );
}
