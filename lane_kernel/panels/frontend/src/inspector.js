/** The inspector: one entry's bytes beside its fields; marking either marks the other. */

import { Scope, h, keepKeys, panel, setText, showTrouble, watchKernel } from "./dom.js";
import * as format from "./format.js";
import * as marks from "./marks.js";
import { speaker } from "./page.js";
import { view } from "./rows.js";

const SIGN_MARKS = { note: "ⓘ", warning: "▲", error: "✖" };
/** From this width on, in pixels, sixteen bytes in a line leave room for the fields beside them. */
const WIDE = 960;

/** Below this width the fields stand under the bytes. */
const NARROW = 760;

/** The width of sixteen bytes in a line. */
const LINE = 600;

/**
 * @typedef {object} Shown
 * @property {string} title
 * @property {string} detail
 * @property {number} length
 * @property {number} base the offset of the first byte in its direction's stream
 * @property {marks.Field[]} fields
 * @property {number} more_fields how many fields are not sent
 * @property {{severity: "note" | "warning" | "error", text: string, clause: string, start: number | null, stop: number | null}[]} findings
 * @property {{label: string, fields: marks.Field[] | null, length?: number, empty?: string}[]} sides one for each end whose bytes are
 *   held; of a fault, what was meant and what was left of it. A side of its own length says it, and what it says where it is empty.
 * @property {boolean} same whether both ends saw the same bytes
 */

class Inspector {
  /**
   * @param {Scope} scope
   * @param {HTMLElement} root
   */
  constructor(scope, root) {
    this.root = root;
    /** @type {Shown | null} */
    this.shown = null;
    /** @type {Uint8Array[]} */
    this.data = [];
    this.side = 0;
    this.columns = 16;
    /** @type {marks.Nested[]} */
    this.fields = [];
    this.cursor = 0;
    this.title = h("strong", { class: "lane-title" });
    this.detail = h("span", { class: "lane-counter" });
    this.tabs = h("div", { class: "lane-tabs", role: "group", "aria-label": "Whose bytes" });
    this.findings = h("ul", { class: "lane-findings", "aria-label": "Findings" });
    this.bytes = h("div", { class: "lane-bytes", tabindex: "0", role: "group", "aria-label": "Bytes: arrow keys move from byte to byte" });
    this.bits = h("div", { class: "lane-bits", role: "status" });
    this.tree = h("div", { class: "lane-fields", role: "listbox", tabindex: "0", "aria-label": "Fields: arrow keys move from field to field" });
    this.empty = h("p", { class: "lane-empty" });
    const left = h("div", { class: "lane-left" }, this.bytes, this.bits);
    this.panes = h("div", { class: "lane-panes" }, left, this.tree);
    root.append(h("div", { class: "lane-bar" }, this.title, this.detail, h("span", { class: "lane-space" }), this.tabs), this.findings, this.panes, this.empty);
    for (const type of ["mouseover", "click"]) {
      scope.on(this.bytes, type, (event) => this.pointed(event, "offset", (offset) => this.markByte(offset)));
      scope.on(this.tree, type, (event) => this.pointed(event, "field", (place) => this.markField(place)));
    }
    scope.on(this.bytes, "mouseleave", () => this.clear());
    scope.on(this.tree, "mouseleave", () => this.clear());
    scope.on(this.bytes, "focus", () => this.markByte(this.cursor));
    scope.on(this.bytes, "keydown", (event) => this.byteKey(event));
    scope.on(this.tree, "keydown", (event) => this.fieldKey(event));
    scope.size(this.panes, () => this.fit());
  }

  /**
   * @param {Shown | null} shown
   * @param {Uint8Array[]} data
   * @param {string} hint
   */
  show(shown, data, hint) {
    this.shown = shown;
    this.data = data;
    this.side = 0;
    this.cursor = 0;
    setText(this.empty, hint);
    this.empty.hidden = shown !== null;
    this.panes.hidden = shown === null;
    this.draw();
  }

  fit() {
    const width = this.panes.clientWidth;
    const narrow = width < NARROW;
    const columns = width >= (narrow ? LINE : WIDE) ? 16 : 8;
    this.panes.classList.toggle("lane-narrow", narrow);
    if (columns === this.columns || width === 0) return;
    this.columns = columns;
    this.draw();
  }

