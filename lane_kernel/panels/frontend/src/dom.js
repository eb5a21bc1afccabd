/** Elements, listeners and their clean-up. Text is only ever set as text. */

/**
 * An element.
 * @param {string} tag
 * @param {Record<string, unknown>} [properties] `class`, `on…` listeners, `text`; whatever else is an attribute
 * @param {...(Node | string | null | undefined)} children
 * @returns {HTMLElement}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") element.className = String(value);
    else if (name === "text") element.textContent = String(value);
    else if (typeof value === "function") element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/**
 * Set an element's text only where it differs, which spares the browser its layout.
 * @param {Element} element
 * @param {string} value
 */
export function setText(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

/** What has to be undone when a view goes away. */
export class Scope {
  constructor() {
    /** @type {(() => void)[]} */
    this.undo = [];
    this.closed = false;
    /** @type {number | null} */
    this.frame = null;
  }

  /** @param {() => void} undo */
  add(undo) {
    this.undo.push(undo);
  }

  /**
   * Listen until the scope is closed.
   * @param {EventTarget} target
   * @param {string} type
   * @param {(event: any) => void} listener
   * @param {AddEventListenerOptions} [options]
   */
  on(target, type, listener, options) {
    target.addEventListener(type, listener, options);
    this.add(() => target.removeEventListener(type, listener, options));
  }

  /**
   * Listen to a widget model until the scope is closed.
   * @param {any} model
   * @param {string} type
   * @param {(...args: any[]) => void} listener
   */
  model(model, type, listener) {
    model.on(type, listener);
    this.add(() => model.off(type, listener));
  }

  /**
   * A function that makes `draw` run once before the next picture, however often it is called.
   * @param {() => void} draw
   * @returns {() => void}
   */
  scheduler(draw) {
    /** @type {number | null} */
    let frame = null;
    this.add(() => {
      if (frame !== null) cancelAnimationFrame(frame);
    });
    return () => {
      if (frame !== null || this.closed) return;
      frame = requestAnimationFrame(() => {
        frame = null;
        draw();
      });
    };
  }

  /**
   * Call `resized` when the element's size changes, from the first time it has one.
   * @param {Element} element
   * @param {() => void} resized
   */
  size(element, resized) {
    const observer = new ResizeObserver(() => resized());
    observer.observe(element);
    this.add(() => observer.disconnect());
  }

  close() {
    this.closed = true;
    for (const undo of this.undo.reverse()) undo();
    this.undo = [];
  }
}

/**
 * The root of a panel. JupyterLab's shortcuts stay away from it: arrow keys and Shift+Enter are the panel's own.
 * @param {string} name
 * @param {string} label
 * @returns {HTMLElement}
 */
export function panel(name, label) {
  return h("section", { class: `lane lane-${name}`, "aria-label": label, "data-lm-suppress-shortcuts": "true" });
}

/**
 * Keep key presses from the notebook around the panel.
 * @param {Scope} scope
 * @param {HTMLElement} root
 */
export function keepKeys(scope, root) {
  scope.on(root, "keydown", (event) => event.stopPropagation());
}

/**
 * Say that the kernel is gone, once it is: what stands there is what was seen until then, and its controls do nothing.
 * @param {Scope} scope
 * @param {any} model
 * @param {HTMLElement} root
 */
export function watchKernel(scope, model, root) {
  const line = h("p", { class: "lane-problem lane-gone", role: "alert" });
  line.hidden = true;
  const show = (/** @type {boolean} */ lost) => {
    if (lost === !line.hidden) return;
    line.hidden = !lost;
    root.classList.toggle("lane-lost", lost);
    setText(line, lost ? `✖ The kernel is gone; this is what was seen until ${new Date().toLocaleTimeString()}. Run the cell again.` : "");
  };
  // The event does not say which way it went, and only the manager's own model knows.
  scope.model(model, "comm_live_update", async () => {
    const own = await model.widget_manager?.get_model(model.get("own_id"));
    show(!own?.comm_live);
  });
  root.append(line);
}

/**
 * Show what went wrong in the kernel, as long as the model's `trouble` says so.
 * @param {Scope} scope
 * @param {any} model
 * @param {HTMLElement} root
 */
export function showTrouble(scope, model, root) {
  const line = h("p", { class: "lane-problem", role: "alert" });
  const draw = () => {
    const trouble = model.get("trouble");
    line.hidden = trouble === "";
    setText(line, trouble === "" ? "" : `✖ ${trouble}`);
  };
  scope.model(model, "change:trouble", draw);
  draw();
  root.append(line);
}
