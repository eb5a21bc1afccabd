import { describe, expect, it } from "vitest";
import * as sight from "../src/window.js";

const table = (total) => ({ total, rowHeight: 22, viewHeight: 308 });

describe("rows in sight", () => {
  it("are few, whatever the total", () => {
    for (const total of [0, 1, 14, 1000, 1_000_000, 50_000_000]) {
      const g = table(total);
      const [first, stop] = sight.inSight(g, sight.bottom(g));
      expect(stop).toBe(total);
      expect(stop - first).toBeLessThanOrEqual(17);
      expect(sight.height(g)).toBeLessThanOrEqual(sight.TALLEST);
    }
  });

  it("begin where the bar stands while the table is short enough", () => {
    const g = table(1000);
    expect(sight.topOf(g, 440)).toBe(440);
    expect(sight.scrollOf(g, 440)).toBe(440);
    expect(sight.inSight(g, 440)).toEqual([18, 36]);
  });

  it("reach from the first row to the last in a table taller than a browser draws", () => {
    const g = table(1_000_000);
    expect(sight.topOf(g, 0)).toBe(0);
    expect(sight.topOf(g, sight.height(g) - g.viewHeight)).toBe(sight.bottom(g));
  });

  it.each([0, 22, 12_345 * 22, 999_000 * 22])("go to a place and back: %d", (top) => {
    const g = table(1_000_000);
    expect(sight.topOf(g, sight.scrollOf(g, top))).toBeCloseTo(top, 3);
  });

  it("move the least that shows a row", () => {
    const g = table(1000);
    expect(sight.reveal(g, 440, 25)).toBe(440);
    expect(sight.reveal(g, 440, 5)).toBe(110);
    expect(sight.reveal(g, 440, 40)).toBe(41 * 22 - 308);
  });

  it("do not scroll where all are in sight", () => {
    const g = table(5);
    expect(sight.bottom(g)).toBe(0);
    expect(sight.topOf(g, 100)).toBe(0);
    expect(sight.reveal(g, 0, 4)).toBe(0);
  });
});
