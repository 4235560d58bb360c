// Files of a page for the tests: node run_files.mjs WEB FOLDER, FOLDER/frames.json holding {frames, width, height, wave, rate}.
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [web, folder] = process.argv.slice(2);
const { gif, wav } = await import(pathToFileURL(`${web}/page/media.js`));
const { frames, width, height, wave, rate } = JSON.parse(readFileSync(`${folder}/frames.json`, "utf8"));
const write = async (name, blob) => writeFileSync(`${folder}/${name}`, Buffer.from(await blob.arrayBuffer()));
await write("made.gif", gif(frames.map((levels) => Uint8ClampedArray.from(levels)), width, height, 10));
await write("made.wav", wav(Float32Array.from(wave), rate));
console.log("{}");
