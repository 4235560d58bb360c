// Tokens and their probabilities as text.

/** The text of a token with spaces and line ends made visible. @param {string} text */
export function visibleText(text) {
  return text.replaceAll("\n", "\u21b5").replaceAll(" ", "\u00b7");
}

/** The same of a token that was drawn or may be drawn. @param {{text: string, is_end: boolean}} token */
export function visibleToken({ text, is_end }) {
  if (is_end) return "(end)";
  return text === "" ? "(part of a character)" : visibleText(text);
}

/** A probability with as many digits as a reader needs. @param {number} probability */
export function percent(probability) {
  if (probability >= 0.1) return `${Math.round(100 * probability)}%`;
  return probability >= 0.001 ? `${(100 * probability).toFixed(1)}%` : "<0.1%";
}
