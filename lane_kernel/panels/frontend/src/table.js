/**
 * A table of which only the rows in sight exist. Rows have one height; new rows never move what is being read; follow stops when a person
 * scrolls up.
 */

import { Scope, h, setText } from "./dom.js";
import * as sight from "./window.js";

const ROW_HEIGHT = 22;
const PAGE_KEYS = { ArrowUp: -1, ArrowDown: 1, PageUp: -15, PageDown: 15, Home: -Infinity, End: Infinity };

/**
 * @typedef {object} Column
 * @property {string} name
 * @property {string} width a track of a CSS grid
 * @property {string} [title] what the column is, for a pointer that rests on its head
 * @property {string} [align] "end" for numbers
 * @property {(row: import("./rows.js").Row) => string} text
 * @property {(row: import("./rows.js").Row) => string} [mark] a further class of the cell
 * @property {(row: import("./rows.js").Row) => string} [tip] what a resting pointer or a screen reader is told
 */

/**
 * @typedef {object} Source
 * @property {() => number} total
 * @property {(row: number) => import("./rows.js").Row | null} row
 * @property {(first: number, stop: number) => void} need
 */

export class Table {
  /**
   * @param {Scope} scope
   * @param {{label: string, columns: Column[], source: Source, empty: HTMLElement, onSelect: (row: number) => void,
   *   onFollow: (on: boolean) => void, onDrawn?: () => void}} options
   */
  constructor(scope, { label, columns, source, empty, onSelect, onFollow, onDrawn }) {
    this.columns = columns;
    this.source = source;
    this.onSelect = onSelect;
    this.onFollow = onFollow;
    this.onDrawn = onDrawn;
    this.following = true;
    this.top = 0;
    this.drawnTotal = 0;
    /** @type {number | null} */
    this.selected = null;
    this.placed = 0;
    this.id = `lane-${Math.random().toString(36).slice(2)}`;
    const tracks = columns.map((column) => column.width).join(" ");
    this.head = h("div", { class: "lane-row lane-head", role: "row", style: `grid-template-columns: ${tracks}` });
    for (const column of columns) {
      const attributes = { role: "columnheader", class: column.align === "end" ? "lane-end" : "", title: column.title };
      this.head.append(h("span", attributes, column.name));
    }
    this.tracks = tracks;
    this.layer = h("div", { class: "lane-layer", role: "rowgroup" });
    this.body = h("div", { class: "lane-body", role: "presentation" }, this.layer);
    this.scroller = h("div", { class: "lane-scroller", role: "grid", tabindex: "0", "aria-label": label }, this.head, this.body);
    this.empty = empty;
    this.element = h("div", { class: "lane-table" }, this.scroller, empty);
    this.update = scope.scheduler(() => this.draw());
    scope.on(this.scroller, "scroll", () => this.scrolled(), { passive: true });
    scope.on(this.scroller, "keydown", (event) => this.key(event));
    scope.on(this.layer, "click", (event) => this.clicked(event));
    scope.size(this.scroller, () => this.update());
  }

  /** @returns {sight.Geometry} */
  get geometry() {
    const viewHeight = Math.max(0, this.scroller.clientHeight - this.head.offsetHeight);
    return { total: this.source.total(), rowHeight: ROW_HEIGHT, viewHeight };
  }

  /** The row in the middle of the view, which decides what the page keeps. */
  get near() {
    const { total, viewHeight } = this.geometry;
    return this.following ? total : Math.floor((this.top + viewHeight / 2) / ROW_HEIGHT);
  }

  /** How many rows are below the view. */
  get below() {
    const { total, viewHeight } = this.geometry;
    return Math.max(0, total - Math.round((this.top + viewHeight) / ROW_HEIGHT));
  }

  /** @param {boolean} on */
  follow(on) {
    if (this.following === on) return;
    this.following = on;
    this.update();
    this.onFollow(on);
  }

  scrolled() {
    const { scrollTop } = this.scroller;
    // Content only grows, so only a person moves the bar upwards.
    if (scrollTop < this.placed - 2) this.follow(false);
    else if (Math.abs(scrollTop - this.placed) <= 2) return;
    this.placed = scrollTop;
    if (!this.following) this.top = sight.topOf(this.geometry, scrollTop);
    this.update();
  }

