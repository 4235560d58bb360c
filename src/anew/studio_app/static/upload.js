// Copies the user's files into a folder of the Studio, several at a time, while more are still being listed.

import { address, checked, post } from "./api.js";
import { bytes, count } from "./dom.js";

const MAX_REQUESTS = 4; // at a time
const BUNDLE_FILES = 400; // of one bundle of small files: a request for each would take longer than the files
const BUNDLE_BYTES = 4 * 2 ** 20; // of a bundle, about
const SMALL_BYTES = 2 ** 18; // largest file of a bundle

const [MAX_PARTS, MAX_PART] = [12, 200]; // names in a path; bytes of a name
const UNSAFE = /[\x00-\x1f\x7f-\x9f<>:"|?*\\\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|\p{Surrogate}/u; // what Windows does not allow, and what hides or turns text
const DEVICE = /^(?:con|prn|aux|nul|com[1-9]|lpt[1-9]) *(?:\..*)?$/i; // of Windows, also with a suffix

/** @typedef {import("./file_sources.js").Entry} Entry */
/** @typedef {{path: string, file: File}} Opened */

/** The first three of some names, as part of a sentence. @param {string[]} names */
function some(names) {
  const more = names.length - 3;
  return names.slice(0, 3).join(", ") + (more > 0 ? ` and ${count(more)} more` : "");
}

/** Why the Studio would refuse a path, as its `uploads.py` says; "" if it does not. @param {string} path */
function refusal(path) {
  const names = path.split("/");
  if (names.length > MAX_PARTS) return `in more than ${MAX_PARTS - 1} folders`;
  if (names.some((name) => new TextEncoder().encode(name).length > MAX_PART)) return "too long";
  if (names.some((name) => DEVICE.test(name))) return "a device on Windows";
  if (names.some((name) => /[. ]$/.test(name))) return "ends with a dot or a blank";
  const character = UNSAFE.exec(path)?.[0];
  if (character === undefined) return "";
  return /[!-~]/.test(character) ? `with ${character}` : "with a character that cannot be seen";
}

export class Upload {
  /**
   * @param {import("./file_sources.js").Source} source @param {AbortSignal} signal
   * @param {(share: number | null, text: string) => void} tell null: not known yet
   */
  constructor(source, signal, tell) {
    this.source = source;
    this.leaving = new AbortController();
    this.signal = this.leaving.signal; // also aborted when a file cannot be sent: the others need not be listed then
    if (signal.aborted) this.leaving.abort();
    else
      signal.addEventListener("abort", () => {
        this.leaving.abort();
        this.wake();
      });
    this.tell = tell;
    /** @type {string} name of the folder that files are copied to; "": none is made yet */
    this.id = "";
    /** @type {string[]} paths of what could not be read */
    this.unreadable = [];
    /** @type {string[]} paths of what the Studio would refuse, each with the reason */
    this.refused = [];
    /** @type {Entry[]} */
    this.waiting = [];
    this.isListed = false;
    this.numFiles = 0; // files that were found
    this.done = 0; // of them copied
    this.sent = 0; // bytes
    this.wake = () => {};
  }

  /** Copy all files. @returns {Promise<string>} the name of what was copied */
  async run() {
    let only = "";
    const bundles = this.bundles();
    const send = async () => {
      // Not `for await`: after an error in the body it would first wait for the next bundle.
      for (let next = await bundles.next(); !next.done; next = await bundles.next()) {
        const bundle = next.value;
        only = bundle[0].path;
        await (bundle.length === 1 ? this.sendFile(bundle[0]) : this.sendBundle(bundle));
        this.done += bundle.length;
        this.sent += bundle.reduce((sum, { file }) => sum + file.size, 0);
        this.say();
      }
    };
    try {
      await Promise.all([this.list(), ...Array.from({ length: MAX_REQUESTS }, send)]);
      this.signal.throwIfAborted();
    } finally {
      this.leaving.abort();
      this.wake();
    }
    if (!this.done) throw new Error(this.leftOut || "No files were found in what you chose.");
    return this.source.isFile ? `${this.id}/${only}` : this.id;
  }

  /** What was left out and why, in sentences; "" if nothing was. */
  get leftOut() {
    return [
      this.refused.length ? `Left out, since their names cannot be used here: ${some(this.refused)}.` : "",
      this.unreadable.length ? `Left out, since it could not be read: ${some(this.unreadable)}.` : "",
    ]
      .filter(Boolean)
      .join(" ");
  }

  say() {
    const noun = this.isListed ? "files" : "found so far";
    this.tell(
      this.isListed ? (this.done + this.unreadable.length + this.refused.length) / this.numFiles : null,
      `Copied ${count(this.done)} of ${count(this.numFiles)} ${noun}, ${bytes(this.sent)}`,
    );
  }

  /** List all files, ahead of sending them. */
  async list() {
    for await (const entry of this.source.entries) {
      if (this.signal.aborted) return;
      const reason = refusal(entry.path);
      if (reason) this.refused.push(`${entry.path} (${reason})`);
      else this.waiting.push(entry);
      this.numFiles += 1;
      if (this.numFiles % 100 === 0) this.say();
      if (this.waiting.length >= BUNDLE_FILES) this.wake();
    }
    this.isListed = true;
    this.wake();
  }

  /** Bundles of opened files: small files together, large ones alone. @returns {AsyncGenerator<Opened[], void>} */
  async *bundles() {
    for (;;) {
      while (this.waiting.length < BUNDLE_FILES && !this.isListed && !this.signal.aborted) {
        await new Promise((resolve) => {
          this.wake = () => resolve(undefined);
        });
      }
      const next = this.waiting.splice(0, BUNDLE_FILES);
      if (!next.length || this.signal.aborted) return;
      const opened = (await Promise.all(next.map((entry) => this.open(entry)))).filter((file) => file !== null);
      if (opened.length) this.id ||= (await post("/api/uploads", { name: this.source.name })).id;
      yield* opened.filter(({ file }) => file.size > SMALL_BYTES).map((large) => [large]);
      /** @type {Opened[]} */
      let bundle = [];
      let size = 0;
      for (const small of opened.filter(({ file }) => file.size <= SMALL_BYTES)) {
        bundle.push(small);
        size += small.file.size;
        if (size < BUNDLE_BYTES) continue;
        yield bundle;
        [bundle, size] = [[], 0];
      }
      if (bundle.length) yield bundle;
    }
  }

  /** @param {Entry} entry @returns {Promise<Opened | null>} */
  async open({ path, open }) {
    try {
      return { path, file: await open() };
    } catch {
      this.unreadable.push(path);
      return null;
    }
  }

  /** @param {Opened} opened */
  async sendFile({ path, file }) {
    await this.sendBody(address("/api/upload", { to: this.id, path }), file);
  }

  /** Send files one after another, each after the length of its path, its size, and its path. @param {Opened[]} bundle */
  async sendBundle(bundle) {
    const parts = bundle.flatMap(({ path, file }) => {
      const name = new TextEncoder().encode(path);
      const head = new DataView(new ArrayBuffer(12));
      head.setUint32(0, name.length, true);
      head.setBigUint64(4, BigInt(file.size), true);
      return [head.buffer, name, file];
    });
    await this.sendBody(address("/api/bundle", { to: this.id }), new Blob(parts));
  }

  /** @param {string} to @param {Blob} body */
  async sendBody(to, body) {
    const headers = { "Content-Type": "application/octet-stream", "X-Anew-Studio": "1" };
    let answer;
    try {
      answer = await fetch(to, { method: "POST", headers, body, signal: this.signal });
    } catch (error) {
      if (this.signal.aborted) throw error;
      throw new Error("The Studio cannot be reached, or a file changed while it was copied. Drop the files once more.");
    }
    await checked(answer);
  }
}
