// The copying test as a picture: samples from the most suspicious on, and the line that would have been an alarm.

import { count, h, s } from "./dom.js";
import { sourceLines } from "./insight_panel.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [720, 300, 52, 40, 14];

/** @param {any} test `copies` of a report */
export function copiesView(test) {
  const { ranks, shares, line, expected, planted, planted_rate: rate } = test.picture;
  const [first, last] = [Math.log(ranks[0]), Math.log(ranks[ranks.length - 1])];
  const x = (/** @type {number} */ rank) => LEFT + ((Math.log(rank) - first) / Math.max(1e-9, last - first)) * (WIDTH - LEFT - 12);
  const low = Math.max(0, Math.min(expected, ...shares) - 0.08);
  const y = (/** @type {number} */ share) => TOP + ((1 - share) / (1 - low)) * (HEIGHT - TOP - BOTTOM);
  const path = (/** @type {number[]} */ values) => values.map((value, place) => `${x(ranks[place]).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const crossed = shares.findIndex((/** @type {number} */ share, /** @type {number} */ place) => share >= line[place]);
  const said = crossed < 0
    ? `The curve stays below the line for all ${count(ranks[ranks.length - 1])} samples.`
    : `The curve crosses the line at the ${count(ranks[crossed])} most suspicious samples.`;
  const svg = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "copies-chart", role: "img", "aria-label": `${test.verdict} ${said}` });
  for (const share of [low, expected, 1]) {
    svg.append(s("line", { class: "axis", x1: LEFT, x2: WIDTH - 12, y1: y(share), y2: y(share) }), s("text", { x: LEFT - 6, y: y(share) + 4, "text-anchor": "end" }, `${Math.round(100 * share)}%`));
  }
  for (const [rank, anchor] of [[ranks[0], "start"], [ranks[ranks.length - 1], "end"]]) svg.append(s("text", { x: x(rank), y: HEIGHT - 20, "text-anchor": anchor }, count(rank)));
  svg.append(s("text", { x: WIDTH / 2, y: HEIGHT - 4, "text-anchor": "middle" }, "number of samples, the most suspicious first"));
  svg.append(s("polyline", { class: "alarm", points: path(line) }));
  if (planted) svg.append(s("polyline", { class: "planted", points: path(planted) }));
  svg.append(s("polyline", { class: "samples", points: path(shares) }));
  return h("div", {}, h("h2", {}, "The copying test"), h("p", {}, test.verdict),
    h("ol", { class: "story" }, [
      "For each sample, the nearest of your items is found, among those that the model was trained on and those that were held out.",
      `If nothing were copied, ${Math.round(100 * expected)}% of the nearest items would be training items, as that is their share of all; the samples that lie closest are looked at first.`,
      "The line is the alarm: by chance alone, one test in a hundred reaches it anywhere.",
    ].map((sentence) => h("li", {}, sentence))),
    h("ul", { class: "legend" }, h("li", {}, h("i", { class: "samples" }), "share that is nearest to a training item"), h("li", {}, h("i", { class: "alarm" }), "the alarm"),
      planted ? h("li", {}, h("i", { class: "planted" }), `the same with ${(100 * rate).toLocaleString("en-US", { maximumFractionDigits: 1 })}% copies planted on purpose`) : null),
    svg, h("p", { class: "hint" }, said, planted ? " The planted copies show what copying would look like." : ""), sourceLines("copies"));
}