  draw() {
    const { shown } = this;
    setText(this.title, shown?.title ?? "Inspector");
    setText(this.detail, shown?.detail ?? "");
    this.tabs.replaceChildren();
    this.findings.replaceChildren();
    this.bytes.replaceChildren();
    this.tree.replaceChildren();
    setText(this.bits, "");
    if (shown === null) return;
    this.fields = marks.nest(shown.sides[this.side].fields ?? shown.fields);
    this.drawTabs(shown);
    for (const finding of shown.findings) {
      const sign = h("span", { class: `lane-sign lane-s-${finding.severity}`, "aria-hidden": "true" }, SIGN_MARKS[finding.severity]);
      const words = h("span", {}, `${finding.severity}: ${finding.text}`);
      this.findings.append(h("li", {}, sign, words, h("span", { class: "lane-clause" }, finding.clause)));
    }
    this.drawBytes(shown);
    this.drawFields(shown);
  }

  /** @param {Shown} shown */
  drawTabs(shown) {
    shown.sides.forEach(({ label }, side) => {
      if (shown.sides.length < 2) this.tabs.append(h("span", { class: "lane-counter" }, label));
      else {
        const pressed = String(side === this.side);
        const choose = () => {
          this.side = side;
          this.draw();
        };
        this.tabs.append(h("button", { class: "lane-button", type: "button", "aria-pressed": pressed, onclick: choose }, label));
      }
    });
    if (shown.sides.length > 1) this.tabs.append(h("span", { class: "lane-counter" }, shown.same ? "= same bytes" : "≠ bytes differ"));
  }

  /** @param {Shown} shown */
  drawBytes(shown) {
    const data = this.data[this.side];
    const width = Math.max(4, (shown.base + data.length).toString(16).length);
    const lines = document.createDocumentFragment();
    for (let at = 0; at < data.length; at += this.columns) {
      const line = h("div", { class: "lane-line" }, h("span", { class: "lane-offset" }, (shown.base + at).toString(16).padStart(width, "0")));
      const hexes = h("span", { class: "lane-hexes" });
      const chars = h("span", { class: "lane-chars" });
      for (let offset = at; offset < Math.min(at + this.columns, data.length); offset += 1) {
        const { name, background } = marks.hue(marks.families(this.fields, offset));
        const style = background === "" ? null : `background: ${background}`;
        const gap = offset - at === 8 ? " lane-gap" : "";
        hexes.append(h("span", { class: name + gap, style, "data-offset": offset }, format.hex(data[offset])));
        chars.append(h("span", { class: name, style, "data-offset": offset }, format.ascii(data[offset])));
      }
      line.append(hexes, chars);
      lines.append(line);
    }
    const { length = shown.length, empty = "No bytes: this is something that happened, not something that was sent." } = shown.sides[this.side];
    if (length > data.length) {
      lines.append(h("p", { class: "lane-note" }, `The first ${format.count(data.length)} of ${format.plural(length, "byte")} are shown.`));
    }
    if (length === 0) lines.append(h("p", { class: "lane-note" }, empty));
    this.bytes.append(lines);
    this.bytes.style.setProperty("--lane-columns", String(this.columns));
  }

  /** @param {Shown} shown */
  drawFields(shown) {
    const data = this.data[this.side];
    this.fields.forEach((field, place) => {
      const name = h("span", { class: "lane-name", style: `padding-inline-start: ${20 + field.depth * 12}px` }, h("i", { class: `lane-swatch lane-f-${field.family}` }), field.name);
      const bits = marks.pattern(field, data);
      const value = h("span", { class: "lane-value" }, field.text);
      if (bits !== "") value.prepend(h("span", { class: "lane-pattern" }, bits));
      const row = h("div", { class: "lane-field", role: "option", "aria-selected": "false", "data-field": field.name, "data-place": place });
      row.append(name, value, h("span", { class: "lane-meaning" }, field.meaning), h("span", { class: "lane-clause" }, field.clause));
      this.tree.append(row);
    });
    if (shown.more_fields > 0) this.tree.append(h("p", { class: "lane-note" }, `${format.plural(shown.more_fields, "further field")} not shown.`));
    if (this.fields.length === 0 && data.length > 0) this.tree.append(h("p", { class: "lane-note" }, "No fields: these bytes are not dissected."));
  }

  /**
   * @param {Event} event
   * @param {"offset" | "field"} kind
   * @param {(place: number) => void} mark
   */
  pointed(event, kind, mark) {
    const attribute = kind === "offset" ? "data-offset" : "data-place";
    const target = /** @type {Element} */ (event.target).closest(`[${attribute}]`);
    if (target !== null) mark(Number(target.getAttribute(attribute)));
  }

  clear() {
    for (const element of this.root.querySelectorAll(".marked")) element.classList.remove("marked");
    for (const element of this.tree.querySelectorAll("[aria-selected=true]")) element.setAttribute("aria-selected", "false");
    setText(this.bits, "");
  }

