// A dialog with a form, which stays open with the reason where what was sent is refused.

import { busy, h, showToast } from "./dom.js";

/**
 * @param {object} form
 * @param {string} form.title
 * @param {string} form.text what will happen
 * @param {any[]} form.fields
 * @param {HTMLInputElement} form.first the field whose value is selected at first
 * @param {string} form.verb on the button that sends
 * @param {() => Promise<unknown>} form.send
 * @param {string} form.done what is said when it was accepted
 * @param {(error: unknown) => void} [form.onRefused]
 */
export function formDialog({ title, text, fields, first, verb, send, done, onRefused }) {
  const problem = h("p", { class: "note wrong", role: "alert", hidden: true });
  const go = h("button", { class: "main", type: "submit" }, verb);
  const close = () => {
    dialog.close();
    dialog.remove();
  };
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    problem.hidden = true;
    try {
      await busy(go, "Checking...", send);
      showToast(done);
      close();
    } catch (error) {
      problem.textContent = /** @type {Error} */ (error).message;
      problem.hidden = false;
      onRefused?.(error);
    }
  };
  const dialog = h(
    "dialog",
    { "aria-labelledby": "asked", oncancel: () => dialog.remove() },
    h(
      "form",
      { method: "dialog", onsubmit: submit },
      h("h2", { id: "asked" }, title),
      h("p", {}, text),
      fields,
      problem,
      h("div", { class: "actions" }, h("button", { type: "button", onclick: close }, "Cancel"), go),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  first.select();
}
