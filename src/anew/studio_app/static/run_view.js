// The page of a run: its state, samples over time, curves, plan, and actions; and the page of its report.

import { address, get, getText, onChange, Refusal } from "./api.js";
import "./chart.js";
import { Timelapse } from "./timelapse_view.js";
import {
  asSentence,
  clock,
  count,
  drawWithOutput,
  h,
  keepFocus,
  outputOf,
  plural,
  replaceChildren,
  reportFrame,
  short,
  words,
} from "./dom.js";
import { familyTitle } from "./families.js";
import { copiesView } from "./copies_view.js";
import { measureButtons } from "./measure_view.js";
import { actions, canPlay } from "./run_actions.js";
import { ACTIVE, answerList, badge, doneShare, runAddress, throttled } from "./runs_view.js";

const CURVE_WIDTH = 600; // pixels of a curve, about
const MAX_AGE_MS = 10_000; // of curves while their run changes
const ONE_LOSS = "Lower is better.";
const HELD_OUT = " Where validation rises while the loss falls, the model is beginning to memorise your data.";
const RIVALS =
  "Several parts learn together, each with a loss of its own. The two networks of a GAN work against each other, so neither loss has to fall.";

/** @param {HTMLElement} main @param {string} id */
export function showRun(main, id) {
  document.title = `${id.split("/").pop()} - Anew Studio`;
  const head = h("div", {});
  const figures = h("dl", { class: "figures" });
  const samples = new SampleSlider(id);
  const curves = new Curves();
  const leaving = new AbortController();
  const timelapse = new Timelapse(id, leaving.signal);
  const side = h("div", { class: "stack" });
  const grid = h(
    "div",
    { class: "grid", hidden: true }, // until it is known what to show
    h("section", { class: "card", "aria-label": "Figures" }, figures),
    h("section", { class: "card half" }, samples.element),
    h("div", { class: "half stack" }, h("section", { class: "card", "aria-label": "Curves" }, curves.element), side),
    h("section", { class: "card timelapse-card" }, timelapse.element),
  );
  replaceChildren(main, h("p", { class: "crumb" }, h("a", { href: "#/" }, "Runs"), ` / ${id}`), head, grid);
  let gone = false;
  const load = async () => {
    try {
      const run = await get("/api/run", { run: id });
      if (gone) return;
      grid.hidden = false;
      keepFocus(head, () => drawHead(head, run));
      drawFigures(figures, run);
      samples.show(run);
      keepFocus(side, () => drawSide(side, run));
      await timelapse.refresh();
      const isOver = run.state === "failed";
      if (!run.sheets) curves.show([], isOver);
      else if (curves.needsUpdate(run)) curves.show((await get("/api/curves", { run: id })).parts, isOver);
    } catch (error) {
      if (gone || !(error instanceof Refusal)) return;
      replaceChildren(head, h("h1", {}, id), h("p", { class: "note wrong" }, error.message));
      grid.hidden = true;
    }
  };
  load();
  const later = throttled(load, 700);
  const end = onChange((names) => {
    if (!names || names.includes(id)) later();
  });
  return () => {
    gone = true;
    leaving.abort();
    end();
  };
}

/** @param {HTMLElement} head @param {any} run */
function drawHead(head, run) {
  const working = ACTIVE.includes(run.state);
  replaceChildren(
    head,
    h("div", { class: "head" }, h("h1", {}, run.name), badge(run.state), h("span", { class: "grow" }), actions(run)),
    h("p", { class: "sub" }, run.sentence),
    answerList(run),
    run.error_sentence ? h("p", { class: "note wrong apart", role: "alert" }, asSentence(run.error_sentence)) : null,
    ownCode(run),
    working
      ? h(
          "progress",
          run.state === "training"
            ? { max: 1, value: doneShare(run), "aria-label": "Progress of the training" }
            : { "aria-label": run.sentence },
        )
      : null,
    run.short_training ? h("p", { class: "note apart" }, run.short_training) : null,
    run.state === "measuring" && run.verb === "evaluate" && run.log_tail?.length
      ? h("p", { class: "hint apart" }, run.log_tail.at(-1).trim())
      : null,
    run.is_log_damaged
      ? h(
          "p",
          { class: "note wrong" },
          "Its log (events.jsonl) is damaged: lines of it cannot be read, so curves and figures are incomplete.",
        )
      : null,
    (run.warnings ?? []).map((/** @type {any} */ warning) =>
      h("p", { class: "note wrong", role: "alert" }, `At step ${count(warning.step)}, ${warning.text}.`),
    ),
  );
}

