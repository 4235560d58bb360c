// The list of runs, from which runs can be chosen for a comparison.

import { address, get, getText, onChange, post, Refusal } from "./api.js";
import { originDrop } from "./origin_drop.js";
import { clock, count, h, keepFocus, replaceChildren, words } from "./dom.js";
import { familyTitle } from "./families.js";

export const ACTIVE = ["training", "preparing", "measuring"];
const WRONG = ["failed", "damaged", "stopped"];
const ANSWERS = {
  good: "yes",
  fair: "partly",
  poor: "no",
  too_few: "too few to tell",
  not_settled: "not settled",
  not_measured: "not measured",
};
const QUESTIONS = { closeness: "Close to your data?", variety: "As varied?", novelty: "New?" }; // as in core/wording.py
const KINDS = /** @type {Record<string, string>} */ ({
  image: "images",
  audio: "sound",
  video: "clips",
  protein: "proteins",
  molecule: "molecules",
});

/** @param {string} state */
export function badge(state) {
  const look = ACTIVE.includes(state) ? "active" : WRONG.includes(state) ? "wrong" : "";
  return h("span", { class: `badge ${look}` }, state);
}

/** The address of a run's page. @param {string} id */
export function runAddress(id) {
  return `#/run/${encodeURIComponent(id)}`;
}

/**
 * The share of a training that is done: of its time, with that of the report, so that a bar agrees with the time left; or of its steps.
 * @param {any} run
 */
export function doneShare({ progress, seconds, seconds_left: left }) {
  return seconds && Number.isFinite(left) ? seconds / (seconds + left) : (progress ?? 0);
}

/** The three grades, in the same order for each run. @param {Record<string, string> | undefined} grades @returns {[string, string][]} */
function orderedGrades(grades) {
  const index = (/** @type {string} */ name) => [...Object.keys(QUESTIONS), name].indexOf(name);
  return Object.entries(grades ?? {}).sort(([one], [other]) => index(one) - index(other));
}

/** The three answers in a line. @param {Record<string, string>} grades */
export function answers(grades) {
  return orderedGrades(grades)
    .map(
      ([name, grade]) =>
        `${QUESTIONS[/** @type {keyof typeof QUESTIONS} */ (name)] ?? words(name)} ${ANSWERS[/** @type {keyof typeof ANSWERS} */ (grade)] ?? grade}`,
    )
    .join(" · ");
}

/** The three answers, each a link to the report that says why. @param {any} run */
export function answerList(run) {
  const grades = orderedGrades(run.grades);
  return grades.length
    ? h(
        "ul",
        { class: "answers" },
        grades.map(([name, grade]) =>
          h(
            "li",
            { class: grade },
            h(
              "a",
              { href: `#/report/${encodeURIComponent(run.id)}` },
              `${QUESTIONS[/** @type {keyof typeof QUESTIONS} */ (name)] ?? words(name)} `,
              h("strong", {}, ANSWERS[/** @type {keyof typeof ANSWERS} */ (grade)] ?? grade),
            ),
          ),
        ),
      )
    : null;
}

/** @param {any} run @returns {string} */
function facts(run) {
  const parts = [
    familyTitle(run.described_family ?? run.family ?? ""),
    KINDS[run.modality] ?? run.modality,
    run.data && `from ${run.data}`,
  ];
  return parts.filter(Boolean).join(" · ");
}

/** @param {any} run */
function thumbnail(run) {
  if (!run.sheet)
    return h(
      "div",
      { class: "thumb" },
      h("span", { class: "none" }, run.state === "queued" ? "waiting" : run.state === "failed" ? "no samples" : "no samples yet"),
    );
  const query = { run: run.id, file: run.sheet, at: Math.floor(run.changed ?? 0) };
  if (run.sheet.endsWith(".png")) {
    return h("div", { class: "thumb" }, h("img", { src: address("/api/sheet", query), alt: "", loading: "lazy" }));
  }
  const text = h("pre", {});
  getText("/api/sheet", query)
    .then((all) => {
      text.textContent = all.slice(0, 600);
    })
    .catch(() => {});
  return h("div", { class: "thumb", "aria-hidden": "true" }, text);
}

/** @param {any} run @param {Set<string>} picked @param {() => void} onPick */
function tile(run, picked, onPick) {
  const working = ACTIVE.includes(run.state);
  const pick = h(
    "label",
    { class: "pick" },
    h("input", {
      type: "checkbox",
      checked: picked.has(run.id),
      "aria-label": `Compare ${run.name}`,
      onchange: (/** @type {Event} */ event) => {
        if (/** @type {HTMLInputElement} */ (event.target).checked) picked.add(run.id);
        else picked.delete(run.id);
        onPick();
      },
    }),
    "compare",
  );
  return h(
    "article",
    { class: "card tile" },
    h(
      "a",
      { href: runAddress(run.id) },
      thumbnail(run),
      h(
        "div",
        { class: "body" },
        h("h2", {}, run.name),
        h("p", { class: "facts" }, facts(run)),
        h(
          "p",
          { class: "facts state" },
          badge(run.state),
          run.state === "training"
            ? `step ${count(run.step)}${run.seconds_left !== null ? `, about ${clock(run.seconds_left)} left` : ""}`
            : answers(run.grades),
        ),
        working
          ? h("progress", { max: 1, value: run.state === "training" ? doneShare(run) : undefined, "aria-label": `Progress of ${run.name}` })
          : null,
      ),
    ),
    run.state === "finished" && !run.has_own_code ? pick : null,
  );
}

