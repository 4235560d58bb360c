// Sends requests to the engine, which runs in a worker made from a Blob, or in the page where there can be no worker.

const text = (id) => document.getElementById(id).textContent;

function inWorker(source) {
  const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  return new Worker(address);
}

// The engine in the page itself, behind the same messages.
function inPage(source) {
  const script = document.createElement("script");
  script.textContent = `${source}\nwindow.anewServe = $worker.serve;`;
  document.head.append(script);
  const channel = new MessageChannel();
  window.anewServe(channel.port2);
  return channel.port1;
}

export class Client {
  constructor(program) {
    const source = text("engine");
    try {
      this.port = inWorker(source);
    } catch {
      this.port = inPage(source);
    }
    this.waiting = new Map();
    this.number = 0;
    this.fault = null; // why no request is answered any more
    this.port.onmessage = ({ data }) => this.receive(data);
    // A worker that cannot start, or that the browser ended, answers nothing: without this, the page would wait for ever
    this.port.onerror = (event) => this.fail(event.message || "its worker has ended");
    this.port.onmessageerror = () => this.fail("an answer could not be read");
    this.port.postMessage({ task: "start", program, tensors: text("tensors") });
    document.getElementById("tensors").remove(); // the engine has it now
  }

  receive({ id, draft, result, error }) {
    const request = this.waiting.get(id);
    if (!request) return;
    if (draft) request.onDraft?.(draft);
    else {
      this.waiting.delete(id);
      if (error === undefined) request.resolve(result);
      else request.reject(new Error(error));
    }
  }

  fail(fault) {
    this.fault = fault;
    for (const { reject } of this.waiting.values()) reject(new Error(fault));
    this.waiting.clear();
  }

  // Returns {promise, cancel}. onDraft is called with partial results.
  ask(task, options = {}, onDraft = null) {
    const id = ++this.number;
    if (this.fault !== null) return { promise: Promise.reject(new Error(this.fault)), cancel() {} };
    const promise = new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject, onDraft }));
    this.port.postMessage({ ...options, id, task });
    return { promise, cancel: () => this.port.postMessage({ task: "cancel", of: id }) };
  }
}

// Requests of one view, of which only the latest counts: a new one cancels the one before, whose drafts and result are dropped.
export class Latest {
  // report: called with the message of an error.
  constructor(client, report) {
    Object.assign(this, { client, report, request: null });
  }

  cancel() {
    this.request?.cancel();
  }

  // Returns the result; null if the request failed, or another one has taken its place.
  async ask(task, options = {}, onDraft = null) {
    this.cancel();
    const request = this.client.ask(task, options, (draft) => this.request === request && onDraft?.(draft));
    this.request = request;
    try {
      const result = await request.promise;
      return this.request === request ? result : null;
    } catch (error) {
      if (this.request === request) this.report(error.message);
      return null;
    }
  }
}
