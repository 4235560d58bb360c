// The stream of changes, in a worker that all pages of a browser share.

/** @param {(event: {link?: boolean, changed?: string[] | null}) => void} tell */
export function open(tell) {
  const source = new EventSource("/api/stream");
  source.addEventListener("open", () => tell({ link: true, changed: null }));
  source.addEventListener("changed", (event) => tell({ changed: JSON.parse(event.data) }));
  source.addEventListener("error", () => {
    tell({ link: false });
    if (source.readyState === EventSource.CLOSED) setTimeout(() => open(tell), 2000);
  });
}

/** @type {Set<MessagePort>} */
const ports = new Set();
/** @type {boolean | undefined} */
let link;

if ("onconnect" in globalThis) {
  /** @type {any} */ (globalThis).onconnect = (/** @type {MessageEvent} */ event) => {
    const port = event.ports[0];
    ports.add(port);
    if (link !== undefined) port.postMessage({ link });
    port.onmessage = ({ data }) => {
      if (data === "bye") ports.delete(port);
      else {
        ports.add(port);
        port.postMessage({ link, changed: null }); // what changed while the page was away is not known
      }
    };
  };
  open((event) => {
    if (event.link !== undefined) link = event.link;
    for (const port of ports) port.postMessage(event);
  });
}
