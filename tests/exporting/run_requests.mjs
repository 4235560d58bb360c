// How a page asks its engine, for the tests: node run_requests.mjs WEB PAGE LABEL, PAGE of texts with classes.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [web, page, label] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(`${web}/${name}.js`));
const { serve } = await load("worker");
const { Engine } = await load("engine");
const { Latest } = await load("page/client");
const html = readFileSync(page, "utf8");
const element = (id) => html.split(`id="${id}">`)[1].split("</script>")[0];
const program = JSON.parse(element("program"));
const answer = {};

// An engine that cannot start.
const messages = [];
const port = { postMessage: (message) => messages.push(message) };
serve(port);
await port.onmessage({ data: { task: "start", program: { ...program, container: null }, tensors: "" } });
await port.onmessage({ data: { task: "cancel", of: 1 } });
await port.onmessage({ data: { id: 2, task: "load" } });
answer.unstarted = messages;

// Requests that are cancelled before, while and after they are answered.
const engine = new Engine(program, element("tensors"));
const sample = (id, answer = () => {}) => engine.handle({ id, task: "sample", n: 3, seed: 1 }, answer);
engine.cancel(1);
answer.made = (await sample(1)).made;
answer.stopped = (await sample(2, () => engine.cancel(2))).made;
let numFinished = 0;
const stopWithinSecond = ({ index, items, isLast }) => {
  if (isLast) numFinished += items.length;
  if (index > 0) engine.cancel(6);
};
const shown = await engine.handle({ id: 6, task: "sample", n: 9, seed: 1 }, stopWithinSecond);
answer.counted = [shown.made, numFinished];
engine.cancel(1);
answer.running = [...engine.running];

// Texts without a chosen class have that of the first sample of their seed.
const next = (options) => engine.handle({ id: 3, task: "next", prompt: "", ...options });
const drawn = [];
for (let seed = 0; seed < 20; seed++) drawn.push((await next({ seed })).label);
answer.drawn = drawn;
answer.classes = drawn.map((_, seed) => engine.initialDraws(seed, 0, null).known.classes[0]);
const sameTokens = (a, b) => JSON.stringify(a.tokens) === JSON.stringify(b.tokens);
const seed = drawn.indexOf(Number(label));
answer.isOfItsClass = sameTokens(await next({ seed }), await next({ label: Number(label) }));
answer.differs = !sameTokens(await next({ label: 0 }), await next({ label: 1 }));
answer.ofPrompt = Array.from(engine.sampler.classShares(engine.promptIds("ACDWY")));
const samples = [];
await engine.handle({ id: 5, task: "sample", n: 40, seed: 3, prompt: "ACDWY", settings: { new: 1 } }, ({ items, isLast }) => isLast && samples.push(...items));
answer.labels = samples.map(({ label }) => label);
answer.inside = (await engine.handle({ id: 4, task: "inside", prompt: "AC", seed })).label;

// Tokens that are impossible stay so at any temperature; where only such may come, each is drawn alike.
const { NextTokens, filtered } = await load("tokens");
const settings = { never: [], characters: null, temperature: 10, top_k: 0, top_p: 1, min_p: 0 };
answer.hot = Array.from(filtered([0, 1, -2000], settings));
const following = new NextTokens({ never: [], characters: null, end: 1 }, [2], true);
answer.opened = [0, 0].map(() => {
  const shares = Array.from(filtered([0, 60], settings, following));
  following.read(0);
  return shares[1] > 0;
});
answer.impossible = Array.from(filtered([0, -2000, -3000], { ...settings, never: [0] }));

// Bytes of U+FEFF at the beginning stay.
const { makeTokenizer } = await load("tokenizer");
const pieces = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));
answer.bom = makeTokenizer({ kind: "bpe", pieces, merges: [], words: "[^]" }).decode([0xef, 0xbb, 0xbf, 0x61]).length;

// Of several requests of one view, the latest counts.
const asked = [];
const client = {
  ask: (task, options, onDraft) => {
    const request = { task, onDraft, isCancelled: false, cancel: () => (request.isCancelled = true) };
    request.promise = new Promise((resolve, reject) => Object.assign(request, { resolve, reject }));
    asked.push(request);
    return request;
  },
};
const [drafts, faults] = [[], []];
const latest = new Latest(client, (message) => faults.push(message));
const results = ["first", "second"].map((task) => latest.ask(task, {}, (draft) => drafts.push(draft)));
asked[1].onDraft("new");
asked[0].onDraft("old");
asked[0].reject(new Error("of an old request"));
asked[1].resolve("the second");
answer.results = await Promise.all(results);
const third = latest.ask("third");
asked[2].reject(new Error("no memory"));
answer.results.push(await third);
Object.assign(answer, { drafts, faults, cancelled: asked.map((request) => request.isCancelled) });

// A token is drawn only once it is known what may follow the present text.
const elements = new Map();
const made = () => {
  const node = { value: "", style: {}, dataset: {}, classList: { toggle() {} } };
  for (const name of ["addEventListener", "append", "replaceChildren", "setAttribute"]) node[name] = () => {};
  return node;
};
globalThis.document = {
  body: made(),
  createElement: made,
  getElementById: (id) => elements.get(id) ?? elements.set(id, made()).get(id),
};
const { Continuation } = await load("page/continuation");
const view = new Continuation(program, client, { label: 0, classNote: () => "" });
view.drawOne();
const refreshed = view.refresh();
asked.at(-1).resolve({ tokens: [{ piece: "A", probability: 1, share: 1 }], label: 0 });
await refreshed;
view.drawOne();
view.drawOne(); // what follows the "A" is not known yet
answer.text = document.getElementById("prompt").value;
console.log(JSON.stringify(answer));
