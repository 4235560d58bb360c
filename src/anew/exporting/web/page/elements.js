// Small helpers for elements of the page.

export const $ = (id) => document.getElementById(id);

// element("p", {class: "quiet"}, "text", child)
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function say(id, text, isWrong = false) {
  $(id).textContent = text;
  $(id).classList.toggle("wrong", isWrong);
}

// A function that shows the message of an error in an element.
export const reporter = (id) => (message) => say(id, `The model failed: ${message}`, true);

// The whole number of an input within its limits, which then shows it.
export function fitted(input) {
  const { value, min, max } = input;
  const number = Math.min(Number(max), Math.max(Number(min), Math.round(Number(value) || 0)));
  if (String(number) !== value) input.value = number;
  return number;
}

export const number = (id) => fitted($(id));

// A slider with its value in words. words: from the value to text.
export function slider(name, { min, max, step, value }, words) {
  const shown = element("output", {}, words(value));
  const input = element("input", { type: "range", min, max, step, value, "aria-label": name });
  input.addEventListener("input", () => (shown.textContent = words(Number(input.value))));
  const field = element("label", { class: "field" }, element("span", {}, `${name}: `, shown), input);
  return { field, input, value: () => Number(input.value) };
}
