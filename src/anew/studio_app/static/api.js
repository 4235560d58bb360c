// Requests to the Studio, and the stream of changes.

import { asSentence } from "./dom.js";

/** An error response, with its message, its code, if it has one, and the columns of tables, where one is to be chosen. */
export class Refusal extends Error {
  /** @param {number} status @param {string} message @param {{code?: string | null, columns?: string[]}} [details] */
  constructor(status, message, { code, columns } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.columns = columns;
  }
}

/** The response itself; throws a Refusal if it is an error. @param {Response} answer @returns {Promise<any>} */
export async function checked(answer) {
  if (answer.ok) return answer;
  /** @type {[string, {code?: string | null, columns?: string[]}]} */
  let [message, details] = [`the Studio answered ${answer.status}`, {}];
  try {
    const { error, columns } = await answer.json();
    [message, details] = [error.message, { code: error.code, columns }];
  } catch {
    /* not JSON: the sentence above stays */
  }
  throw new Refusal(answer.status, asSentence(message), details);
}

/** @param {string} path @param {Record<string, string | number>} query @returns {string} */
export function address(path, query = {}) {
  const text = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)])).toString();
  return text ? `${path}?${text}` : path;
}

/** @param {string} path @param {Record<string, string | number>} [query] @param {AbortSignal} [signal] @returns {Promise<any>} */
export async function get(path, query = {}, signal) {
  return (await checked(await fetch(address(path, query), { signal }))).json();
}

/** @param {string} path @param {Record<string, string | number>} [query] @returns {Promise<string>} */
export async function getText(path, query = {}) {
  return (await checked(await fetch(address(path, query)))).text();
}

/** @param {string} path @param {object} body @param {AbortSignal} [signal] @returns {Promise<Response>} */
export async function send(path, body, signal) {
  const headers = { "Content-Type": "application/json", "X-Anew-Studio": "1" };
  return checked(await fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal }));
}

/** @param {string} path @param {object} body @returns {Promise<any>} */
export async function post(path, body) {
  return (await send(path, body)).json();
}

/**
 * Send a request, and pass on its events as they arrive, of which the last one has `end`.
 * @param {string} path @param {object} body @param {AbortSignal} signal @param {(event: any) => void} take
 */
export async function follow(path, body, signal, take) {
  const answer = await send(path, body, signal);
  const reader = /** @type {ReadableStream<Uint8Array>} */ (answer.body)
    .pipeThrough(/** @type {any} */ (new TextDecoderStream()))
    .getReader();
  let rest = "";
  let hasEnded = false;
  for (;;) {
    const { value, done } = await reader.read();
    if (done && !hasEnded) throw new Error("The answer broke off. Try again; if the Studio has stopped, start it again.");
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop() ?? "";
    for (const part of parts) {
      if (!part.startsWith("data: ")) continue;
      const event = JSON.parse(part.slice(6));
      if (event.error) throw new Refusal(400, asSentence(event.error.message), { code: event.error.code, columns: event.columns });
      hasEnded ||= event.end === true;
      take(event);
    }
  }
}

/**
 * Say why a request of a panel of Play ended without an answer; nothing if the same panel has asked again.
 * @param {HTMLElement} status of the panel
 * @param {AbortSignal} signal given by `begin` for this status
 * @param {unknown} error what `follow` threw
 */
export function sayEnd(status, signal, error) {
  if (!signal.aborted) status.textContent = /** @type {Error} */ (error).message;
  else if (signal.reason !== status)
    status.textContent = signal.reason instanceof HTMLElement ? "Stopped, since another tab of this page was used." : "Stopped.";
}

/** @type {Set<(names: string[] | null) => void>} */
const listeners = new Set();

/**
 * Listen for changes of runs, by name; null: any may have changed, as after a lost connection.
 * @param {(names: string[] | null) => void} listener @returns {() => void} stops listening
 */
export function onChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** @type {string[] | null | undefined} what changed while the page was hidden; undefined: nothing */
let missed;

/**
 * Tell listeners what changed; while the page is hidden, wait until it is visible, since each update takes time and memory.
 * @param {string[] | null} names
 */
function tell(names) {
  if (document.hidden) missed = missed === undefined ? names : missed && names && [...new Set([...missed, ...names])];
  else for (const listener of listeners) listener(names);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden || missed === undefined) return;
  const names = missed;
  missed = undefined;
  tell(names);
});

/**
 * Open the stream, in a worker that all pages of this browser share: a browser opens few connections.
 * @param {(open: boolean) => void} onLink
 */
export function listen(onLink) {
  const take = (/** @type {any} */ event) => {
    if (event.link !== undefined) onLink(event.link);
    if (event.changed !== undefined) tell(event.changed);
  };
  if ("SharedWorker" in window) {
    const worker = new SharedWorker("/static/stream.js", { type: "module", name: "anew-studio" });
    worker.port.onmessage = (message) => take(message.data);
    worker.port.start();
    addEventListener("pagehide", () => worker.port.postMessage("bye"));
    // A page that comes back as it was, by the button Back
    addEventListener("pageshow", (event) => {
      if (event.persisted) worker.port.postMessage("back");
    });
  } else {
    import("./stream.js").then((module) => module.open(take));
  }
}
