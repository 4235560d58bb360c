// How a model works, shown on itself: a few sentences, a picture to play with, a question that the page answers.

import { criticView } from "./insight_critic.js";
import { mapView } from "./insight_map.js";
import { noiseView } from "./insight_noise.js";
import { fill, h } from "./dom.js";

const STORIES = {
  noise: {
    title: "From noise to a sample",
    text: ["It has learned one thing: to guess the clean item behind a noisy one.",
      "A sample starts as pure noise. At each step the model guesses what is behind it, and takes a little of the noise away.",
      "At first it can only guess an average; each step settles more detail."],
    question: "What if it took only two steps?",
    source: ["functional/ode.py", "the solver that takes the steps"],
    view: noiseView,
  },
  critic: {
    title: "The game of two networks",
    text: ["One network makes items, the other, the critic, tries to tell them from real ones.",
      "The critic says how real each item looks to it; the maker is changed in the direction that would fool it.",
      "When the critic is right half of the time, it only guesses: the maker has won."],
    question: "Which made item fools the critic best?",
    source: ["functional/adversarial.py", "the loss of both"],
    view: criticView,
  },
  map: {
    title: "A map of your data",
    text: ["One network writes each item down as a few numbers, its latents; another reads the item back from them.",
      "Items that are alike get latents that lie near each other, so the space can be walked through.",
      "What the latents do not hold is lost: what is read back is an average of all that would fit, and so it is softer."],
    question: "What lies between two of your items?",
    source: ["nets/autoencoder.py", "both networks"],
    view: mapView,
  },
};

/** @param {import("./play_view.js").Play} play @returns {HTMLElement} */
export function insightPanel(play) {
  const story = STORIES[/** @type {keyof STORIES} */ (play.about.insight)];
  const stage = h("div", {});
  const panel = h("div", { class: "insight" }, h("h2", {}, story.title),
    h("ol", { class: "story" }, story.text.map((sentence) => h("li", {}, sentence))), stage,
    h("p", { class: "hint" }, `In the source: anew/${story.source[0]}, ${story.source[1]}.`));
  fill(stage, story.view(play, story.question));
  return panel;
}
