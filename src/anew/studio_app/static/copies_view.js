// The chart of the copying test: samples, the most suspicious first, and the line above which there is an alarm.

import { count, h, replaceChildren, s } from "./dom.js";
import { sourceLines } from "./explanation_panel.js";

const [HEIGHT, LEFT, RIGHT, BOTTOM, TOP] = [300, 44, 12, 40, 14];
const [ALPHA, CONTROL_ALPHA, DETECTION_POWER] = [0.01, 0.001, 0.9]; // of evaluation/memorization/thresholds.py
// Largest and least width of the chart in pixels. It is not scaled, so that its text can be read on a phone.
const [WIDE, NARROW] = [860, 240];

/** A sentence without the backticks around commands. @param {string} sentence */
function plain(sentence) {
  return sentence.replaceAll("`", "");
}

/** Why a curve that crosses the line is not a finding, as part of a sentence. @param {any} test */
function excuse({ control_p: control, reference_p: reference }) {
  if (typeof control === "number" && control <= CONTROL_ALPHA)
    return "so does that of held-out items in the samples' place, so it says nothing here";
  if (typeof reference === "number" && reference > ALPHA)
    return "the samples are no closer to your items than your items are to each other: the model leans to what it learned, and that is not copying";
  return "by too little to count, as this is one of several tests";
}

/** What is said of copies that were planted on purpose. @param {any} test */
function plantedWords({ picture, controls }) {
  if (picture.planted) return " The planted copies show what copying would look like.";
  const caught = (controls ?? []).some((/** @type {any} */ control) => control.variant === "exact" && control.caught >= DETECTION_POWER);
  return caught
    ? " Copies that were planted on purpose were caught by another test, which counts close matches, so they have no curve here."
    : "";
}

/** The chart, and its description in a sentence. @param {any} test @param {number} width @returns {[SVGElement, string]} */
function chart(test, width) {
  const { ranks, shares, line, expected, planted } = test.picture;
  const [first, last] = [Math.log(ranks[0]), Math.log(ranks[ranks.length - 1])];
  const x = (/** @type {number} */ rank) => LEFT + ((Math.log(rank) - first) / Math.max(1e-9, last - first)) * (width - LEFT - RIGHT);
  const low = Math.max(0, Math.min(expected, ...shares) - 0.08);
  const y = (/** @type {number} */ share) => TOP + ((1 - share) / (1 - low)) * (HEIGHT - TOP - BOTTOM);
  const path = (/** @type {number[]} */ values) =>
    values.map((value, index) => `${x(ranks[index]).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const all = ranks[ranks.length - 1];
  const tested = test.picture.tested ?? all; // missing in reports of older versions
  const within = ranks.filter((/** @type {number} */ rank) => rank <= tested).length;
  const crossed = shares.findIndex(
    (/** @type {number} */ share, /** @type {number} */ index) => index < within && line[index] < 1 && share >= line[index],
  );
  const onlyTested = `the ${count(tested)} samples that are tested: those that lie closer to one of your items than your items lie to each other`;
  const summary = !within
    ? `Only ${count(tested)} of ${count(all)} samples lie closer to one of your items than your items lie to each other: too few for an alarm.`
    : crossed < 0
      ? `The curve stays below the line for ${within < ranks.length ? onlyTested : `all ${count(all)} samples`}.`
      : `The curve crosses the line at the ${count(ranks[crossed])} most suspicious samples${test.detected === false ? `, but ${excuse(test)}` : ""}.`;
  const svg = s("svg", {
    viewBox: `0 0 ${width} ${HEIGHT}`,
    class: "copies-chart",
    role: "img",
    "aria-label": `${plain(test.verdict)} ${summary}`,
  });
  for (const share of [low, expected, 1]) {
    svg.append(
      s("line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: y(share), y2: y(share) }),
      s("text", { x: LEFT - 6, y: y(share) + 4, "text-anchor": "end" }, `${Math.round(100 * share)}%`),
    );
  }
  for (const [rank, anchor] of [
    [ranks[0], "start"],
    [ranks[ranks.length - 1], "end"],
  ])
    svg.append(s("text", { x: x(rank), y: HEIGHT - 20, "text-anchor": anchor }, count(rank)));
  svg.append(s("text", { x: width / 2, y: HEIGHT - 4, "text-anchor": "middle" }, "number of samples, the most suspicious first"));
  svg.append(s("polyline", { class: "alarm", points: path(line.slice(0, within)) }));
  if (planted) svg.append(s("polyline", { class: "planted", points: path(planted) }));
  svg.append(
    s("polyline", { class: "samples", points: path(shares.slice(0, within)) }),
    s("polyline", {
      class: "samples untested",
      points: path(shares)
        .split(" ")
        .slice(Math.max(0, within - 1))
        .join(" "),
    }),
  );
  return [svg, summary];
}

/** @param {any} test `copies` of a report */
export function copiesView(test) {
  const { expected, planted, planted_rate: rate } = test.picture;
  const [, summary] = chart(test, WIDE);
  const box = h("div", {});
  let drawn = 0;
  new ResizeObserver(() => {
    const width = Math.max(NARROW, Math.min(WIDE, box.clientWidth));
    if (width === drawn) return;
    drawn = width;
    replaceChildren(box, chart(test, width)[0]);
  }).observe(box);
  return h(
    "div",
    {},
    h("h2", {}, "The copying test"),
    h("p", {}, plain(test.verdict)),
    h(
      "ol",
      { class: "explanation-text" },
      [
        "For each sample, the nearest of your items is found, among those that the model was trained on and those that were held out.",
        `If nothing were copied, ${Math.round(100 * expected)}% of the nearest items would be training items, as that is their share of all; the samples that lie closest are looked at first.`,
        "The line is the alarm: by chance alone, one test in a hundred (of texts, in two hundred) reaches it anywhere.",
      ].map((sentence) => h("li", {}, sentence)),
    ),
    h(
      "ul",
      { class: "legend" },
      h("li", {}, h("i", { class: "samples" }), "share that is nearest to a training item"),
      h("li", {}, h("i", { class: "alarm" }), "the alarm"),
      planted
        ? h(
            "li",
            {},
            h("i", { class: "planted" }),
            `these samples with ${(100 * rate).toLocaleString("en-US", { maximumFractionDigits: 1 })}% copies planted on purpose`,
          )
        : null,
    ),
    box,
    h("p", { class: "hint" }, summary, plantedWords(test)),
    sourceLines("copies"),
  );
}
