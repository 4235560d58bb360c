// Files of the user into a folder of the Studio, some at a time.

import { address, post, Refusal } from "./api.js";
import { bytes, count } from "./dom.js";

const MAX_FILES = 20_000;
const AT_ONCE = 4;

/**
 * Copy files into a new upload.
 * @param {{path: string, file: File}[]} entries @param {AbortSignal} signal
 * @param {(share: number, text: string) => void} tell
 * @returns {Promise<string>} the upload's name
 */
export async function upload(entries, signal, tell) {
  const wanted = entries.filter(({ path }) => !path.split("/").some((part) => part.startsWith(".")));
  if (!wanted.length) throw new Error("No files were found in what you chose.");
  if (wanted.length > MAX_FILES) {
    throw new Error(`${count(wanted.length)} files are too many to drop. Put the folder below the one the Studio was started in, and choose it there.`);
  }
  const parts = wanted[0].path.split("/");
  const name = parts.length > 1 ? parts[0] : wanted.length === 1 ? parts[0].replace(/\.[^.]*$/, "") || "files" : "files";
  const { id } = await post("/api/uploads", { name });
  const total = wanted.reduce((sum, { file }) => sum + file.size, 0);
  const waiting = [...wanted];
  let [done, sent] = [0, 0];
  const work = async () => {
    for (let entry = waiting.pop(); entry; entry = waiting.pop()) {
      await sendFile(id, entry, signal);
      done += 1;
      sent += entry.file.size;
      tell(total ? sent / total : 1, `${count(done)} of ${count(wanted.length)} files, ${bytes(sent)} of ${bytes(total)}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return wanted.length === 1 && parts.length === 1 ? `${id}/${wanted[0].file.name}` : id;
}

/** @param {string} id @param {{path: string, file: File}} entry @param {AbortSignal} signal */
async function sendFile(id, { path, file }, signal) {
  const parts = path.split("/");
  const place = parts.length > 1 ? parts.slice(1).join("/") : path;
  const headers = { "Content-Type": "application/octet-stream", "X-Anew-Studio": "1" };
  const answer = await fetch(address("/api/upload", { to: id, path: place }), { method: "POST", headers, body: file, signal });
  if (!answer.ok) throw new Refusal(answer.status, (await answer.json()).error.message);
}

/** The files in what was dropped, folders opened. @param {DataTransfer} transfer @returns {Promise<{path: string, file: File}[]>} */
export async function dropped(transfer) {
  const roots = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const loose = [...transfer.files];
  if (!roots.length) return loose.map((file) => ({ path: file.name, file }));
  /** @type {{path: string, file: File}[]} */
  const entries = [];
  const todo = [...roots];
  for (let entry = todo.pop(); entry && entries.length <= MAX_FILES; entry = todo.pop()) {
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => /** @type {any} */ (entry).file(resolve, reject));
      entries.push({ path: entry.fullPath.replace(/^\//, ""), file });
    } else {
      const reader = /** @type {any} */ (entry).createReader();
      for (;;) {  // a reader gives a hundred at a time
        const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
        if (!some.length) break;
        todo.push(...some);
      }
    }
  }
  return entries;
}
