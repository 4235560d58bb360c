// A field for a seed, which says what is wrong with a value instead of changing it.

import { count, h } from "./dom.js";

/**
 * @param {string} id @param {string} value
 * @returns {{input: HTMLInputElement, problem: HTMLElement, check: () => void, value: () => number | null}} `value` is null of an empty field;
 * what is not a seed is refused by the Studio
 */
export function seedField(id, value) {
  const problem = h(
    "p",
    { class: "note wrong", role: "alert", id: `${id}-problem`, hidden: true },
    `A seed is a whole number from 0 to ${count(Number.MAX_SAFE_INTEGER)}.`,
  );
  const check = () => {
    problem.hidden = input.checkValidity();
    input.setAttribute("aria-invalid", String(!problem.hidden));
  };
  const input = h("input", {
    id,
    type: "number",
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    step: 1,
    required: true,
    value,
    "aria-describedby": problem.id,
    oninput: check,
  });
  return { input, problem, check, value: () => (input.value === "" ? null : Number(input.value)) };
}