  /** @param {number} offset */
  markByte(offset) {
    this.clear();
    if (offset >= this.data[this.side]?.length) return;
    this.cursor = offset;
    const places = marks.fieldsAt(this.fields, offset);
    for (const place of places) this.tint(place);
    this.tintBytes((at) => at === offset);
    this.bitsOf(offset, places);
    this.scrollTo(this.tree.querySelector(".marked"));
  }

  /** @param {number} place */
  markField(place) {
    this.clear();
    const field = this.fields[place];
    if (field === undefined) return;
    this.tint(place);
    this.tintBytes((at) => field.start <= at && at < field.stop);
    if (field.bit_offset !== null) this.bitsOf(field.start, [place]);
    this.scrollTo(this.bytes.querySelector(".marked"));
  }

  /**
   * Scroll within the pane only: `scrollIntoView` would move the notebook too.
   * @param {Element | null} element
   */
  scrollTo(element) {
    const pane = element?.closest(".lane-fields, .lane-bytes");
    if (!element || !pane) return;
    const inner = element.getBoundingClientRect();
    const outer = pane.getBoundingClientRect();
    if (inner.top < outer.top) pane.scrollTop -= outer.top - inner.top + 4;
    else if (inner.bottom > outer.bottom) pane.scrollTop += inner.bottom - outer.bottom + 4;
  }

  /** @param {number} place */
  tint(place) {
    const row = this.tree.querySelector(`[data-place="${place}"]`);
    row?.classList.add("marked");
    row?.setAttribute("aria-selected", "true");
  }

  /** @param {(offset: number) => boolean} wanted */
  tintBytes(wanted) {
    for (const element of this.bytes.querySelectorAll("[data-offset]")) {
      if (wanted(Number(element.getAttribute("data-offset")))) element.classList.add("marked");
    }
  }

  /**
   * Write a byte out in bits, each with its field; those of `places` are marked.
   * @param {number} offset
   * @param {number[]} places
   */
  bitsOf(offset, places) {
    const byte = this.data[this.side][offset];
    const here = marks.fieldsAt(this.fields, offset).map((place) => ({ place, field: this.fields[place] }));
    const label = h("span", { class: "lane-offset" }, `${format.hex(byte)} =`);
    this.bits.replaceChildren(label);
    for (let bit = 0; bit < 8; bit += 1) {
      const owner = here.find(({ field }) => marks.bitsAt(field, offset) & (0x80 >> bit));
      const marked = owner !== undefined && owner.field.bit_offset !== null && places.includes(owner.place);
      const name = `lane-bit lane-f-${owner?.field.family ?? "none"}${marked ? " marked" : ""}${bit === 4 ? " lane-gap" : ""}`;
      this.bits.append(h("span", { class: name, title: owner?.field.name }, byte & (0x80 >> bit) ? "1" : "0"));
    }
    const names = places.map((place) => this.fields[place].name).join(", ");
    this.bits.append(h("span", { class: "lane-counter" }, names === "" ? "in no field" : names));
  }

  /** @param {KeyboardEvent} event */
  byteKey(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns };
    const step = steps[/** @type {keyof typeof steps} */ (event.key)];
    if (step === undefined || this.shown === null) return;
    event.preventDefault();
    this.markByte(Math.max(0, Math.min(this.data[this.side].length - 1, this.cursor + step)));
    this.scrollTo(this.bytes.querySelector(".marked"));
  }

  /** @param {KeyboardEvent} event */
  fieldKey(event) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (step === undefined || this.fields.length === 0) return;
    event.preventDefault();
    const marked = this.tree.querySelector(".marked");
    const from = marked === null ? (step > 0 ? -1 : this.fields.length) : Number(marked.getAttribute("data-place"));
    this.markField(Math.max(0, Math.min(this.fields.length - 1, from + step)));
    this.scrollTo(this.tree.querySelector(".marked"));
  }
}

/** @param {{model: any, el: HTMLElement}} context */
function render({ model, el }) {
  const scope = new Scope();
  const say = speaker(scope, model);
  const root = panel("inspector", "Inspector");
  keepKeys(scope, root);
  watchKernel(scope, model, root);
  showTrouble(scope, model, root);
  const inspector = new Inspector(scope, root);
  scope.model(model, "msg:custom", (message, buffers) => {
    if (message?.type !== "entry") return;
    const data = /** @type {DataView[]} */ (buffers).map((buffer) => {
      const bytes = view(buffer);
      return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    });
    inspector.show(message.entry, data, message.hint);
  });
  inspector.show(null, [], "");
  el.append(root);
  say({ type: "hello" });
  return () => {
    scope.close();
    root.remove();
  };
}

export default { render };
