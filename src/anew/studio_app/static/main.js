// The router, which shows a page by the part of the address after #; the theme; and whether the Studio can be reached.

import { listen } from "./api.js";
import { showComparison } from "./compare_view.js";
import { showNew } from "./data_view.js";
import { cancelDialogs, h, replaceChildren } from "./dom.js";
import { showMeasure } from "./measure_view.js";
import { showPlay } from "./play_view.js";
import { showFamilies } from "./families_view.js";
import { showReport, showRun } from "./run_view.js";
import { showRuns } from "./runs_view.js";

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
/** @type {() => void} */
let leave = () => {};

/** @type {[RegExp, string, (main: HTMLElement, ...names: string[]) => (() => void)][]} */
const PAGES = [
  [/^\/run\/(.+)$/, "runs", showRun],
  [/^\/report\/(.+)$/, "runs", showReport],
  [/^\/play\/([^/]+)(?:\/([a-z]+)(?:\?(.+))?)?$/, "runs", showPlay],
  [/^\/compare\/(.+)$/, "runs", showComparison],
  [/^\/measure\/([^/]+)(?:\/(.+))?$/, "runs", showMeasure],
  [/^\/new\/([^?]+)(?:\?(.+))?$/, "new", showNew],
  [/^\/families$/, "families", showFamilies],
  [/^\/new$/, "new", showNew],
  [/^\/?$/, "runs", showRuns],
];

/** The names in the address of a page; null if they are not encoded. @param {RegExp} pattern @param {string} path */
function namesIn(pattern, path) {
  try {
    return (pattern.exec(path) ?? [])
      .slice(1)
      .filter((name) => name !== undefined)
      .map(decodeURIComponent);
  } catch {
    // a lone %
    return null;
  }
}

function route() {
  leave();
  cancelDialogs();
  const path = location.hash.slice(1);
  const fitting = PAGES.find(([pattern]) => pattern.test(path));
  const names = fitting && namesIn(fitting[0], path);
  for (const link of document.querySelectorAll("nav a")) {
    if (fitting && names && /** @type {HTMLElement} */ (link).dataset.page === fitting[1]) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!fitting || !names) {
    document.title = "No such page - Anew Studio";
    replaceChildren(main, h("h1", {}, "There is no such page"), h("p", {}, h("a", { href: "#/" }, "All runs")));
    leave = () => {};
    return;
  }
  leave = fitting[2](main, ...names) ?? (() => {});
  scrollTo(0, 0);
}

function applyTheme() {
  const wanted = localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  document.documentElement.dataset.theme = wanted;
  const button = /** @type {HTMLElement} */ (document.getElementById("theme"));
  button.textContent = wanted === "dark" ? "Light" : "Dark";
  dispatchEvent(new Event("theme"));
  button.setAttribute("aria-label", `Switch to the ${wanted === "dark" ? "light" : "dark"} theme`);
}

document.getElementById("theme")?.addEventListener("click", () => {
  localStorage.setItem("theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  applyTheme();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme);
applyTheme();
listen((open) => {
  const link = /** @type {HTMLElement} */ (document.getElementById("link"));
  link.textContent = open ? "" : "The Studio cannot be reached. Training continues; start `anew studio` again.".replaceAll("`", "");
});
for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault()); // a file beside a zone does not replace the page
document.querySelector(".skip")?.addEventListener("click", (event) => {
  // its # would be taken for a page
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", () => {
  route();
  main.focus({ preventScroll: true }); // for the keyboard: what was in focus belongs to the page that was left
});
route();