/** @param {HTMLElement} main */
export function showRuns(main) {
  document.title = "Runs - Anew Studio";
  /** @type {Set<string>} */
  const picked = new Set();
  const tiles = h("div", { class: "tiles" });
  const comparisons = h("section", { class: "comparisons" });
  const title = h("p", { class: "sub" });
  const compare = h("button", { type: "button", hidden: true, onclick: () => begin() }, "Compare these");
  const onPick = () => {
    compare.hidden = !picked.size;
    compare.disabled = picked.size < 2;
    compare.textContent = compare.disabled ? "Choose another to compare" : `Compare these ${picked.size}`;
    problem.hidden = true;
  };
  const problem = h("p", { class: "note wrong", role: "alert", hidden: true });
  const begin = async () => {
    try {
      const { id } = await post("/api/compare", { runs: [...picked] });
      location.hash = `#/compare/${encodeURIComponent(id)}`;
    } catch (error) {
      problem.textContent = /** @type {Error} */ (error).message;
      problem.hidden = false;
      scrollTo(0, 0);
    }
  };
  replaceChildren(
    main,
    h(
      "div",
      { class: "head" },
      h("h1", {}, "Runs"),
      h("span", { class: "grow" }),
      compare,
      h("a", { class: "button main", href: "#/new" }, "New run"),
    ),
    title,
    problem,
    tiles,
    comparisons,
    originDrop(),
  );
  let isFirst = true;
  /** @type {Map<string, {summary: string, element: HTMLElement}>} tiles by run: a tile is drawn again only if its run changed */
  let drawn = new Map();
  const tileOf = (/** @type {any} */ run) => {
    const [summary, before] = [JSON.stringify(run), drawn.get(run.id)];
    return before?.summary === summary ? before : { summary, element: tile(run, picked, onPick) };
  };
  const load = async () => {
    try {
      const { folder, first, runs, comparisons: all } = await get("/api/runs");
      if (isFirst && first.length === 1 && !sessionStorage.getItem("opened")) {
        sessionStorage.setItem("opened", "yes");
        location.hash = runAddress(first[0]);
        return;
      }
      isFirst = false;
      const atWork = runs.filter((/** @type {any} */ run) => ACTIVE.includes(run.state)).length;
      const waiting = runs.filter((/** @type {any} */ run) => run.state === "queued").length;
      title.textContent = `${count(runs.length)} in the folder ${folder}${atWork ? `, ${atWork} at work` : ""}${waiting ? `, ${waiting} waiting` : ""}`;
      replaceChildren(
        comparisons,
        all.length
          ? [
              h("h2", {}, "Comparisons and other reports"),
              h(
                "ul",
                { class: "plain" },
                all.map((/** @type {any} */ entry) =>
                  h(
                    "li",
                    {},
                    h("a", { href: `#/compare/${encodeURIComponent(entry.id)}` }, entry.name),
                    ` of ${entry.of} `,
                    badge(entry.state),
                  ),
                ),
              ),
            ]
          : [],
      );
      if (runs.length) {
        drawn = new Map(runs.map((/** @type {any} */ run) => [run.id, tileOf(run)]));
        const wanted = [...drawn.values()].map(({ element }) => element);
        if (wanted.length !== tiles.children.length || wanted.some((element, index) => element !== tiles.children[index])) {
          keepFocus(tiles, () => tiles.replaceChildren(...wanted));
        }
      } else {
        replaceChildren(
          tiles,
          h(
            "div",
            { class: "card" },
            h("h2", {}, "Nothing here yet"),
            h("p", {}, "Give Anew some files of yours, or one of its examples, and watch it learn to make more of the same kind."),
            h("a", { class: "button main", href: "#/new" }, "Choose data"),
          ),
        );
      }
    } catch (error) {
      if (error instanceof Refusal) replaceChildren(tiles, h("p", { class: "note wrong" }, error.message));
    }
  };
  load();
  return onChange(throttled(load, 1000));
}

/**
 * A function that calls `action` at most once in `ms` milliseconds, and once more after the last call.
 * @param {() => unknown} action
 * @param {number} ms
 * @returns {() => void}
 */
export function throttled(action, ms) {
  let due = 0;
  /** @type {number | undefined} */
  let timer;
  return () => {
    clearTimeout(timer);
    const wait = Math.max(0, due - Date.now());
    timer = window.setTimeout(() => {
      due = Date.now() + ms;
      action();
    }, wait);
  };
}
