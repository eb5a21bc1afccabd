import { describe, expect, it } from "vitest";
import * as marks from "../src/marks.js";

const field = (name, start, stop, family = "payload", bit_offset = null, bit_length = null) => ({
  name, start, stop, family, bit_offset, bit_length, text: "", meaning: "", clause: "",
});

/** RFC 6455 §5.7's masked "Hello". */
const frame = [
  field("FIN", 0, 1, "control", 0, 1),
  field("RSV1", 0, 1, "control", 1, 1),
  field("RSV2", 0, 1, "control", 2, 1),
  field("RSV3", 0, 1, "control", 3, 1),
  field("opcode", 0, 1, "opcode", 4, 4),
  field("MASK", 1, 2, "control", 0, 1),
  field("payload length", 1, 2, "length", 1, 7),
  field("masking-key", 2, 6, "mask"),
  field("payload", 6, 11),
];
const bytes = Uint8Array.from([0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
const names = (places, fields = frame) => places.map((place) => fields[place].name);

describe("marks", () => {
  it("finds every bit field of a byte, and the one field of another", () => {
    expect(names(marks.fieldsAt(frame, 0))).toEqual(["FIN", "RSV1", "RSV2", "RSV3", "opcode"]);
    expect(names(marks.fieldsAt(frame, 1))).toEqual(["MASK", "payload length"]);
    expect(names(marks.fieldsAt(frame, 5))).toEqual(["masking-key"]);
    expect(marks.fieldsAt(frame, 11)).toEqual([]);
  });

  it("knows a field's bits in a byte", () => {
    expect(frame.map((one) => marks.bitsAt(one, 0))).toEqual([0x80, 0x40, 0x20, 0x10, 0x0f, 0, 0, 0, 0]);
    expect(marks.bitsAt(frame[6], 1)).toBe(0x7f);
    expect(marks.bitsAt(frame[8], 6)).toBe(0xff);
  });

  it("every bit of the frame belongs to exactly one field", () => {
    for (let at = 0; at < bytes.length; at += 1) {
      const masks = marks.fieldsAt(frame, at).map((place) => marks.bitsAt(frame[place], at));
      expect(masks.reduce((sum, mask) => sum + mask, 0)).toBe(0xff);
    }
  });

  it("writes bits out among dots", () => {
    expect(marks.pattern(frame[0], bytes)).toBe("1... ....");
    expect(marks.pattern(frame[4], bytes)).toBe(".... 0001");
    expect(marks.pattern(frame[6], bytes)).toBe(".000 0101");
    expect(marks.pattern(frame[8], bytes)).toBe("");
  });

  it("gives a byte its families in the order of its bits", () => {
    expect(marks.families(frame, 0)).toEqual([["control", 4], ["opcode", 4]]);
    expect(marks.families(frame, 1)).toEqual([["control", 1], ["length", 7]]);
    expect(marks.families(frame, 7)).toEqual([["payload", 8]]);
    expect(marks.families(frame, 99)).toEqual([["none", 8]]);
    expect(marks.hue([["payload", 8]])).toEqual({ name: "lane-f-payload", background: "" });
    expect(marks.hue(marks.families(frame, 0)).background).toContain("0% 50%, var(--lane-f-opcode, transparent) 50% 100%");
  });

  it("puts fields under the field that contains them, and marks the innermost", () => {
    const head = [field("line", 0, 20), field("method", 0, 3), field("target", 4, 9), field("header", 20, 40), field("value", 26, 38)];
    expect(marks.nest(head).map(({ depth }) => depth)).toEqual([0, 1, 1, 0, 1]);
    expect(names(marks.fieldsAt(head, 27), head)).toEqual(["value"]);
    expect(names(marks.fieldsAt(head, 21), head)).toEqual(["header"]);
    expect(marks.nest(frame).every(({ depth }) => depth === 0)).toBe(true);
  });
});
