// Copies the user's files into a folder of the Studio, several at a time, while more are still being listed.

import { address, checked, post } from "./api.js";
import { bytes, count } from "./dom.js";

const MAX_REQUESTS = 4; // at a time
const PARCEL_FILES = 400; // of one parcel of small files: a request for each would take longer than the files
const PARCEL_BYTES = 4 * 2 ** 20; // of a parcel, about
const SMALL_BYTES = 2 ** 18; // largest file of a parcel

/** @typedef {import("./file_sources.js").Entry} Entry */
/** @typedef {{path: string, file: File}} Opened */

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
    else signal.addEventListener("abort", () => { this.leaving.abort(); this.wake(); });
    this.tell = tell;
    /** @type {string} name of the folder that files are copied to; "": none is made yet */
    this.id = "";
    /** @type {string[]} paths of what could not be read */
    this.unreadable = [];
    /** @type {Entry[]} */
    this.waiting = [];
    this.isListed = false;
    this.found = 0; // files
    this.done = 0; // of them copied
    this.sent = 0; // bytes
    this.wake = () => {};
  }

  /** Copy all files. @returns {Promise<string>} the name of what was copied */
  async run() {
    let only = "";
    const parcels = this.parcels();
    const send = async () => {
      // Not `for await`: after an error in the body it would first wait for the next parcel.
      for (let next = await parcels.next(); !next.done; next = await parcels.next()) {
        const parcel = next.value;
        only = parcel[0].path;
        await (parcel.length === 1 ? this.sendFile(parcel[0]) : this.sendParcel(parcel));
        this.done += parcel.length;
        this.sent += parcel.reduce((sum, { file }) => sum + file.size, 0);
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
    if (!this.done) throw new Error(this.unreadable.length ? `Nothing could be read: ${this.unreadNames}.` : "No files were found in what you chose.");
    return this.source.isFile ? `${this.id}/${only}` : this.id;
  }

  /** The files that could not be read, as part of a sentence. */
  get unreadNames() {
    const more = this.unreadable.length - 3;
    return this.unreadable.slice(0, 3).join(", ") + (more > 0 ? ` and ${count(more)} more` : "");
  }

  say() {
    const found = this.isListed ? "files" : "found so far";
    this.tell(this.isListed ? (this.done + this.unreadable.length) / this.found : null, `Copied ${count(this.done)} of ${count(this.found)} ${found}, ${bytes(this.sent)}`);
  }

  /** List all files, ahead of sending them. */
  async list() {
    for await (const entry of this.source.entries) {
      if (this.signal.aborted) return;
      this.waiting.push(entry);
      this.found += 1;
      if (this.found % 100 === 0) this.say();
      if (this.waiting.length >= PARCEL_FILES) this.wake();
    }
    this.isListed = true;
    this.wake();
  }

  /** Parcels of opened files: small files together, large ones alone. @returns {AsyncGenerator<Opened[], void>} */
  async *parcels() {
    for (;;) {
      while (this.waiting.length < PARCEL_FILES && !this.isListed && !this.signal.aborted) {
        await new Promise((resolve) => { this.wake = () => resolve(undefined); });
      }
      const some = this.waiting.splice(0, PARCEL_FILES);
      if (!some.length || this.signal.aborted) return;
      this.id ||= (await post("/api/uploads", { name: this.source.name })).id;
      const opened = (await Promise.all(some.map((entry) => this.open(entry)))).filter((file) => file !== null);
      yield* opened.filter(({ file }) => file.size > SMALL_BYTES).map((one) => [one]);
      /** @type {Opened[]} */
      let parcel = [];
      let size = 0;
      for (const one of opened.filter(({ file }) => file.size <= SMALL_BYTES)) {
        parcel.push(one);
        size += one.file.size;
        if (size < PARCEL_BYTES) continue;
        yield parcel;
        [parcel, size] = [[], 0];
      }
      if (parcel.length) yield parcel;
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

  /** Send files one after another, each after the length of its path, its size, and its path. @param {Opened[]} parcel */
  async sendParcel(parcel) {
    const parts = parcel.flatMap(({ path, file }) => {
      const name = new TextEncoder().encode(path);
      const head = new DataView(new ArrayBuffer(12));
      head.setUint32(0, name.length, true);
      head.setBigUint64(4, BigInt(file.size), true);
      return [head.buffer, name, file];
    });
    await this.sendBody(address("/api/parcel", { to: this.id }), new Blob(parts));
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
