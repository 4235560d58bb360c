// Runs graphs for the tests: node run_graphs.mjs WEB FILE, FILE holding {container, block, calls: [[graph, [[type, shape, values], ...]], ...], plain}.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [web, file] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(`${web}/${name}.js`));
const { Container, fromBase64, OPERATORS } = await load("graph");
const { Tensor } = await load("tensor");
const { usePlainLoops, kernelName } = await load("kernels");
const request = JSON.parse(readFileSync(file, "utf8"));
usePlainLoops(request.plain);
const container = new Container(request.container, fromBase64(request.block));
const numbers = { Infinity, "-Infinity": -Infinity, NaN };
const text = (value) => (Number.isFinite(value) ? value : String(value));
const results = request.calls.map(([graph, inputs]) => {
  const tensors = inputs.map(([type, shape, values]) => Tensor.from(type, shape, values.map((v) => numbers[v] ?? v)));
  const outputs = Object.values(container.run(graph, ...tensors));
  return outputs.map((x) => [x.type, x.shape, Array.from(x.values(), text)]);
});
console.log(JSON.stringify({ results, kernel: kernelName(), operators: Object.keys(OPERATORS) }));
