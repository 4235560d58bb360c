// An engine behind messages: in a worker, so that the page stays responsive, or in the page itself where there can be no worker.

import { Engine } from "./engine.js";

export function serve(port) {
  let engine = null;
  let failure = null; // why there is no engine
  port.onmessage = async ({ data }) => {
    if (data.task === "start") {
      try {
        engine = new Engine(data.program, data.tensors);
      } catch (error) {
        failure = error;
      }
      return;
    }
    if (data.task === "cancel") {
      engine?.cancel(data.of);
      return;
    }
    try {
      if (failure) throw failure;
      const result = await engine.handle(data, (answer) => port.postMessage({ id: data.id, draft: answer }));
      port.postMessage({ id: data.id, result });
    } catch (error) {
      port.postMessage({ id: data.id, error: String(error?.message ?? error) });
    }
  };
}
