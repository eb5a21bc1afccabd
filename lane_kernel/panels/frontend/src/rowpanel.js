/** What the timeline and the event log share: a table over a feed, its counters and its follow button. */

import { Scope, h, keepKeys, panel, setText, showTrouble, watchKernel } from "./dom.js";
import * as format from "./format.js";
import { speaker } from "./page.js";
import { RowStream } from "./stream.js";
import { Table } from "./table.js";

/**
 * Draw a panel of rows.
 * @param {{model: any, el: HTMLElement}} context what anywidget gives
 * @param {{name: string, label: string, noun: string, columns: import("./table.js").Column[]}} look
 * @returns {() => void} the clean-up
 */
export function renderRows({ model, el }, { name, label, noun, columns }) {
  const scope = new Scope();
  const root = panel(name, label);
  keepKeys(scope, root);
  const stream = new RowStream(speaker(scope, model));
  const counter = h("span", { class: "lane-counter", role: "status" });
  const empty = h("p", { class: "lane-empty" });
  const follow = h("button", { class: "lane-button lane-follow", type: "button" });
  const table = new Table(scope, {
    label,
    columns,
    empty,
    source: {
      total: () => stream.total,
      row: (row) => stream.cache.row(row),
      need: (first, stop) => stream.need(first, stop),
    },
    onSelect: (row) => {
      const held = stream.cache.row(row);
      if (held === null) return;
      model.set("selected", held.index);
      model.save_changes();
    },
    onFollow: (on) => {
      model.set("following", on);
      model.save_changes();
    },
    onDrawn: () => {
      stream.drawn();
      words();
    },
  });
  watchKernel(scope, model, root);
  showTrouble(scope, model, root);
  root.append(h("div", { class: "lane-bar" }, h("strong", {}, label), counter, h("span", { class: "lane-space" }), follow), table.element);

  function words() {
    const parts = [format.plural(noun === "frame" ? stream.frames : stream.total, noun), `${format.count(stream.dropped)} dropped`];
    if (stream.behind) parts.push("catching up…");
    setText(counter, parts.join(" · "));
    counter.classList.toggle("lane-bad", stream.dropped > 0);
    const below = table.below;
    setText(follow, table.following ? "● Following" : `○ Follow${below > 0 ? ` (${format.count(below)} below)` : ""}`);
    follow.setAttribute("aria-pressed", String(table.following));
    follow.title = table.following ? "New rows stay in sight. Scroll up or choose a row to stop." : "Stopped, so that nothing moves. Press to go on.";
    setText(empty, model.get("hint"));
    const { rows, total } = { rows: stream.seen.size, total: stream.total };
    root.dataset.rows = String(rows);
    root.dataset.total = String(total);
    root.dataset.frames = String(stream.frames);
  }

  /** The row of an entry, where the page holds it. @param {number | null} index */
  function rowOf(index) {
    if (index === null) return null;
    if (name === "timeline") return index;
    for (const rows of stream.cache.chunks) {
      for (let row = rows.first; row < rows.stop; row += 1) if (rows.row(row).index === index) return row;
    }
    return null;
  }

  scope.on(follow, "click", () => table.follow(!table.following));
  scope.model(model, "msg:custom", (message, buffers) => {
    if (message?.type !== "rows") return;
    stream.take(message, buffers, table.near);
    table.update();
  });
  scope.model(model, "change:selected", () => {
    const index = model.get("selected");
    const held = table.selected === null ? null : (stream.cache.row(table.selected)?.index ?? null);
    if (index !== held) table.select(rowOf(index));
  });
  scope.model(model, "change:following", () => table.follow(model.get("following")));
  scope.model(model, "change:hint", () => table.update());
  table.following = model.get("following");
  table.selected = rowOf(model.get("selected"));
  Object.assign(root, { laneStats: () => stream.stats() });
  el.append(root);
  words();
  stream.hello();
  return () => {
    scope.close();
    root.remove();
  };
}
