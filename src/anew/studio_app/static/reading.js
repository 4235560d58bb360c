// How data is read, as the address of the page New run has it.

const KIND = "kind"; // of data, beside settings

/** @typedef {{modality?: string, settings: Map<string, string>}} Reading */

/** How data is read, from the address of its page. @param {string} query @returns {Reading} */
export function readingIn(query) {
  const settings = new Map(new URLSearchParams(query));
  const modality = settings.get(KIND);
  settings.delete(KIND);
  return { modality, settings };
}

/** The address of the page of data. @param {string} data @param {Reading} reading */
export function newAddress(data, { modality, settings }) {
  const query = new URLSearchParams([.../** @type {[string, string][]} */ (modality ? [[KIND, modality]] : []), ...settings]).toString();
  return `#/new/${encodeURIComponent(data)}${query ? `?${encodeURIComponent(query)}` : ""}`;
}