/** A run whose family is code, which the Studio does not run: what to type instead. @param {any} run */
function ownCode(run) {
  if (!run.own_code_commands?.length) return null;
  return h(
    "div",
    { class: "note apart" },
    h(
      "p",
      {},
      "The family of this run is Python code, which the Studio does not run. Read family.py in the run folder; if you trust it, type in a terminal:",
    ),
    h("pre", { class: "words", tabindex: 0 }, run.own_code_commands.join("\n")),
  );
}

/** @param {HTMLElement} list @param {any} run */
function drawFigures(list, run) {
  /** @type {[string, any][]} */
  const rows = [
    ["Family", familyTitle(run.described_family ?? run.family ?? "") || (run.state === "failed" ? "" : "not chosen yet")],
    ["Data", run.data],
  ];
  if (run.last?.step) {
    rows.push(["Step", h("span", { "data-figure": "step" }, count(run.last.step))]);
    for (const [name, value] of Object.entries(run.losses ?? {})) {
      rows.push([capital(words(name)), h("span", { "data-figure": name, "data-exact": String(value) }, short(Number(value)))]);
    }
    if (run.kept_step !== null)
      rows.push(["Weights kept", h("span", {}, `of step ${count(run.kept_step)}`, h("small", {}, " (lowest validation loss)"))]);
    if (run.validation !== null) rows.push(["Validation loss", short(run.validation)]);
    if (run.rate && run.state === "training")
      rows.push([
        "Rate",
        h("span", {}, short(run.rate >= 10 ? Math.round(run.rate) : Number(run.rate.toPrecision(2))), h("small", {}, " examples/s")),
      ]);
    if (run.last.seconds) rows.push(["Trained for", clock(run.last.seconds)]);
  }
  if (run.seconds_left !== null && run.seconds_left !== undefined) rows.push(["Time left, about", clock(run.seconds_left)]);
  if (run.parameters) rows.push(["Parameters", count(run.parameters)]);
  replaceChildren(
    list,
    rows.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

/** Samples that were drawn during training, on a slider through time. */
class SampleSlider {
  /** @param {string} id of the run */
  constructor(id) {
    this.id = id;
    this.key = "";
    this.follows = true;
    this.absence = "";
    this.stage = h("div", { class: "stage" });
    this.caption = h("output", { class: "hint", for: "sample-time" });
    this.slider = h("input", {
      type: "range",
      id: "sample-time",
      min: 0,
      max: 0,
      step: 1,
      value: 0,
      oninput: () => {
        this.follows = Number(this.slider.value) === this.entries.length - 1;
        this.draw();
      },
    });
    /** @type {{step: number | null, file: string}[]} */
    this.entries = [];
    this.control = h("div", {}, h("label", { for: "sample-time" }, "Time in training"), this.slider, this.caption);
    this.element = h("div", {}, h("h2", {}, "Samples"), this.stage, this.control);
  }

  /** @param {any} run */
  show(run) {
    const entries = [...(run.sheets ?? [])];
    if (run.final) entries.push({ step: null, file: run.final });
    const key = `${run.state}${JSON.stringify(entries)}${run.final ? run.changed : ""}`;
    if (key === this.key && this.key) return;
    this.key = key;
    this.stamp = Math.floor(run.changed ?? 0);
    this.entries = entries;
    this.absence =
      run.state === "queued" || ACTIVE.includes(run.state)
        ? "The first samples come after about a fifth of the training."
        : `None were drawn during the training.${canPlay(run) ? " Open Play to generate some." : ""}`;
    this.slider.max = String(Math.max(0, entries.length - 1));
    if (this.follows) this.slider.value = this.slider.max;
    this.control.hidden = entries.length < 2;
    this.draw();
  }

  draw() {
    const entry = this.entries[Number(this.slider.value)];
    if (!entry) {
      replaceChildren(this.stage, h("p", { class: "hint" }, this.absence));
      return;
    }
    const when = entry.step === null ? "finished" : `step ${count(entry.step)}`;
    this.caption.textContent = when;
    this.slider.setAttribute("aria-valuetext", when);
    const query = { run: this.id, file: entry.file, at: this.stamp ?? 0 };
    if (entry.file.endsWith(".png")) {
      const image = this.stage.querySelector("img");
      if (image) Object.assign(image, { src: address("/api/sheet", query), alt: `Samples, ${when}` });
      else replaceChildren(this.stage, h("img", { class: "sheet", src: address("/api/sheet", query), alt: `Samples, ${when}` }));
    } else {
      getText("/api/sheet", query)
        .then((text) => {
          if (entry === this.entries[Number(this.slider.value)])
            replaceChildren(this.stage, h("pre", { class: "text", tabindex: 0 }, text));
        })
        .catch(() => {});
    }
  }
}

/** The curves of a run: its losses large, whatever else was logged small. */
class Curves {
  constructor() {
    this.element = h("div", {});
    /** @type {Map<string, any>} */
    this.charts = new Map();
    this.seen = { state: "", step: 0, at: 0 };
  }

  /** Whether curves should be loaded again: not if their ends would move by less than a pixel. @param {any} run */
  needsUpdate({ state, last }) {
    const step = last?.step ?? 0;
    const { seen } = this;
    const isSame =
      state === seen.state && step >= seen.step && step <= seen.step * (1 + 1 / CURVE_WIDTH) && Date.now() < seen.at + MAX_AGE_MS;
    if (!isSame) this.seen = { state, step, at: Date.now() };
    return !isSame;
  }

  /** @param {any[]} parts of `/api/curves` @param {boolean} isOver whether no step follows */
  show(parts, isOver) {
    const known = parts.filter((part) => part.curves.length);
    if (!known.length) {
      replaceChildren(
        this.element,
        h("h2", {}, "Loss"),
        h("p", { class: "hint" }, isOver ? "No step was made." : "Curves begin with the first step."),
      );
      this.charts.clear();
      return;
    }
    const shape = known.map((part) => [part.title, part.curves.map((/** @type {any} */ curve) => curve.name)]);
    if (JSON.stringify(shape) !== this.shape) {
      this.shape = JSON.stringify(shape);
      this.charts.clear();
      replaceChildren(
        this.element,
        known.map((part) => this.section(part)),
      );
    }
    for (const part of known) this.update(part);
  }

  /** @param {any} part */
  section(part) {
    const losses = part.curves.filter(isLoss);
    const hasMany = losses.filter((/** @type {any} */ curve) => curve.name !== "validation").length > 1;
    const others = part.curves.filter((/** @type {any} */ curve) => !isLoss(curve));
    const chart = (/** @type {string} */ name, /** @type {string} */ look) => {
      const element = h("line-chart", { class: look });
      this.charts.set(`${part.title}/${name}`, element);
      return element;
    };
    return h(
      "section",
      {},
      h("h2", {}, part.title ? `Loss, ${part.title}` : "Loss"),
      losses.length
        ? [
            h("ul", { class: "legend" }, losses.map(legend)),
            chart("losses", "chart"),
            part.title
              ? null
              : h(
                  "p",
                  { class: "hint" },
                  hasMany ? RIVALS : ONE_LOSS + (losses.some((/** @type {any} */ curve) => curve.name === "validation") ? HELD_OUT : ""),
                ),
          ]
        : null,
      others.length && !part.title
        ? h(
            "details",
            {},
            h("summary", {}, plural(others.length, "more curve")),
            others.map((/** @type {any} */ curve) => h("div", {}, h("h3", {}, words(curve.name)), chart(curve.name, "chart small"))),
          )
        : null,
    );
  }

  /** @param {any} part */
  update(part) {
    const losses = part.curves.filter(isLoss);
    const lines = losses.flatMap((/** @type {any} */ curve, /** @type {number} */ index) => {
      const style = curve.name === "validation" ? "held" : index ? "trend other" : "trend";
      const raw = { ...curve, label: label(curve), style: curve.trend ? `raw${index ? " other" : ""}` : style };
      return curve.trend ? [raw, { ...curve.trend, name: curve.name, label: "", style }] : [raw];
    });
    this.charts.get(`${part.title}/losses`)?.show("Loss by step", lines);
    for (const curve of part.curves.filter((/** @type {any} */ curve) => !isLoss(curve))) {
      this.charts.get(`${part.title}/${curve.name}`)?.show(words(curve.name), [{ ...curve, label: words(curve.name), style: "trend" }]);
    }
  }
}

/** @param {any} curve */
function isLoss(curve) {
  return curve.name.startsWith("loss") || curve.name === "validation";
}

/** @param {any} curve */
function label(curve) {
  return curve.name === "validation" ? "validation (held-out data)" : words(curve.name);
}

/** @param {any} curve @param {number} index */
function legend(curve, index) {
  return h(
    "li",
    {},
    h("i", { class: curve.name === "validation" ? "held" : index ? "other" : "" }),
    label(curve),
    curve.trend ? " (each step, and smoothed)" : "",
  );
}

/** @param {HTMLElement} side @param {any} run */
function drawSide(side, run) {
  const settings = Object.entries(run.settings ?? {});
  const isOpen = (/** @type {string} */ name) => /** @type {HTMLDetailsElement | null} */ (side.querySelector(`details.${name}`))?.open;
  drawWithOutput(
    side,
    run.log_tail?.length && (run.failed || run.state !== "finished")
      ? h(
          "section",
          { class: "card" },
          h("h2", {}, ACTIVE.includes(run.state) ? "Its output" : "The end of its output"),
          outputOf(run.log_tail),
        )
      : null,
    reportCard(run, isOpen("said")),
    run.plan
      ? h(
          "section",
          { class: "card" },
          h("h2", {}, "Plan"),
          h(
            "ul",
            { class: "plain" },
            run.plan.map((/** @type {string} */ line) => h("li", {}, line)),
            settings.map(([name, value]) => h("li", {}, `${name} = ${value}`)),
          ),
          run.notes?.length
            ? h(
                "details",
                { class: "about", open: isOpen("about") },
                h("summary", {}, "About the data"),
                h(
                  "ul",
                  {},
                  run.notes.map((/** @type {string} */ note) => h("li", {}, note.replaceAll("`", ""))),
                ),
              )
            : null,
        )
      : null,
  );
}

/**
 * The report of a run, and what else can be measured.
 * @param {any} run
 * @param {boolean} [isOpen] whether the output of the last measuring is
 */
function reportCard(run, isOpen) {
  const buttons = measureButtons(run);
  if (!run.has_report && !buttons.length) return null;
  return h(
    "section",
    { class: "card" },
    h("h2", {}, "Report"),
    h("p", {}, "Close to your data? As varied? New? Each answer comes with the figure that decides it."),
    h(
      "div",
      { class: "actions" },
      run.has_report ? h("a", { class: "button", href: `#/report/${encodeURIComponent(run.id)}` }, "Open the report") : null,
      buttons,
    ),
    run.verb === "evaluate" && run.state === "finished" && !run.failed && run.log_tail?.length
      ? h(
          "details",
          { class: "said", open: isOpen },
          h("summary", {}, "What the last measuring said"),
          h("pre", { class: "words", tabindex: 0 }, run.log_tail.join("\n")),
        )
      : null,
  );
}

/** The page of a run's report. @param {HTMLElement} main @param {string} id */
export function showReport(main, id) {
  document.title = `Report of ${id} - Anew Studio`;
  const copies = h("section", { class: "card copies", hidden: true });
  const leaving = new AbortController();
  const page = h("div", {});
  const missing = (/** @type {string} */ text) => page.replaceWith(h("p", { class: "note wrong", role: "alert" }, text));
  replaceChildren(
    main,
    h("p", { class: "crumb" }, h("a", { href: "#/" }, "Runs"), " / ", h("a", { href: runAddress(id) }, id), " / report"),
    h("h1", { class: "above" }, "Report"),
    copies,
    page,
  );
  get("/api/copies", { run: id }, leaving.signal)
    .then((test) => {
      copies.hidden = !test.picture;
      if (test.picture) replaceChildren(copies, copiesView(test));
      if (test.has_report) page.append(reportFrame(address("/api/report", { run: id }), `Report of ${id}`));
      else missing("This run has no report yet. It is written at the end of the training.");
    })
    .catch((error) => {
      if (!leaving.signal.aborted) missing(error instanceof Refusal ? error.message : "The Studio cannot be reached.");
    });
  return () => leaving.abort();
}

/** @param {string} text */
function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
