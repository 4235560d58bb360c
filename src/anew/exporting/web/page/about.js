// The tab About: what the model is, and what was measured.

import { $, element } from "./elements.js";

const FAMILIES = { gan: "A GAN", vae: "A VAE", diffusion: "A diffusion model", transformer: "A Transformer" };

const LEGEND =
  "The figures of the run, measured on held-out data. Real data: training items, measured as if they were samples. Naive: a generator that knows next to nothing.";

export function describe({ about, item }) {
  const { name, family, makes, data, parameters } = about;
  document.title = `${name}, made with Anew`;
  const description = FAMILIES[family] ?? "A model";
  $("eyebrow").textContent = `${description} for ${makes}`;
  $("name").textContent = name;
  const generates = about.may_repeat
    ? `generates ${makes} here, some of which may be copies of training records`
    : `generates new ${makes} here`;
  $("lede").textContent = `It was trained from scratch on ${data}, and ${generates}. Nothing leaves your device.`;
  $("alone").textContent = about.alone;
  $("alone").hidden = !about.alone;
  const list = (lines) => element("ul", {}, ...lines.map((line) => element("li", {}, line)));
  const parts = [
    element("h2", {}, "What it is"),
    element(
      "p",
      { class: "explained" },
      `${description} with ${parameters.toLocaleString("en")} parameters, which were learned from ${data} alone. It knows what is in that data, with its faults, and nothing else.`,
    ),
    element("h2", {}, "How good it is"),
  ];
  if (about.whole_run && about.answers.length) parts.push(element("p", { class: "explained" }, about.whole_run));
  const answers = about.answers.map(([question, answer]) =>
    element("li", {}, question && element("strong", {}, `${question} `), answer.replaceAll("`", "")),
  );
  parts.push(answers.length ? element("ul", {}, ...answers) : element("p", {}, "Nothing was measured."));
  if (about.scores.length) parts.push(element("p", { class: "explained" }, LEGEND), table(about.scores));
  parts.push(element("h2", {}, "What differs from the run"), list(about.differences));
  if (item.kind === "text") parts.push(element("p", { class: "quiet" }, "A token is a character or a piece of a word."));
  $("panel-about").append(...parts);
}

function table(scores) {
  const head = ["Figure", "value", "real data", "naive"].map((title) => element("th", { scope: "col" }, title));
  const rows = scores.map((cells) =>
    element("tr", {}, ...cells.map((cell, i) => (i ? element("td", {}, cell) : element("th", { scope: "row" }, cell)))),
  );
  return element(
    "div",
    { class: "scroll" },
    element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)),
  );
}
