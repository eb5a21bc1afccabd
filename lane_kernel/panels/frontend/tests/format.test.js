import { expect, it } from "vitest";
import * as format from "../src/format.js";

it.each([
  [0, "00.000"], [4_301_882_000, "04.301"], [64_301_000_000, "1:04.301"], [3_724_301_000_000, "1:02:04.301"],
])("time %d is %s", (ns, text) => expect(format.time(ns)).toBe(text));

it.each([
  [0, "0 µs"], [12_300, "12 µs"], [400_000, "0.4 ms"], [9_940_000, "9.9 ms"], [16_000_000, "16 ms"], [683_400_000, "683 ms"],
  [1_240_000_000, "1.2 s"], [180_000_000_000, "3 min"], [-2_000, "-2 µs"],
])("distance %d is %s", (ns, text) => expect(format.delta(ns)).toBe(text));

it.each([[0, "0"], [999, "999"], [1204, "1,204"], [1_000_000, "1,000,000"]])("count %d is %s", (n, text) => {
  expect(format.count(n)).toBe(text);
});

it("counts nouns", () => {
  expect([0, 1, 1204].map((n) => format.plural(n, "frame"))).toEqual(["0 frames", "1 frame", "1,204 frames"]);
});

it.each([[1, "1 byte"], [1023, "1,023 bytes"], [2_202_010, "2.1 MiB"], [256 * 2 ** 20, "256 MiB"]])("size %d is %s", (n, text) => {
  expect(format.size(n)).toBe(text);
});

it("shows what cannot be printed as a dot", () => {
  expect([0x00, 0x0a, 0x20, 0x41, 0x7e, 0x7f, 0xff].map(format.ascii).join("")).toBe("·· A~··");
  expect(format.hex(10)).toBe("0a");
});
