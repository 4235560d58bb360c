// The page: its tabs, and the module behind each.

import { describe } from "./about.js";
import { Client } from "./client.js";
import { Continuation } from "./continuation.js";
import { $, element, say } from "./elements.js";
import { Inpainting, explainInpainting } from "./inpainting.js";
import { FrameInpainting } from "./frame_inpainting.js";
import { Viewer, viewsOf } from "./viewer.js";
import { Generator } from "./generator.js";
import { Walk } from "./walk.js";

const program = JSON.parse($("program").textContent);
$("program").remove();
describe(program);
const client = new Client(program);
const generator = new Generator(program, client);

const { item, steps } = program;
const has = (name) => steps.some((step) => step.step === name);
const hasGraph = (name) => name in program.container.graphs;
const keepsPixels = steps.at(-1).step === "denoise" || hasGraph("fill") || (has("denoise") && hasGraph("encoder") && hasGraph("codec"));
const canFill = item.kind === "image" && keepsPixels;
const isSeen = ["image", "clip"].includes(item.kind);
const fillsFrames = steps.some((step) => step.out === "given");
const VIEWS = [
  ["make", "Generate", true, null],
  ["continue", "Continue", item.kind === "text", () => new Continuation(program, client, generator)],
  ["walk", "Walk", !has("tokens") && has("normal"), () => new Walk(program, client, generator)],
  ["fill", "Fill in", isSeen, () => makeFilling()],
  ["look", "Look inside", viewsOf(program).length > 0, () => new Viewer(program, client, generator)],
  ["about", "About", true, null],
].filter(([, , isThere]) => isThere);

function makeFilling() {
  if (canFill) return new Inpainting(program, client, generator);
  return fillsFrames ? new FrameInpainting(program, client, generator) : explainInpainting(program);
}

const views = new Map();
const tabs = VIEWS.map(([name, title], i) =>
  element(
    "button",
    {
      role: "tab",
      id: `tab-${name}`,
      type: "button",
      "aria-controls": `panel-${name}`,
      "aria-selected": i === 0 ? "true" : "false",
      tabindex: i ? -1 : 0,
      onclick: () => choose(i),
    },
    title,
  ),
);
$("tabs").append(...tabs);
$("tabs").addEventListener("keydown", (event) => {
  const now = tabs.indexOf(document.activeElement);
  const next = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: tabs.length - 1 }[event.key];
  if (next === undefined || now < 0) return;
  event.preventDefault();
  const at = (next + tabs.length) % tabs.length;
  tabs[at].focus();
  choose(at);
});

function choose(at) {
  VIEWS.forEach(([name, , , make], i) => {
    tabs[i].setAttribute("aria-selected", i === at ? "true" : "false");
    tabs[i].tabIndex = i === at ? 0 : -1;
    $(`panel-${name}`).hidden = i !== at;
    if (i !== at) return;
    if (make && !views.has(name)) views.set(name, make());
    views.get(name)?.open?.();
  });
}

async function start() {
  try {
    const started = performance.now();
    const { kernel } = await client.ask("load").promise;
    document.body.dataset.kernel = kernel;
    document.body.dataset.loaded = performance.now() - started;
    await generator.make();
  } catch (error) {
    say("status", `This browser cannot run the model (${error.message}).`, true);
  }
}

window.anew = { client, program };
start();
