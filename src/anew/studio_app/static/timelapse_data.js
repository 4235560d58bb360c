// Frames of a timelapse: safetensors files with facts in the header.

import { address, Refusal } from "./api.js";

const FORMAT = "2"; // as in anew/runs/timelapse.py

/**
 * @typedef {{facts: any, numbers: (name: string) => Float32Array | null, bytes: (name: string) => Uint8Array | null, shape: (name: string) => number[]}} Frame
 */

/** @param {ArrayBuffer} buffer @returns {Frame} */
export function parsed(buffer) {
  const size = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, size)));
  const bytesOf = (/** @type {string} */ name) => {
    const entry = header[name];
    return entry ? buffer.slice(8 + size + entry.data_offsets[0], 8 + size + entry.data_offsets[1]) : null;
  };
  const { facts, format } = header.__metadata__;
  if (format !== FORMAT) throw new Refusal(409, "This timelapse is of another version of Anew; train again to see one.");
  return {
    facts: JSON.parse(facts),
    numbers: (name) => {
      const part = bytesOf(name);
      return part ? new Float32Array(part) : null;
    },
    bytes: (name) => {
      const part = bytesOf(name);
      return part ? new Uint8Array(part) : null;
    },
    shape: (name) => header[name]?.shape ?? [],
  };
}

/**
 * @param {string} run
 * @param {number | null} step null: the data that all frames share
 * @param {AbortSignal} [signal]
 * @returns {Promise<Frame>}
 */
export async function frameOf(run, step, signal) {
  const answer = await fetch(address("/api/timelapse/frame", step === null ? { run } : { run, step }), { signal });
  if (!answer.ok) throw new Refusal(answer.status, (await answer.json()).error.message);
  return parsed(await answer.arrayBuffer());
}

/** A sheet of small items as an image. @param {Uint8Array | null} bytes @returns {Promise<ImageBitmap | null>} */
export async function sheetOf(bytes) {
  return bytes ? createImageBitmap(new Blob([/** @type {any} */ (bytes)], { type: "image/jpeg" })) : null;
}
