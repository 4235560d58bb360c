// The page of a comparison, or of a report on samples of another tool: its log while it runs, then its result.

import { address, get, onChange, post } from "./api.js";
import { asSentence, busy, confirmed, drawWithOutput, h, outputOf, replaceChildren, reportFrame, showToast } from "./dom.js";
import { answers, badge, throttled } from "./runs_view.js";

/** @param {HTMLElement} main @param {string} id */
export function showComparison(main, id) {
  document.title = `${id.split("/").pop()} - Anew Studio`;
  let shownState = "";
  const load = async () => {
    try {
      const value = await get("/api/comparison", { id });
      if (shownState === "finished") return;
      shownState = value.state;
      drawWithOutput(
        main,
        h("p", { class: "crumb" }, h("a", { href: "#/" }, "Runs"), ` / ${id}`),
        h("div", { class: "head" }, h("h1", {}, value.name), badge(value.state), h("span", { class: "grow" }), buttons(value)),
        h("p", { class: "sub" }, value.of),
        value.state === "failed" && value.error_sentence
          ? h("p", { class: "note wrong apart", role: "alert" }, asSentence(value.error_sentence))
          : null,
        value.state === "measuring" ? h("progress", { "aria-label": "Measuring" }) : null,
        value.state === "finished"
          ? [gradesTable(value.runs), reportFrame(address("/api/comparison/page", { id }), value.of)]
          : h(
              "section",
              { class: "card" },
              h("h2", {}, value.state === "queued" ? "Waiting" : value.state === "measuring" ? "Its output" : "The end of its output"),
              outputOf(
                value.log_tail,
                value.state === "queued" ? "It starts when the commands before it in the queue have ended." : "It said nothing yet.",
              ),
            ),
      );
    } catch (error) {
      replaceChildren(main, h("h1", {}, id), h("p", { class: "note wrong" }, /** @type {Error} */ (error).message));
    }
  };
  load();
  const later = throttled(load, 1000);
  return onChange((names) => {
    if (!names || names.includes(id)) later();
  });
}

/** The three answers of each run's report. @param {any[]} runs */
function gradesTable(runs) {
  const measured = runs.filter(({ grades }) => Object.keys(grades).length);
  return measured.length
    ? h(
        "section",
        { class: "card" },
        h("h2", {}, "What the report of each run says"),
        h(
          "ul",
          { class: "plain" },
          measured.map(({ id, name, grades }) =>
            h("li", {}, h("a", { href: `#/report/${encodeURIComponent(id)}` }, name), `: ${answers(grades)}`),
          ),
        ),
      )
    : null;
}

/** @param {any} value */
function buttons(value) {
  if (value.state === "queued" || value.state === "measuring") return stopButton(value);
  return [value.state === "finished" ? null : againButton(value), discardButton(value)];
}

/** @param {string} text @param {() => any} action @param {string} [look] */
function button(text, action, look = "") {
  const element = h(
    "button",
    {
      type: "button",
      class: look,
      onclick: () =>
        busy(element, text, async () => {
          try {
            await action();
          } catch (error) {
            showToast(/** @type {Error} */ (error).message);
          }
        }),
    },
    text,
  );
  return element;
}

/** @param {any} value */
function againButton({ id }) {
  return button("Try again", async () => {
    await post("/api/comparison/again", { run: id });
    showToast("It begins again, as soon as the commands before it have ended.");
  });
}

/** @param {any} value */
function discardButton({ id, name }) {
  return button(
    "Discard",
    async () => {
      if (!(await confirmed(`Discard ${name}?`, "Its folder is deleted, with the report in it. The runs and your data stay.", "Discard")))
        return;
      await post("/api/comparison/discard", { run: id });
      showToast("Discarded.");
      location.hash = "#/";
    },
    "bad",
  );
}

/** @param {any} value */
function stopButton({ id, state }) {
  const text = state === "queued" ? "Remove from the queue" : "Stop";
  return button(text, async () => {
    await post("/api/stop", { run: id });
    if (state === "queued") location.hash = "#/";
    showToast(state === "queued" ? "Removed from the queue." : "It stops.");
  });
}
