// @vitest-environment happy-dom
import { beforeAll, describe, expect, it } from "vitest";
import inspector from "../src/inspector.js";

/** A widget model, as far as a view uses it. */
class Model {
  constructor(state) {
    this.state = state;
    this.listeners = new Map();
    this.said = [];
  }

  get(name) { return this.state[name]; }
  send(message) { this.said.push(message); }
  on(type, listener) { this.listeners.set(type, [...(this.listeners.get(type) ?? []), listener]); }
  off(type, listener) { this.listeners.set(type, (this.listeners.get(type) ?? []).filter((one) => one !== listener)); }
  emit(type, ...given) { for (const listener of this.listeners.get(type) ?? []) listener(...given); }
}

const field = (name, start, stop, bit_offset = null, bit_length = null) => ({
  name, start, stop, bit_offset, bit_length, text: "<b>text</b>", meaning: "<i>", clause: "RFC 6455 §5.2", family: "payload",
});
const entry = {
  title: "<script>alert(1)</script>", detail: "", length: 4, base: 0x9e, more_fields: 0, same: true,
  findings: [{ severity: "error", text: "<u>", clause: "§5.1", start: 0, stop: 1 }],
  fields: [field("FIN", 0, 1, 0, 1), field("opcode", 0, 1, 4, 4), field("payload", 1, 4)],
  sides: [{ label: "as the client sent it", fields: null }, { label: "as the server received it", fields: null }],
};

function shown() {
  const model = new Model({ trouble: "" });
  const el = document.createElement("div");
  document.body.append(el);
  const clean = inspector.render({ model, el });
  const data = new DataView(Uint8Array.from([0x81, 0x41, 0x00, 0x42]).buffer);
  model.emit("msg:custom", { type: "entry", entry, hint: "" }, [data, data]);
  return { model, el, clean };
}

describe("the inspector", () => {
  beforeAll(() => {
    globalThis.ResizeObserver ??= class { observe() {} disconnect() {} };
  });

  it("says hello, and shows data as text only", () => {
    const { el, model, clean } = shown();
    expect(model.said[0]).toMatchObject({ type: "hello" });
    expect(el.querySelectorAll("script, b, u").length).toBe(0);
    expect(el.querySelector(".lane-title").textContent).toBe(entry.title);
    expect([...el.querySelectorAll(".lane-hexes [data-offset]")].map((one) => one.textContent)).toEqual(["81", "41", "00", "42"]);
    expect(el.querySelector(".lane-chars").textContent).toBe("·A·B");
    expect(el.querySelector(".lane-offset").textContent).toBe("009e");
    clean();
  });

  it("marks the bytes of a field and the fields of a byte", () => {
    const { el, clean } = shown();
    el.querySelector('[data-field="payload"]').dispatchEvent(new Event("mouseover", { bubbles: true }));
    expect([...el.querySelectorAll(".lane-hexes .marked")].map((one) => one.dataset.offset)).toEqual(["1", "2", "3"]);
    el.querySelector('[data-offset="0"]').dispatchEvent(new Event("mouseover", { bubbles: true }));
    expect([...el.querySelectorAll(".lane-field.marked")].map((one) => one.dataset.field)).toEqual(["FIN", "opcode"]);
    expect([...el.querySelectorAll(".lane-bit.marked")].map((one) => one.textContent)).toEqual(["1", "0", "0", "0", "1"]);
    el.querySelector(".lane-bytes").dispatchEvent(new Event("mouseleave"));
    expect(el.querySelectorAll(".marked").length).toBe(0);
    clean();
  });

  it("is walked with arrow keys", () => {
    const { el, clean } = shown();
    const press = (where, key) => el.querySelector(where).dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    for (const key of ["ArrowDown", "ArrowDown"]) press(".lane-fields", key);
    expect(el.querySelector(".lane-field.marked").dataset.field).toBe("opcode");
    press(".lane-bytes", "ArrowRight");
    expect(el.querySelector(".lane-field.marked").dataset.field).toBe("payload");
    clean();
  });

  it("shows either end", () => {
    const { el, clean } = shown();
    const buttons = () => [...el.querySelectorAll(".lane-tabs button")];
    expect(buttons().map((one) => one.getAttribute("aria-pressed"))).toEqual(["true", "false"]);
    buttons()[1].click();
    expect(buttons().map((one) => one.getAttribute("aria-pressed"))).toEqual(["false", "true"]);
    clean();
  });

  it("shows what was meant beside what a fault left of it", () => {
    const { el, model, clean } = shown();
    const data = new DataView(Uint8Array.from([0x81, 0x00]).buffer);
    const left = { label: "as the fault left it", fields: [], length: 0, empty: "Nothing was left to be sent." };
    const fault = { ...entry, length: 2, fields: [field("FIN", 0, 1, 0, 1)], same: false, sides: [{ label: "as it was meant", fields: null }, left] };
    model.emit("msg:custom", { type: "entry", entry: fault, hint: "" }, [data, new DataView(new ArrayBuffer(0))]);
    expect(el.querySelectorAll(".lane-hexes [data-offset]").length).toBe(2);
    el.querySelectorAll(".lane-tabs button")[1].click();
    expect(el.querySelector(".lane-bytes").textContent).toBe(left.empty);
    expect(el.querySelector(".lane-fields").textContent).toBe("");
    expect(el.querySelector(".lane-tabs").textContent).toContain("≠");
    clean();
  });

  it("leaves nothing behind", () => {
    const { el, model, clean } = shown();
    clean();
    expect(el.children.length).toBe(0);
    expect([...model.listeners.values()].flat()).toEqual([]);
    expect(model.said.at(-1)).toMatchObject({ type: "bye" });
  });
});
