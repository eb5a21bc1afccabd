/** The playground's status bar. */

import { Scope, h, keepKeys, panel, setText, showTrouble, watchKernel } from "./dom.js";
import * as format from "./format.js";
import { speaker } from "./page.js";

/** @param {{model: any, el: HTMLElement}} context */
function render({ model, el }) {
  const scope = new Scope();
  const say = speaker(scope, model);
  const root = panel("status", "Playground");
  keepKeys(scope, root);
  watchKernel(scope, model, root);
  showTrouble(scope, model, root);
  const light = h("span", { class: "lane-light" });
  const address = h("code", { class: "lane-address" });
  const copy = h("button", { class: "lane-button", type: "button", title: "Copy the address", "aria-label": "Copy the address" }, "Copy");
  const counters = h("span", { class: "lane-counter", role: "status" });
  const toggle = h("button", { class: "lane-button", type: "button" });
  const blocked = h("span", { class: "lane-blocked" });
  root.append(h("div", { class: "lane-bar" }, light, address, copy, counters, blocked, h("span", { class: "lane-space" }), toggle));

  function draw() {
    const state = model.get("state");
    setText(light, state.running ? "● running" : state.replaced ? "○ replaced" : "○ stopped");
    light.title = state.replaced ? "A newer server of this name took its place: run the cell that shows the playground again" : "";
    light.className = `lane-light ${state.running ? "lane-ok" : ""}`;
    setText(address, state.running ? state.address : state.replaced ? "run this cell again to see the newer server" : "await server.start()");
    copy.hidden = !state.running;
    toggle.hidden = state.replaced;
    const parts = [
      format.plural(state.connections, "connection"),
      ...(state.frames === null ? [] : [format.plural(state.frames, "frame")]),
      `${format.count(state.dropped)} dropped`,
      `capture ${format.size(state.size)} of ${format.size(state.budget)}`,
    ];
    setText(counters, parts.join(" · "));
    blocked.hidden = state.blocked === null;
    if (state.blocked !== null) {
      const { count, last, longest, by, long } = state.blocked;
      const times = count === 1 ? "" : ` ${format.count(count)} times: longest ${format.delta(longest * 1e9)}, last`;
      setText(blocked, `${long ? "▲ " : ""}loop blocked${times} ${format.delta(last * 1e9)}`);
      blocked.title = `While the loop is blocked, no server on it answers.\nLongest by ${by}`;
      blocked.className = `lane-blocked ${long ? "lane-s-warning" : "lane-counter"}`;
    }
    setText(toggle, state.running ? "Stop" : "Start");
    toggle.title = state.running ? "Close every connection and stop listening" : "Start the server";
  }

  scope.on(copy, "click", async () => {
    try {
      await navigator.clipboard.writeText(model.get("state").address);
      setText(copy, "Copied");
    } catch {
      getSelection()?.selectAllChildren(address);
      setText(copy, "Press Ctrl+C");
    }
  });
  scope.on(copy, "mouseleave", () => setText(copy, "Copy"));
  scope.on(toggle, "click", () => say({ type: model.get("state").running ? "stop" : "start" }));
  scope.model(model, "change:state", draw);
  draw();
  el.append(root);
  say({ type: "hello" });
  return () => {
    scope.close();
    root.remove();
  };
}

export default { render };