  /**
   * Select a row and bring it into sight.
   * @param {number | null} row
   */
  select(row) {
    this.selected = row;
    if (row !== null && this.scroller.clientHeight > 0) {
      const top = sight.reveal(this.geometry, this.top, row);
      if (top !== this.top && !this.following) this.top = top;
    }
    this.update();
  }

  /**
   * A person has chosen a row: what they read stays where it is.
   * @param {number} row
   */
  choose(row) {
    this.follow(false);
    this.select(row);
    this.onSelect(row);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const total = this.source.total();
    const step = PAGE_KEYS[/** @type {keyof typeof PAGE_KEYS} */ (event.key)];
    if (step === undefined || total === 0) return;
    event.preventDefault();
    const from = this.selected ?? (step > 0 ? -1 : total);
    this.choose(Math.max(0, Math.min(total - 1, from + step)));
  }

  /** @param {MouseEvent} event */
  clicked(event) {
    const target = /** @type {Element} */ (event.target).closest("[data-row]");
    if (target !== null) this.choose(Number(target.getAttribute("data-row")));
  }

  draw() {
    const g = this.geometry;
    this.empty.hidden = g.total > 0;
    this.scroller.hidden = g.total === 0;
    if (g.viewHeight > 0) this.place(g);
    this.onDrawn?.();
  }

  /** @param {sight.Geometry} g */
  place(g) {
    this.body.style.height = `${sight.height(g)}px`;
    if (this.following) this.top = sight.bottom(g);
    this.top = Math.min(this.top, sight.bottom(g));
    const scrollTop = sight.scrollOf(g, this.top);
    if (Math.abs(this.scroller.scrollTop - scrollTop) > 1) this.scroller.scrollTop = scrollTop;
    this.placed = this.scroller.scrollTop;
    const [first, stop] = sight.inSight(g, this.top);
    this.source.need(first, stop);
    this.layer.style.transform = `translateY(${this.placed - (this.top - first * ROW_HEIGHT)}px)`;
    this.scroller.setAttribute("aria-rowcount", String(g.total + 1));
    const rows = this.layer.children;
    while (rows.length < stop - first) this.layer.append(this.blank());
    while (rows.length > stop - first) this.layer.lastElementChild?.remove();
    for (let row = first; row < stop; row += 1) this.fill(/** @type {HTMLElement} */ (rows[row - first]), row);
    const active = this.selected !== null && this.selected >= first && this.selected < stop;
    if (active) this.scroller.setAttribute("aria-activedescendant", `${this.id}-${this.selected}`);
    else this.scroller.removeAttribute("aria-activedescendant");
  }

  blank() {
    const element = h("div", { class: "lane-row", role: "row", style: `grid-template-columns: ${this.tracks}` });
    for (const column of this.columns) element.append(h("span", { role: "gridcell", class: column.align === "end" ? "lane-end" : "" }));
    return element;
  }

  /**
   * @param {HTMLElement} element
   * @param {number} number
   */
  fill(element, number) {
    const row = this.source.row(number);
    element.id = `${this.id}-${number}`;
    element.dataset.row = String(number);
    element.setAttribute("aria-rowindex", String(number + 2));
    element.setAttribute("aria-selected", String(number === this.selected));
    element.classList.toggle("lane-absent", row === null);
    if (row !== null) element.dataset.index = String(row.index);
    else delete element.dataset.index;
    this.columns.forEach((column, i) => {
      const cell = /** @type {HTMLElement} */ (element.children[i]);
      setText(cell, row === null ? (i === 0 ? "…" : "") : column.text(row));
      const mark = row === null ? "" : (column.mark?.(row) ?? "");
      const name = `${column.align === "end" ? "lane-end " : ""}${mark}`;
      if (cell.className !== name) cell.className = name;
      const tip = row === null ? "" : (column.tip?.(row) ?? "");
      if ((cell.getAttribute("title") ?? "") !== tip) {
        if (tip === "") cell.removeAttribute("title");
        else cell.setAttribute("title", tip);
      }
    });
  }
}
