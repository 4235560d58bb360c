// Files of the user into a folder of the Studio, some at a time.

import { address, post, Refusal } from "./api.js";
import { bytes, count } from "./dom.js";

const MAX_FILES = 200_000;
const AT_ONCE = 4;
const PARCEL_FILES = 400; // small files that are sent together: a request for each would take longer than the files
const PARCEL_BYTES = 4 * 2 ** 20; // of them together
const SMALL_BYTES = 2 ** 18;

const COUNTED = 2000; // files up to which progress is told in bytes

/** @typedef {{path: string, file: File}} Entry */
/** @typedef {Entry & {size: number}} Sized */

/**
 * Copy files into a new upload.
 * @param {{path: string, file: File}[]} entries @param {AbortSignal} signal
 * @param {(share: number, text: string) => void} tell
 * @returns {Promise<string>} the upload's name
 */
export async function upload(entries, signal, tell) {
  if (entries.length > MAX_FILES) {
    throw new Error(`These are more than ${count(MAX_FILES)} files, too many to drop. Put the folder below the one the Studio was started in, and choose it there.`);
  }
  const wanted = entries.filter(({ path }) => !path.split("/").some((part) => part.startsWith(".")));
  if (!wanted.length) throw new Error("No files were found in what you chose.");
  const parts = wanted[0].path.split("/");
  const name = parts.length > 1 ? parts[0] : wanted.length === 1 ? parts[0].replace(/\.[^.]*$/, "") || "files" : "files";
  const { id } = await post("/api/uploads", { name });
  // To ask a file for its size makes the page wait for the browser, so of many files none is asked before its turn.
  const total = wanted.length > COUNTED ? 0 : wanted.reduce((sum, { file }) => sum + file.size, 0);
  const waiting = parcels(wanted);
  let [done, sent] = [0, 0];
  const work = async () => {
    for (;;) {
      const parcel = waiting.next().value;
      if (!parcel) return;
      if (parcel.length === 1) await sendFile(id, parcel[0], signal);
      else await sendParcel(id, parcel, signal);
      done += parcel.length;
      sent += parcel.reduce((sum, { size }) => sum + size, 0);
      const files = `${count(done)} of ${count(wanted.length)} files, ${bytes(sent)}`;
      if (total) tell(sent / total, `${files} of ${bytes(total)}`);
      else tell(done / wanted.length, files);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return wanted.length === 1 && parts.length === 1 ? `${id}/${wanted[0].file.name}` : id;
}

/** Small files together, large ones alone, each asked for its size once, when its turn comes. @param {Entry[]} entries @returns {Generator<Sized[], void>} */
function* parcels(entries) {
  /** @type {Sized[]} */
  let open = [];
  let bytes = 0;
  for (const { path, file } of entries) {
    const entry = { path, file, size: file.size };
    if (entry.size > SMALL_BYTES) {
      yield [entry];
      continue;
    }
    open.push(entry);
    bytes += entry.size;
    if (open.length < PARCEL_FILES && bytes < PARCEL_BYTES) continue;
    yield open;
    [open, bytes] = [[], 0];
  }
  if (open.length) yield open;
}

/** Below the folder of the upload. @param {string} path */
function placeOf(path) {
  const parts = path.split("/");
  return parts.length > 1 ? parts.slice(1).join("/") : path;
}

/** @param {string} id @param {Entry} entry @param {AbortSignal} signal */
async function sendFile(id, { path, file }, signal) {
  await sendBody(address("/api/upload", { to: id, path: placeOf(path) }), file, signal);
}

/** Files one after another, each behind the length of its path, its size, and the path. @param {string} id @param {Sized[]} parcel @param {AbortSignal} signal */
async function sendParcel(id, parcel, signal) {
  const parts = parcel.flatMap(({ path, file, size }) => {
    const name = new TextEncoder().encode(placeOf(path));
    const head = new DataView(new ArrayBuffer(12));
    head.setUint32(0, name.length, true);
    head.setBigUint64(4, BigInt(size), true);
    return [head.buffer, name, file];
  });
  await sendBody(address("/api/parcel", { to: id }), new Blob(parts), signal);
}

/** @param {string} to @param {Blob} body @param {AbortSignal} signal */
async function sendBody(to, body, signal) {
  const headers = { "Content-Type": "application/octet-stream", "X-Anew-Studio": "1" };
  const answer = await fetch(to, { method: "POST", headers, body, signal });
  if (!answer.ok) throw new Refusal(answer.status, (await answer.json()).error.message);
}

/** @param {any} entry of a file @returns {Promise<Entry>} */
async function entryOf(entry) {
  const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
  return { path: entry.fullPath.replace(/^\//, ""), file };
}

/** The files in what was dropped, folders opened. @param {DataTransfer} transfer @returns {Promise<{path: string, file: File}[]>} */
export async function dropped(transfer) {
  const roots = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const loose = [...transfer.files];
  if (!roots.length) return loose.map((file) => ({ path: file.name, file }));
  const entries = await Promise.all(roots.filter((entry) => entry.isFile).map(entryOf));
  const folders = roots.filter((entry) => !entry.isFile);
  for (let folder = folders.pop(); folder && entries.length <= MAX_FILES; folder = folders.pop()) {
    const reader = /** @type {any} */ (folder).createReader();
    while (entries.length <= MAX_FILES) { // a reader gives a hundred at a time, whose files are asked for together
      /** @type {any[]} */
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) break;
      folders.push(...some.filter((entry) => !entry.isFile));
      entries.push(...await Promise.all(some.filter((entry) => entry.isFile).map(entryOf)));
    }
  }
  return entries;
}
