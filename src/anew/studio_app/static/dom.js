// Elements, and numbers as text. Text from runs and data is always set as text, never as HTML.

/**
 * An element.
 * @param {string} tag
 * @param {Record<string, any>} [properties] attributes; `on...` are listeners, `class`, `data-...` as in HTML
 * @param {...(Node | string | number | null | undefined | false | (Node | string | null)[])} children
 * @returns {any}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && !name.includes("-") && name !== "list" && name !== "form") /** @type {any} */ (element)[name] = value;
    else element.setAttribute(name === "class" ? "class" : name, value === true ? "" : String(value));
  }
  if (properties.class) element.className = properties.class;
  append(element, children);
  return element;
}

/** @param {Node} element @param {any[]} children */
export function append(element, children) {
  for (const child of children.flat(3)) {
    if (child === null || child === undefined || child === false) continue;
    element.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/**
 * An SVG element.
 * @param {string} tag
 * @param {Record<string, any>} attributes
 * @param {...(Node | string)} children
 * @returns {SVGElement}
 */
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  append(element, children);
  return element;
}

/** Replace all children of an element. @param {Element} element @param {...any} children */
export function replaceChildren(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/** What tells a control from others on a part of a page. @param {Element} control */
function controlName(control) {
  return [control.tagName, control.getAttribute("href") ?? control.getAttribute("aria-label") ?? control.textContent].join(" ");
}

/**
 * Draw a part of the page again, and keep the keyboard focus on the control that has it, if it is still there.
 * @param {Element} part
 * @param {() => void} draw
 */
export function keepFocus(part, draw) {
  const focused = part.contains(document.activeElement) ? document.activeElement : null;
  const name = focused && controlName(focused);
  draw();
  if (!name || document.activeElement === focused) return;
  const controls = /** @type {HTMLElement[]} */ ([...part.querySelectorAll("a, button, input, summary")]);
  controls.find((control) => controlName(control) === name)?.focus({ preventScroll: true });
}

/** The output of a command. @param {string[]} lines @param {string} [none] what to say instead of no output */
export function outputOf(lines, none = "") {
  return h("pre", { class: "words output", tabindex: 0 }, lines.join("\n") || none);
}

/**
 * Replace all children of an element, where the output of a command keeps showing its end, unless the reader has scrolled away from it.
 * @param {Element} element
 * @param {...any} children
 */
export function drawWithOutput(element, ...children) {
  const before = element.querySelector("pre.output");
  const place = before && before.scrollTop + before.clientHeight < before.scrollHeight - 1 ? before.scrollTop : null;
  replaceChildren(element, children);
  const output = element.querySelector("pre.output");
  if (output) output.scrollTop = place ?? output.scrollHeight;
}

/** "8 s", "1:05", "2:30:00". @param {number} seconds */
export function clock(seconds) {
  const whole = Math.round(Math.max(0, seconds));
  if (whole < 60) return `${whole} s`;
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** With commas between thousands. @param {number} value */
export function count(value) {
  return Number(value).toLocaleString("en-US");
}

/** "1 step", "2,000 steps". @param {number} number @param {string} noun */
export function plural(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** A number with as many digits as a reader needs. @param {number} value */
export function short(value) {
  if (!Number.isFinite(value)) return "-";
  if (value !== 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e6)) return value.toExponential(2);
  return Math.abs(value) >= 100 ? count(Math.round(value * 10) / 10) : String(Number(value.toPrecision(4)));
}

/** A number of bytes in a readable unit. @param {number} size */
export function bytes(size) {
  if (size >= 1e9) return `${(size / 1e9).toFixed(2)} GB`;
  return size >= 1e5 ? `${(size / 1e6).toFixed(1)} MB` : `${count(size)} bytes`;
}

/** A message of the library as a sentence, without the backticks around arguments. @param {string} message */
export function asSentence(message) {
  const text = message.replaceAll("`", "");
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;
}

/** "grad_norm" as words. @param {string} name */
export function words(name) {
  return name.replaceAll("_", " ");
}

const FADE_MS = 300; // longer than the transition of its opacity

/** Show a message for some seconds. @param {string} sentence */
export function showToast(sentence) {
  const box = /** @type {HTMLElement} */ (document.getElementById("toast"));
  const later = (/** @type {() => void} */ action, /** @type {number} */ ms) => {
    box.dataset.timer = String(setTimeout(action, ms));
  };
  box.textContent = sentence;
  box.classList.add("on");
  clearTimeout(Number(box.dataset.timer));
  later(
    () => {
      box.classList.remove("on");
      later(() => {
        box.textContent = "";
      }, FADE_MS); // else a screen reader finds it on every later page
    },
    3000 + 40 * sentence.length,
  );
}

/**
 * Do something while its button says so and cannot be pressed again.
 * @template T @param {HTMLButtonElement} button @param {string} text on the button meanwhile @param {() => Promise<T>} action
 * @param {HTMLElement} [status] where a bar shows that it goes on @returns {Promise<T>}
 */
export async function busy(button, text, action, status) {
  const label = button.textContent;
  Object.assign(button, { disabled: true, textContent: text });
  if (status) replaceChildren(status, h("progress", { "aria-label": text }));
  try {
    return await action();
  } finally {
    Object.assign(button, { disabled: false, textContent: label });
    if (document.activeElement === document.body) button.focus(); // which it lost when it was disabled
    if (status) replaceChildren(status);
  }
}

const FRAME_MARGIN = 48; // pixels for the margins of the page in a frame

/** Close all dialogs as if they were cancelled: what they ask belongs to the page that is left. */
export function cancelDialogs() {
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.dispatchEvent(new Event("cancel"));
    dialog.close();
    dialog.remove();
  }
}

/**
 * Ask for confirmation before something that cannot be undone.
 * @param {string} title @param {string} text @param {string} verb @returns {Promise<boolean>}
 */
export function confirmed(title, text, verb) {
  return new Promise((resolve) => {
    const close = (/** @type {boolean} */ answer) => {
      dialog.close();
      dialog.remove();
      resolve(answer);
    };
    const dialog = h(
      "dialog",
      { "aria-labelledby": "asked", oncancel: () => close(false) },
      h("h2", { id: "asked" }, title),
      h("p", {}, text),
      h(
        "div",
        { class: "actions" },
        h("button", { type: "button", onclick: () => close(false) }, "Cancel"),
        h("button", { type: "button", class: "main", onclick: () => close(true) }, verb),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A report in a frame, which is as high as what it holds. Scripts in it do not run. @param {string} src @param {string} title */
export function reportFrame(src, title) {
  const frame = h("iframe", {
    src,
    title,
    onload: () => {
      const body = frame.contentDocument?.body;
      const fit = () => {
        if (body?.scrollHeight) frame.style.height = `${body.scrollHeight + FRAME_MARGIN}px`;
      };
      if (body) new ResizeObserver(fit).observe(body);
    },
  });
  frame.setAttribute("sandbox", "allow-same-origin");
  return h("div", {}, h("p", { class: "hint" }, h("a", { href: src, target: "_blank", rel: "noopener" }, "Open the report alone")), frame);
}

/** Draw again whenever the theme changes, as long as an element is on the page. @param {Element} element @param {() => void} draw */
export function onTheme(element, draw) {
  const wasShown = { value: false };
  const redraw = () => {
    wasShown.value ||= element.isConnected;
    if (wasShown.value && !element.isConnected) removeEventListener("theme", redraw);
    else draw();
  };
  addEventListener("theme", redraw);
}

/**
 * Take what is dropped on an element, which is marked while something is dragged over it.
 * @param {HTMLElement} zone
 * @param {(dropped: DataTransfer) => unknown} take
 */
export function acceptDrops(zone, take) {
  for (const name of ["dragenter", "dragover"]) {
    zone.addEventListener(name, (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
  }
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    take(/** @type {DataTransfer} */ (event.dataTransfer));
  });
}
