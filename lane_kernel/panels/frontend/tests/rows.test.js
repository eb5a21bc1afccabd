import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { KINDS, RECORD, Ranges, RowCache, chunk } from "../src/rows.js";

const fixture = JSON.parse(readFileSync(new URL("./fixtures/rows.json", import.meta.url), "utf8"));

/** @param {string} hex */
const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));

/** A chunk of rows without text. */
const rows = (first, count) => chunk({ first, count }, new ArrayBuffer(count * RECORD), new ArrayBuffer(0));

describe("rows as Python writes them", () => {
  it("agree on the record and the kinds", () => {
    expect(RECORD).toBe(fixture.record_size);
    expect(KINDS).toEqual(fixture.kinds);
  });

  it.each(Object.entries(fixture.cases))("%s", (_, { records, text, rows: expected }) => {
    const read = chunk({ first: 7, count: expected.length }, bytes(records), bytes(text));
    expected.forEach((row, i) => {
      expect(read.row(7 + i)).toMatchObject(row);
      expect(read.time(7 + i)).toBe(row.time);
    });
    expect(read.row(7).delta).toBeNaN();
    expect(read.row(8).delta).toBe(expected[1].time - expected[0].time);
  });

  it("are refused where their number and their bytes disagree", () => {
    expect(() => chunk({ first: 0, count: 2 }, new ArrayBuffer(RECORD), new ArrayBuffer(0))).toThrow(/not 2 rows/);
  });

  it("are read through a view into a larger buffer", () => {
    const { records, text, rows: expected } = fixture.cases.timeline;
    const inner = bytes(records);
    const outer = new Uint8Array(inner.length + 5);
    outer.set(inner, 5);
    const read = chunk({ first: 0, count: expected.length }, new DataView(outer.buffer, 5), bytes(text));
    expect(read.row(3).cells).toEqual(expected[3].cells);
  });
});

describe("ranges", () => {
  it("join what touches and know what is missing", () => {
    const ranges = new Ranges();
    for (const [start, stop] of [[10, 20], [30, 40], [20, 25], [5, 6], [6, 6]]) ranges.add(start, stop);
    expect(ranges.list).toEqual([[5, 6], [10, 25], [30, 40]]);
    expect(ranges.size).toBe(26);
    expect(ranges.missing(0, 50)).toEqual([[0, 5], [6, 10], [25, 30], [40, 50]]);
    expect(ranges.missing(12, 20)).toEqual([]);
    ranges.add(0, 100);
    expect(ranges.list).toEqual([[0, 100]]);
  });

  it("hold what a plain set holds", () => {
    let seed = 1;
    const random = (most) => (seed = (seed * 16807) % 2147483647) % most;
    const ranges = new Ranges();
    const set = new Set();
    for (let round = 0; round < 300; round += 1) {
      const start = random(500);
      const stop = start + random(12);
      ranges.add(start, stop);
      for (let n = start; n < stop; n += 1) set.add(n);
    }
    expect(ranges.size).toBe(set.size);
    const missing = ranges.missing(0, 520).flatMap(([a, b]) => Array.from({ length: b - a }, (_, i) => a + i));
    expect(missing).toEqual(Array.from({ length: 520 }, (_, i) => i).filter((n) => !set.has(n)));
  });
});

describe("the cache", () => {
  it("keeps rows by number, the newest of those that come twice", () => {
    const cache = new RowCache();
    cache.add(rows(0, 10));
    cache.add(rows(20, 10));
    cache.add(rows(5, 20));
    expect(cache.chunks.map(({ first, stop }) => [first, stop])).toEqual([[0, 5], [5, 25], [25, 30]]);
    expect(cache.size).toBe(30);
    expect(cache.missing(0, 40)).toEqual([[30, 40]]);
    expect(cache.find(30)).toBeNull();
    expect(cache.find(24)?.first).toBe(5);
  });

  it("splits a chunk that a smaller one falls into", () => {
    const cache = new RowCache();
    cache.add(rows(0, 10));
    cache.add(rows(4, 2));
    expect(cache.chunks.map(({ first, stop }) => [first, stop])).toEqual([[0, 4], [4, 6], [6, 10]]);
    expect(cache.size).toBe(10);
  });

  it("stays within its limit and lets go of what is farthest from the reader", () => {
    const cache = new RowCache(100);
    for (let first = 0; first < 500; first += 10) cache.add(rows(first, 10));
    expect(cache.missing(0, 500)).toEqual([[0, 400]]);
    for (let first = 500; first < 700; first += 10) cache.add(rows(first, 10), 420);
    expect(cache.size).toBe(100);
    expect(cache.find(420)).not.toBeNull();
  });

  it("holds no more chunks than rows, and finds each", () => {
    const cache = new RowCache(1000);
    for (let row = 0; row < 3000; row += 1) cache.add(rows(row, 1));
    expect(cache.chunks.length).toBe(1000);
    for (let row = 2000; row < 3000; row += 1) expect(cache.find(row)?.first).toBe(row);
  });
});
