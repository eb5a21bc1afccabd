/** The handlers: routes, the editor of one of them, and the log of what they said and how they failed. */

import { Scope, h, keepKeys, panel, setText, showTrouble, watchKernel } from "./dom.js";
import * as format from "./format.js";
import { speaker } from "./page.js";
import { view } from "./rows.js";

const LOG_LINES = 500;

/** @type {Record<string, string>} */
const LEVELS = { error: "lane-bad", warning: "lane-s-warning", print: "lane-printed", debug: "lane-s-note" };

/** @type {Record<string, string>} */
const SIGNS = { error: "✖ ", warning: "▲ " };

/**
 * The editor's module, fetched from the kernel once per page and version.
 * @param {string} version
 * @param {() => void} ask
 * @returns {{module: Promise<any>, arrived: (code: DataView) => void}}
 */
function editorModule(version, ask) {
  const key = Symbol.for(`lane_kernel.editor.${version}`);
  const shared = /** @type {any} */ (globalThis);
  if (shared[key] === undefined) {
    /** @type {(code: DataView) => void} */
    let arrived = () => {};
    const code = new Promise((resolve) => {
      arrived = resolve;
    });
    const module = code.then(async (bytes) => {
      const url = URL.createObjectURL(new Blob([bytes], { type: "text/javascript" }));
      try {
        return await import(/* @vite-ignore */ url);
      } finally {
        URL.revokeObjectURL(url);
      }
    });
    shared[key] = { module, arrived };
    ask();
  }
  return shared[key];
}

/**
 * @typedef {object} RouteState
 * @property {string} pattern
 * @property {string} kind
 * @property {number} hits
 * @property {number} open
 * @property {string | null} error
 * @property {boolean} editable
 */

class Handlers {
  /**
   * @param {Scope} scope
   * @param {any} model
   * @param {HTMLElement} root
   */
  constructor(scope, model, root) {
    this.model = model;
    this.say = speaker(scope, model);
    /** @type {any} */
    this.editor = null;
    /** @type {RouteState[]} */
    this.routes = [];
    /** What was typed and not applied, by route. @type {Map<string, string>} */
    this.drafts = new Map();
    this.counter = h("span", { class: "lane-counter" });
    this.routeRows = h("tbody");
    const head = h("tr", {}, ...["route", "kind", "hits", "open", "state"].map((name) => h("th", { scope: "col", class: /hits|open/.test(name) ? "lane-end" : "" }, name)));
    this.table = h("table", { class: "lane-routes", "aria-label": "Routes" }, h("thead", {}, head), this.routeRows);
    this.empty = h("p", { class: "lane-empty" });
    this.pattern = /** @type {HTMLInputElement} */ (h("input", { class: "lane-input", type: "text", spellcheck: "false", "aria-label": "Route", placeholder: "/route" }));
    this.applyButton = h("button", { class: "lane-button lane-primary", type: "button", title: "Shift+Enter in the editor" }, "Apply ⇧⏎");
    this.newButton = h("button", { class: "lane-button", type: "button", title: "Start a handler for a new route" }, "New route");
    this.said = h("span", { class: "lane-counter", role: "status" });
    this.place = h("div", { class: "lane-editor" }, h("p", { class: "lane-note" }, "The editor is on its way…"));
    this.trouble = h("details", { class: "lane-trouble" });
    this.trouble.hidden = true;
    this.log = h("ol", { class: "lane-log", role: "log", tabindex: "0", "aria-label": "What handlers print, log and raise, and what peers do wrong" });
    const edit = h("div", { class: "lane-bar" }, this.pattern, this.applyButton, this.newButton, this.said);
    const top = h("div", { class: "lane-bar" }, h("strong", {}, "Handlers"), this.counter);
    root.append(top, this.table, this.empty, edit, this.place, this.trouble, h("div", { class: "lane-bar lane-log-head" }, h("strong", {}, "Log"), h("span", { class: "lane-counter" }, "what handlers print, log, raise and leave running")), this.log);
    scope.on(this.routeRows, "click", (event) => this.pick(event));
    scope.on(this.applyButton, "click", () => this.apply());
    scope.on(this.newButton, "click", () => this.begin());
    scope.on(this.pattern, "keydown", (event) => {
      if (event.key === "Enter") this.apply();
    });
    scope.add(() => this.editor?.destroy());
  }

  /** @param {{createEditor: Function}} module */
  ready(module) {
    this.place.replaceChildren();
    this.editor = module.createEditor({
      parent: this.place,
      doc: this.model.get("source"),
      onApply: () => this.apply(),
      onChange: () => this.changed(),
    });
    this.shownError();
  }

  changed() {
    setText(this.said, "not applied yet");
  }

  apply() {
    if (this.editor === null) return;
    const pattern = this.pattern.value.trim();
    setText(this.said, "applying…");
    this.drafts.delete(pattern);
    this.say({ type: "apply", pattern, source: this.editor.get() });
  }

  /** Keep what is typed and not applied, before another route comes into the editor. */
  keepDraft() {
    const text = this.editor?.get();
    if (text !== undefined && text !== this.model.get("source")) this.drafts.set(this.model.get("pattern"), text);
  }

  /** The kernel has put a route into the editor; a draft of it comes back. */
  opened() {
    const pattern = this.model.get("pattern");
    const draft = this.drafts.get(pattern);
    this.drafts.delete(pattern);
    this.pattern.value = pattern;
    this.editor?.set(draft ?? this.model.get("source"));
    setText(this.said, draft === undefined ? "" : "not applied yet");
    this.state({ routes: this.routes, hint: this.empty.textContent ?? "" });
  }

