// The tab How it works: an explanation, a view of the model itself, a question that the page answers, and the lines of source code.

import { get } from "./api.js";
import { Timelapse } from "./timelapse_view.js";
import { discriminatorView } from "./explanation_discriminator.js";
import { mapView } from "./explanation_map.js";
import { Moment } from "./explanation_moment.js";
import { noiseView } from "./explanation_noise.js";
import { sentenceView } from "./explanation_sentence.js";
import { h, replaceChildren } from "./dom.js";

const EXPLANATIONS = {
  sentence: {
    title: "Your own sentence",
    text: [
      "The model reads a text token by token and says, at each position, how likely every token is to come next.",
      "While it reads, its heads look back at earlier tokens; where it helps, the network's probabilities are mixed with counts of what followed the same words in your data.",
      "The next token is drawn with these probabilities, once temperature and cutoffs (top k, top p, min p) have changed them.",
    ],
    question: "What if temperature were 0?",
    sources: ["attention", "cutoffs"],
    view: sentenceView,
  },
  noise: {
    title: "From noise to a sample",
    text: [
      "The model has learned one thing: to guess the clean item behind a noisy one.",
      "A sample starts as a rough draft, drawn from what all your data have in common, under so much noise that it looks like noise alone.",
      "At each step the model guesses the clean item and removes a little of the noise. The first guesses are smooth and typical; each step adds detail.",
    ],
    question: "What if it took only two steps?",
    sources: ["noise"],
    view: noiseView,
  },
  discriminator: {
    title: "A game of two networks",
    text: [
      "One network, the generator, makes items; the other, the discriminator (also called the critic), tries to tell them from real ones.",
      "The discriminator says how real each item looks to it; the generator is changed in the direction that would fool it better.",
      "When the discriminator is right only half of the time, it is guessing: the generator has won.",
    ],
    question: "Which generated item fools the discriminator best?",
    sources: ["discriminator"],
    view: discriminatorView,
  },
  map: {
    title: "A map of your data",
    text: [
      "One network, the encoder, turns each item into a few numbers, its latents; another, the decoder, reconstructs the item from them.",
      "Items that are alike get latents that lie close together, so you can walk through the space between them.",
      "What the latents do not hold is lost: a reconstruction is an average of everything that would fit, and so it is softer.",
    ],
    question: "What lies between two of your items?",
    sources: ["map", "plane"],
    view: mapView,
  },
};

const BY_FAMILY = /** @type {Record<string, keyof typeof EXPLANATIONS>} */ ({
  transformer: "sentence",
  diffusion: "noise",
  gan: "discriminator",
  vae: "map",
});
const CODES = {
  title: "Items as rows of codes",
  text: [
    "A codec turns each item into a row of codes, much as a text is a row of letters.",
    "The network reads the codes one after another and says, at each position, how likely every code is to come next.",
    "A new item is drawn code by code with these probabilities; then the codec turns the row back into an item.",
  ],
};
const NO_VIEW = "A model of codes cannot be tried out in this view, so its earlier weights are not kept.";

/** The explanation of a model; null for an unknown family. @param {any} about */
export function explanationOf(about) {
  const explanation = EXPLANATIONS[/** @type {keyof typeof EXPLANATIONS} */ (about.explanation_view || BY_FAMILY[about.family])];
  if (!explanation || about.explanation_view) return explanation ?? null;
  // Views need text, or items that can be shown as images; for others there is the timelapse.
  return { ...explanation, ...(about.family === "transformer" && !about.prompts ? CODES : {}), view: null };
}

/** @param {import("./play_view.js").Play} play @returns {HTMLElement} */
export function explanationPanel(play) {
  const explanation = explanationOf(play.about);
  if (!explanation) throw new Error("there is no explanation of this family");
  const { view } = explanation;
  const stage = h("div", {});
  const answers = h("div", {});
  const moment =
    view &&
    new Moment(play, (asked) => {
      answers.style.minHeight = `${answers.offsetHeight}px`; // so that the timelapse's slider below does not move
      replaceChildren(answers, view(asked, explanation.question));
    });
  const timelapse = new Timelapse(play.id, play.signal, (step, isLast) => moment?.choose(step, isLast));
  const panel = h(
    "div",
    { class: "explanation" },
    h("h2", {}, explanation.title),
    h(
      "ol",
      { class: "explanation-text" },
      explanation.text.map((sentence) => h("li", {}, sentence)),
    ),
    stage,
    timelapse.element,
    explanation.sources.map(sourceLines),
  );
  if (moment) {
    replaceChildren(stage, moment.element, answers);
    moment.open();
  } else replaceChildren(stage, h("p", { class: "hint" }, `${NO_VIEW} The timelapse below shows how this model learned.`));
  timelapse.refresh().then(() => {
    if (!explanation.view && timelapse.element.hidden)
      replaceChildren(
        stage,
        h("p", { class: "hint" }, `${NO_VIEW} No timelapse was kept of this training: it was too short, or timelapse=false was set.`),
      );
  });
  return panel;
}

/** An excerpt of the source code, loaded when it is opened. @param {string} name */
export function sourceLines(name) {
  const code = h("pre", { class: "text source", tabindex: 0 });
  const title = h("summary", {}, "The lines that do it");
  const details = h(
    "details",
    {
      class: "source-box",
      ontoggle: async () => {
        if (!details.open || code.textContent) return;
        try {
          const { text } = await get("/api/source", { name });
          code.textContent = text;
        } catch (error) {
          code.textContent = /** @type {Error} */ (error).message;
        }
      },
    },
    title,
    code,
  );
  get("/api/source", { name })
    .then(({ file, line, name: function_ }) => {
      title.textContent = `The lines that do it: ${function_} in ${file}, from line ${line}`;
    })
    .catch(() => {});
  return details;
}
