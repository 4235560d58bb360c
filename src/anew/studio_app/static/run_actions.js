// The buttons of a run, which depend on its state.

import { get, post, Refusal } from "./api.js";
import { busy, confirmed, h, showToast } from "./dom.js";
import { FAMILIES } from "./families.js";
import { formDialog } from "./form_dialog.js";
import { newAddress } from "./reading.js";
import { ACTIVE, runAddress } from "./runs_view.js";

const GONE = 404;
const POLL_MS = 500; // between checks whether it has ended

/** @param {any} run */
export function actions(run) {
  const id = run.id;
  const ask = async (/** @type {string} */ path, /** @type {object} */ body, /** @type {string} */ done) => {
    try {
      await post(path, body);
      showToast(done);
      return true;
    } catch (error) {
      showToast(/** @type {Error} */ (error).message);
      return false;
    }
  };
  const button = (/** @type {string} */ text, /** @type {() => any} */ action, look = "") => {
    // While it is busy, a second click starts nothing
    const element = h("button", { type: "button", class: look, onclick: () => busy(element, text, action) }, text);
    return element;
  };
  const leave = () => {
    // Another page may have been opened meanwhile
    if (location.hash === runAddress(id)) location.hash = "#/";
  };
  const discard = async () => {
    if (
      !(await confirmed(`Discard ${run.name}?`, "The run folder is deleted with all that was learned in it. Your data stays.", "Discard"))
    )
      return;
    if (await ask("/api/discard", { run: id }, "Discarded.")) leave();
  };
  const stopAndDiscard = async () => {
    if (
      !(await confirmed(
        `Stop ${run.name} and discard it?`,
        "The training stops, and the run folder is deleted with all that was learned in it. Your data stays.",
        "Stop and discard",
      ))
    )
      return;
    if (!(await ask("/api/stop", { run: id }, "Stopping; it is discarded when it has ended."))) return;
    try {
      while (ACTIVE.includes((await get("/api/run", { run: id })).state)) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    } catch (error) {
      // a run that had not begun is gone by itself
      if (!(error instanceof Refusal && error.status === GONE)) return showToast(/** @type {Error} */ (error).message);
    }
    if (await ask("/api/discard", { run: id }, "Discarded.")) leave();
  };
  const list = [];
  const isOurs = run.job_state === "running" || run.job_state === "queued";
  const isActive = ACTIVE.includes(run.state);
  const mayRun = !run.has_own_code; // the Studio runs no code of a run
  if (canPlay(run)) {
    list.push(h("a", { class: "button main", href: `#/play/${encodeURIComponent(id)}` }, "Play"));
  }
  if (canPlay(run) && run.family in FAMILIES) {
    list.push(h("a", { class: "button", href: `#/play/${encodeURIComponent(id)}/explanation` }, "How it works"));
  }
  // The training of such a run has ended, and it is measured once more
  const isMeasured = run.verb === "evaluate";
  if (isActive && isOurs && isMeasured)
    list.push(button("Stop measuring", () => ask("/api/stop", { run: id }, "It stops; the report has what was measured by then.")));
  if (isActive && isOurs && !isMeasured)
    list.push(button("Pause", () => ask("/api/stop", { run: id }, "Saving; it stops after this step.")));
  if (isActive && isOurs && !isMeasured) list.push(button("Stop and discard", stopAndDiscard, "bad"));
  if (run.state === "queued")
    list.push(
      button("Remove from the queue", () =>
        ask("/api/stop", { run: id }, "Removed from the queue.").then((done) => {
          if (done && !run.has_weights) location.hash = "#/";
        }),
      ),
    );
  const isThere = run.has_weights !== undefined; // a command that failed at once leaves no run
  if (mayRun && ["paused", "stopped", "failed"].includes(run.state) && isThere)
    list.push(button("Resume", () => ask("/api/resume", { run: id }, "It continues.")));
  if (mayRun && run.state === "finished") list.push(button("More time", () => moreTime(run)));
  if (mayRun && ["finished", "paused", "stopped"].includes(run.state) && run.step !== undefined) {
    // it has a plan
    list.push(
      button("Another seed", () =>
        ask("/api/again", { run: id, seed: run.seed + 1 }, "The same training with another seed is in the queue.").then((done) => {
          if (done) location.hash = "#/";
        }),
      ),
    );
  }
  if (run.state === "failed" && run.reading)
    list.push(
      h(
        "a",
        {
          class: "button main",
          href: newAddress(run.reading.data, { modality: run.modality, settings: new Map(Object.entries(run.reading.settings)) }),
        },
        "Change and start again",
      ),
    );
  if (!isActive && run.state !== "queued") list.push(button("Discard", discard, "bad"));
  return h("div", { class: "actions" }, list);
}

/** Whether the page Play can load a run. @param {any} run */
export function canPlay(run) {
  return run.has_weights && !run.has_own_code && !["preparing", "damaged"].includes(run.state);
}

/** Ask for the additional time, and resume the run. @param {any} run */
function moreTime(run) {
  const time = h("input", { id: "more", value: "5m", autocomplete: "off" });
  formDialog({
    title: "More time",
    text:
      "Training goes on from the point before its final phase. If that does not improve it, the present weights stay. " +
      "The run is then measured again.",
    fields: [h("label", { for: "more" }, "Additional time, such as 60s, 10m or 2h"), time],
    first: time,
    verb: "Continue",
    send: () => post("/api/resume", { run: run.id, budget: time.value }),
    done: "It continues.",
  });
}