  begin() {
    this.keepDraft();
    this.say({ type: "new" });
    this.pattern.focus();
    this.pattern.select();
  }

  /** @param {MouseEvent} event */
  pick(event) {
    const row = /** @type {Element} */ (event.target).closest("[data-pattern]");
    if (row === null) return;
    this.keepDraft();
    this.say({ type: "open", pattern: row.getAttribute("data-pattern") });
  }

  /** What the kernel says about the routes. @param {{routes: RouteState[], hint: string}} state */
  state({ routes, hint }) {
    this.routes = routes;
    setText(this.counter, format.plural(routes.length, "route"));
    setText(this.empty, hint);
    this.empty.hidden = hint === "";
    this.table.hidden = routes.length === 0;
    const current = this.model.get("pattern");
    while (this.routeRows.children.length < routes.length) {
      const button = h("button", { class: "lane-link", type: "button" });
      this.routeRows.append(h("tr", {}, h("td", {}, button), h("td"), h("td", { class: "lane-end" }), h("td", { class: "lane-end" }), h("td")));
    }
    while (this.routeRows.children.length > routes.length) this.routeRows.lastElementChild?.remove();
    routes.forEach((route, i) => {
      const row = /** @type {HTMLTableRowElement} */ (this.routeRows.children[i]);
      row.dataset.pattern = route.pattern;
      row.setAttribute("aria-current", String(route.pattern === current));
      setText(/** @type {Element} */ (row.cells[0].firstElementChild), route.pattern);
      setText(row.cells[1], route.kind);
      setText(row.cells[2], format.count(route.hits));
      setText(row.cells[3], format.count(route.open));
      setText(row.cells[4], route.error === null ? "● ok" : `✖ ${route.error}`);
      row.cells[4].className = route.error === null ? "lane-ok" : "lane-bad";
      row.cells[4].title = route.error ?? "The last run went well, or none has been yet";
    });
  }

  /** The outcome of Apply. @param {{text: string}} result */
  result({ text }) {
    setText(this.said, text);
  }

  shownError() {
    const error = this.model.get("mistake");
    this.trouble.hidden = error === null;
    if (error === null) {
      this.editor?.mark(null, "");
      return;
    }
    const where = error.line === null ? "" : `line ${error.line}: `;
    const words = h("summary", {}, `✖ ${where}${error.message}`, h("span", { class: "lane-counter" }, error.kept));
    this.trouble.replaceChildren(words, h("pre", { class: "lane-traceback" }, error.traceback));
    this.editor?.mark(error.line, error.message);
  }

  /** @param {{time: number, route: string, connection: number | null, level: string, text: string, line: number | null, traceback: string | null, source: string}[]} records */
  records(records) {
    const atEnd = this.log.scrollTop + this.log.clientHeight >= this.log.scrollHeight - 4;
    for (const record of records.slice(-LOG_LINES)) {
      const line = h("li", { class: LEVELS[record.level] ?? "" });
      const where = record.connection === null ? record.route : `${record.route} ${record.connection}`;
      line.append(h("span", { class: "lane-offset" }, format.time(record.time)), h("span", { class: "lane-where" }, where));
      // Where a print comes from needs no word; a logger's name and stderr do.
      if (record.source !== "" && record.source !== "stdout") line.append(h("span", { class: "lane-source" }, record.source));
      const words = `${SIGNS[record.level] ?? ""}${record.text}${record.line === null ? "" : ` (line ${record.line})`}`;
      if (record.traceback === null) line.append(h("span", {}, words));
      else line.append(h("details", {}, h("summary", {}, words), h("pre", { class: "lane-traceback" }, record.traceback)));
      this.log.append(line);
    }
    while (this.log.children.length > LOG_LINES) this.log.firstElementChild?.remove();
    if (atEnd) this.log.scrollTop = this.log.scrollHeight;
  }
}

/** @param {{model: any, el: HTMLElement}} context */
function render({ model, el }) {
  const scope = new Scope();
  const root = panel("handlers", "Handlers");
  keepKeys(scope, root);
  watchKernel(scope, model, root);
  showTrouble(scope, model, root);
  const handlers = new Handlers(scope, model, root);
  const { module, arrived } = editorModule(model.get("editor_version"), () => handlers.say({ type: "editor" }));
  let seen = 0;
  scope.model(model, "msg:custom", (message, buffers) => {
    if (message?.type === "editor") arrived(view(buffers[0]));
    else if (message?.type === "state") handlers.state(message);
    else if (message?.type === "opened") handlers.opened();
    else if (message?.type === "result") handlers.result(message);
    else if (message?.type === "log") {
      // Lines come again when another page says hello; a number makes each appear once.
      const fresh = message.records.slice(Math.max(0, seen - message.first));
      seen = Math.max(seen, message.first + message.records.length);
      handlers.records(fresh);
    }
  });
  scope.model(model, "change:mistake", () => handlers.shownError());
  module.then(
    (loaded) => {
      if (!scope.closed) handlers.ready(loaded);
    },
    (error) => setText(handlers.place, `The editor could not be loaded: ${error}`),
  );
  handlers.opened();
  handlers.shownError();
  el.append(root);
  handlers.say({ type: "hello" });
  return () => {
    scope.close();
    root.remove();
  };
}

export default { render };
