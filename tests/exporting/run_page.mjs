// Samples of an exported page for the tests: node run_page.mjs WEB PAGE FILE, FILE holding what `Sampler.sample`
// takes, or what to `fill` in by an engine, `texts` to encode, `images` to match, `gaps` to lay out, or `grids` to turn into waves.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [web, page, file] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(`${web}/${name}.js`));
const { Container, fromBase64 } = await load("graph");
const { Sampler } = await load("sampler");
const { Tensor } = await load("tensor");
const { makeTokenizer } = await load("tokenizer");
const html = readFileSync(page, "utf8");
const element = (id) => html.split(`id="${id}">`)[1].split("</script>")[0];
const program = JSON.parse(element("program"));
const request = JSON.parse(readFileSync(file, "utf8"));
const answer = {};
if (request.texts) {
  const tokenizer = makeTokenizer(program.item.tokenizer);
  answer.ids = request.texts.map((text) => tokenizer.encode(text));
  answer.texts = answer.ids.map((ids) => tokenizer.decode(ids));
} else if (request.gaps) {
  const engine = new (await load("engine")).Engine(program, element("tensors"));
  answer.ids = request.gaps.map(([prompt, suffix]) => engine.promptIds(prompt, suffix));
  answer.middles = answer.ids.map((ids) => engine.middle([...ids, ...engine.tokenizer.encode("new"), program.item.special.end, 0]));
} else if (request.fill?.seed !== undefined) {
  const engine = new (await load("engine")).Engine(program, element("tensors"));
  const { latents, kept } = engine.encoded(request.fill);
  Object.assign(answer, { latents: Array.from(latents.values()), kept: Array.from(kept), drafts: [] });
  const show = ({ items }) => answer.drafts.push(Array.from(items[0].values));
  await engine.handle({ id: 1, task: "sample", n: 1, seed: 2, fill: request.fill }, show);
} else if (request.walks) {
  const engine = new (await load("engine")).Engine(program, element("tensors"));
  const flat = (items) => Array.from(items[0].values);
  const { seed, indices, fractions, places } = request.walks;
  const [from, to] = indices;
  Object.assign(answer, { samples: [], walked: [], placed: [] });
  const collect = (name) => ({ items, isLast }) => isLast && answer[name].push(flat(items));
  for (const index of [...indices, 0, 1, 2]) await engine.handle({ id: 1, task: "sample", n: 1, seed, index }, collect("samples"));
  await engine.handle({ id: 2, task: "walk", seed, from, to, fractions }, collect("walked"));
  for (const [x, y] of places) answer.placed.push(flat([(await engine.handle({ id: 3, task: "place", seed, x, y })).item]));
  answer.choices = [...indices, 0, 1, 2].map((index) => Object.entries(engine.initialDraws(seed, index, null).known).flatMap(([name, value]) => (["component", "label"].includes(name) ? Array.from(value.values()) : [])));
} else if (request.matching) {
  const { matchedFrames } = await load("pixel_steps");
  answer.values = request.images.map((values) => Array.from(matchedFrames(values, request.shape, request.matching)));
} else if (request.grids) {
  const { waveOf } = await load("sound");
  answer.waves = request.grids.map((grid) => Array.from(waveOf(grid, program.item)));
} else {
  const container = new Container(program.container, fromBase64(element("tensors")));
  const known = Object.entries(request.known ?? {}).map(([name, value]) => [name, value.shape ? Tensor.from(value.type, value.shape, value.values) : value]);
  const drafts = [...new Sampler(program, container).sample({ ...request, known: Object.fromEntries(known) })];
  const { x } = drafts.at(-1);
  answer.drafts = drafts.length;
  answer.sample = x instanceof Tensor ? { shape: x.shape, values: Array.from(x.values()) } : x.rows;
}
console.log(JSON.stringify(answer));
