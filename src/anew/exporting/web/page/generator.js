// The tab Generate: new samples, shown while they form.

import { Latest } from "./client.js";
import { $, number, reporter, say, slider } from "./elements.js";
import { Sample, saveAll } from "./samples.js";

const SHORT = 40; // characters of texts below which many are shown side by side

// Add sliders for the choice of tokens. Returns a function that gives their settings. step: the program's step `tokens`.
export function tokenSliders(step, container, changed = () => {}) {
  const temperature = slider("Temperature", { min: 0, max: 2, step: 0.05, value: step.temperature }, (value) =>
    value ? value.toFixed(2) : "0, always the most probable",
  );
  const maxTop = Math.min(100, step.vocab);
  const start = step.top_k && step.top_k < maxTop ? step.top_k : maxTop;
  const top = slider("Choose among", { min: 1, max: maxTop, step: 1, value: start }, (value) =>
    value === maxTop ? "all tokens" : `${value} token${value > 1 ? "s" : ""}`,
  );
  container.append(temperature.field, top.field);
  container.hidden = false;
  for (const { input } of [temperature, top]) input.addEventListener("change", changed);
  return () => ({ temperature: temperature.value(), top_k: top.value() === maxTop ? 0 : top.value() });
}

export class Generator {
  constructor(program, client) {
    this.program = program;
    this.samples = [];
    this.seed = number("seed"); // of these samples
    this.latest = new Latest(client, (message) => {
      reporter("status")(message);
      this.end();
    });
    this.lastRequest = null; // as JSON
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
    $("stop").addEventListener("click", () => this.latest.cancel());
    $("save-all").addEventListener("click", () => saveAll(this.samples, item, this.seed));
  }

  get label() {
    return this.program.labels && $("label").value !== "" ? Number($("label").value) : null;
  }

  // What class a text has. label: its class; null without classes.
  classNote(label) {
    if (label === null) return "";
    const name = this.program.labels.names[label];
    return this.label === null
      ? `Class: ${name}, drawn by its share in the data and by the text. Choose another one under Generate.`
      : `Class: ${name}, as chosen under Generate.`;
  }

  // The ending of a file of a text of this class; null without classes.
  suffixOf(label) {
    return this.program.item.suffixes?.[label] ?? this.program.item.suffix;
  }

  async make() {
    const wanted = { n: number("count"), seed: number("seed"), label: this.label, settings: this.settings?.() ?? {} };
    // The same request once more means new samples.
    if (this.lastRequest === JSON.stringify(wanted)) $("seed").value = wanted.seed = wanted.seed + 1;
    this.lastRequest = JSON.stringify(wanted);
    this.seed = wanted.seed;
    const { item } = this.program;
    for (const sample of this.samples) sample.release();
    const samples = Array.from({ length: wanted.n }, (_, index) => new Sample(this.program, index, wanted.seed));
    this.samples = samples;
    $("grid").replaceChildren();
    $("stop").hidden = false;
    $("save-all").hidden = true;
    const started = performance.now();
    let first = null;
    const result = await this.latest.ask("sample", wanted, ({ index, items, isLast, progress }) => {
      items.forEach((content, i) => {
        const sample = samples[index + i];
        if (!sample.root.isConnected) $("grid").append(sample.root);
        sample.show(content, isLast);
      });
      if (isLast && first === null && item.kind === "text") $("grid").classList.toggle("short", items[0].text.length < SHORT);
      if (isLast) first ??= performance.now() - started;
      this.progress((index + items.length * (isLast ? 1 : progress)) / wanted.n, isLast ? index + items.length : index, wanted.n);
    });
    if (!result) return;
    const seconds = (performance.now() - started) / 1000;
    document.body.dataset.first = first ?? "";
    say("status", `${result.made} generated in ${seconds.toFixed(1)} s on this device, with seed ${wanted.seed}.`);
    this.end();
  }

  end() {
    $("stop").hidden = true;
    $("save-all").hidden = this.samples.every((sample) => sample.save.hidden);
    document.body.dataset.state = "made";
  }

  progress(share, made, n) {
    $("bar").firstElementChild.style.width = `${100 * share}%`;
    $("bar").setAttribute("aria-valuenow", Math.round(100 * share));
    say("status", share < 1 ? `${made} of ${n} generated…` : "");
  }
}
