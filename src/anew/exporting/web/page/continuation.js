// The tab Continue: the tokens that the network expects next, to see and to choose from.

import { Latest } from "./client.js";
import { $, element, reporter, say } from "./elements.js";
import { tokenSliders } from "./generator.js";
import { save } from "./media.js";

const NEW_TOKENS = 120; // of running text that "Continue" writes

// The text of a token with spaces and line ends made visible.
export function visible(piece) {
  return piece === null ? "end" : piece.replaceAll(" ", "␣").replaceAll("\n", "⏎").replaceAll("\t", "⇥") || "·";
}

const percent = (share) => (share >= 0.0995 ? `${Math.round(100 * share)}%` : share >= 0.001 ? `${(100 * share).toFixed(1)}%` : "<0.1%");

export class Continuation {
  constructor(program, client, generator) {
    this.program = program;
    this.generator = generator;
    this.seed = 1;
    this.drawnLabel = null; // where no class is chosen: that of the text since it was last typed in
    this.numRefreshed = 0;
    this.next = new Latest(client, reporter("continue-status"));
    this.writing = new Latest(client, (message) => {
      reporter("continue-status")(message);
      $("write-stop").hidden = true;
    });
    const step = program.steps.find((each) => each.step === "tokens");
    this.settings = tokenSliders(step, $("continue-sliders"), () => this.refresh());
    this.tokens = []; // that may come next; none while the text is another one than they were asked for
    let timer = null;
    $("prompt").addEventListener("input", () => {
      clearTimeout(timer);
      this.drawnLabel = null;
      this.tokens = [];
      timer = setTimeout(() => this.refresh(), 150);
    });
    $("suffix-field").hidden = !program.item.gap;
    $("suffix").addEventListener("input", () => $("prompt").dispatchEvent(new Event("input")));
    $("write").addEventListener("click", () => this.write());
    $("draw").addEventListener("click", () => this.drawOne());
    $("write-stop").addEventListener("click", () => this.writing.cancel());
    $("save-text").addEventListener("click", () =>
      save(
        new Blob([$("prompt").value + $("suffix").value], { type: "text/plain" }),
        `text${generator.suffixOf(generator.label ?? this.drawnLabel)}`,
      ),
    );
  }

  open() {
    this.refresh(); // the class may have changed
  }

  // The text, its class and the settings, as the engine takes them.
  request() {
    return {
      prompt: $("prompt").value,
      suffix: $("suffix").value,
      seed: this.seed,
      label: this.generator.label ?? this.drawnLabel,
      settings: this.settings(),
    };
  }

  async refresh() {
    const number = ++this.numRefreshed;
    this.tokens = [];
    const result = await this.next.ask("next", this.request());
    if (!result) return;
    const { tokens, label } = result;
    if (this.generator.label === null) this.drawnLabel = label;
    say("continue-class", this.generator.classNote(label));
    this.tokens = tokens;
    $("tokens").replaceChildren(...tokens.map((token) => this.row(token)));
    document.body.dataset.next = number;
  }

  row(token) {
    const bar = (name, share) => element("i", { class: name, style: `width: ${100 * share}%` });
    return element(
      "li",
      {},
      element(
        "button",
        {
          type: "button",
          disabled: token.piece === null,
          "aria-label": `${visible(token.piece)}, ${percent(token.probability)}`,
          onclick: () => this.append(token),
        },
        bar("share", token.share),
        bar("probability", token.probability),
        element("span", {}, visible(token.piece)),
        element("span", {}, percent(token.probability)),
      ),
    );
  }

  append(token) {
    if (token.piece === null) return say("continue-status", "The text ends here.");
    $("prompt").value += token.piece;
    $("prompt").scrollTop = $("prompt").scrollHeight;
    say("continue-status", "");
    return this.refresh();
  }

  // Draw the next token, unless it is not known yet what may come next.
  drawOne() {
    if (!this.tokens.length) return undefined;
    let rest = Math.random() * this.tokens.reduce((sum, token) => sum + token.share, 0);
    const token = this.tokens.find(({ share }) => (rest -= share) <= 0) ?? this.tokens[0];
    return this.append(token);
  }

  async write() {
    $("write-stop").hidden = false;
    const request = this.request();
    if (this.program.item.packed) request.settings.new = NEW_TOKENS;
    this.seed++;
    const result = await this.writing.ask("sample", { ...request, n: 1 }, ({ items }) => {
      $("prompt").value = items[0].text;
      $("prompt").scrollTop = $("prompt").scrollHeight;
    });
    if (!result) return;
    $("write-stop").hidden = true;
    await this.refresh();
  }
}
