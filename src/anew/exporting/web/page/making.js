// New samples, which show as they form.

import { $, number, say, slider } from "./elements.js";
import { Sample, saveAll } from "./samples.js";

const SHORT = 40; // characters of a text that many stand side by side of

// Sliders of how tokens are chosen; gives the settings. step: the program's step of tokens.
export function tokenSliders(step, place, changed = () => {}) {
  const temperature = slider("Temperature", { min: 0, max: 2, step: 0.05, value: step.temperature }, (value) => (value ? value.toFixed(2) : "0, always the most probable"));
  const most = Math.min(100, step.vocab);
  const start = step.top_k && step.top_k < most ? step.top_k : most;
  const top = slider("Choose among", { min: 1, max: most, step: 1, value: start }, (value) => (value === most ? "all tokens" : `${value} token${value > 1 ? "s" : ""}`));
  place.append(temperature.field, top.field);
  place.hidden = false;
  for (const { input } of [temperature, top]) input.addEventListener("change", changed);
  return () => ({ temperature: temperature.value(), top_k: top.value() === most ? 0 : top.value() });
}

export class Making {
  constructor(program, client) {
    this.program = program;
    this.client = client;
    this.samples = [];
    this.made = null; // what was asked for last
    const { item, labels, steps } = program;
    this.step = item.kind === "text" ? steps.find((step) => step.step === "tokens") : null;
    $("grid").classList.toggle("texts", item.kind === "text");
    $("grid").classList.toggle("sounds", item.kind === "sound");
    $("count").value = item.kind === "text" ? (item.packed ? 2 : 24) : item.kind === "sound" ? 4 : item.kind === "clip" ? 4 : 12;
    if (labels) {
      $("label").append(new Option("any", ""), ...labels.names.map((name, i) => new Option(name, i)));
      $("label-field").hidden = false;
    }
    if (this.step) this.settings = tokenSliders(this.step, $("make-sliders"));
    $("make-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.make();
    });
    $("stop").addEventListener("click", () => this.request?.cancel());
    $("save-all").addEventListener("click", () => saveAll(this.samples, item, this.seed));
  }

  get label() {
    return this.program.labels && $("label").value !== "" ? Number($("label").value) : null;
  }

  async make() {
    this.request?.cancel();
    const asked = { n: number("count"), seed: number("seed"), label: this.label, settings: this.settings?.() ?? {} };
    // Asked for the same once more, new ones are meant.
    if (this.made === JSON.stringify(asked)) $("seed").value = asked.seed = asked.seed + 1;
    this.made = JSON.stringify(asked);
    this.seed = asked.seed;
    const { item } = this.program;
    const samples = Array.from({ length: asked.n }, (_, index) => new Sample(item, index, asked.seed));
    this.samples = samples;
    $("grid").replaceChildren();
    $("stop").hidden = false;
    $("save-all").hidden = true;
    const started = performance.now();
    let first = null;
    const request = this.client.ask("sample", asked, ({ index, items, isLast, progress }) => {
      if (this.request !== request) return;
      items.forEach((content, i) => {
        const sample = samples[index + i];
        if (!sample.root.isConnected) $("grid").append(sample.root);
        sample.show(content, isLast);
      });
      if (isLast && first === null && item.kind === "text") $("grid").classList.toggle("short", items[0].text.length < SHORT);
      if (isLast) first ??= performance.now() - started;
      this.progress((index + items.length * (isLast ? 1 : progress)) / asked.n, isLast ? index + items.length : index, asked.n);
    });
    this.request = request;
    try {
      const { made } = await request.promise;
      if (this.request !== request) return;
      const seconds = (performance.now() - started) / 1000;
      document.body.dataset.first = first ?? "";
      say("status", `${made} made in ${seconds.toFixed(1)} s, on this device. Seed ${asked.seed}.`);
    } catch (error) {
      say("status", `This browser cannot run the model (${error.message}).`, true);
    }
    $("stop").hidden = true;
    $("save-all").hidden = samples.every((sample) => sample.save.hidden);
    document.body.dataset.state = "made";
  }

  progress(share, made, n) {
    $("bar").firstElementChild.style.width = `${100 * share}%`;
    $("bar").setAttribute("aria-valuenow", Math.round(100 * share));
    say("status", share < 1 ? `${made} of ${n} made…` : "");
  }
}
