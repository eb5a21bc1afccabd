import { describe, expect, it } from "vitest";
import { RECORD } from "../src/rows.js";
import { Delays, PATIENCE, PIECE, RowStream } from "../src/stream.js";

/** The kernel's end, as far as the page can tell. */
class Kernel {
  constructor() {
    this.said = [];
    this.clock = 1_000;
    this.stream = new RowStream((message) => this.said.push(message), { now: () => this.clock, limit: 5_000 });
    this.seq = 0;
    this.total = 0;
  }

  /** @param {[string, number, number][]} segments kind, first, stop */
  send(segments, { total, generation = 1, skipped = [], lost = false, epoch_ms = 0 } = {}) {
    this.seq += 1;
    this.total = total ?? Math.max(this.total, ...segments.map(([, , stop]) => stop));
    const batch = {
      generation, seq: this.seq, total: this.total, frames: this.total, dropped: 0, behind: false, epoch_ms, skipped,
      segments: segments.map(([kind, first, stop]) => ({ kind, first, count: stop - first })),
    };
    const buffers = batch.segments.flatMap(({ count }) => [new ArrayBuffer(count * RECORD), new ArrayBuffer(0)]);
    if (!lost) this.stream.take(batch, buffers, this.total);
  }

  /** Answer everything that was asked for. */
  answer() {
    for (const { type, first, count } of this.said.splice(0)) if (type === "rows") this.send([["asked", first, first + count]]);
  }
}

describe("a stream of rows", () => {
  it("begins with a hello and the latest rows", () => {
    const kernel = new Kernel();
    kernel.stream.hello();
    expect(kernel.said).toEqual([{ type: "hello" }]);
    kernel.send([["tail", 900, 1000]]);
    expect(kernel.said.length).toBe(1);
    expect(kernel.stream.stats()).toMatchObject({ rows: 100, total: 1000, measured: 0 });
  });

  it("takes rows that come by themselves without a word", () => {
    const kernel = new Kernel();
    for (let at = 0; at < 1000; at += 50) kernel.send([["live", at, at + 50]]);
    expect(kernel.said).toEqual([]);
    expect(kernel.stream.stats()).toMatchObject({ rows: 1000, total: 1000, lost: 0, batches: 20 });
  });

  it("asks for the rows of a lost message and then has them all", () => {
    const kernel = new Kernel();
    kernel.send([["live", 0, 50]]);
    kernel.send([["live", 50, 100]], { lost: true });
    kernel.send([["live", 100, 150]]);
    expect(kernel.said).toEqual([{ type: "rows", first: 50, count: 50 }]);
    kernel.answer();
    expect(kernel.stream.stats()).toMatchObject({ rows: 150, total: 150, lost: 1 });
    expect(kernel.stream.cache.missing(0, 150)).toEqual([]);
  });

  it("asks for the rows of a last message that was lost, once the kernel says how many there are", () => {
    const kernel = new Kernel();
    kernel.send([["live", 0, 50]]);
    kernel.send([["live", 50, 80]], { lost: true });
    kernel.send([], { total: 80 });
    expect(kernel.said).toEqual([{ type: "rows", first: 50, count: 30 }]);
  });

  it("asks again when an answer does not come, and not before", () => {
    const kernel = new Kernel();
    kernel.send([["live", 0, 10]]);
    kernel.send([["live", 20, 30]]);
    kernel.send([["live", 30, 31]]);
    expect(kernel.said.length).toBe(1);
    kernel.clock += PATIENCE;
    kernel.send([["live", 31, 32]]);
    expect(kernel.said.length).toBe(2);
  });

  it("leaves rows that the kernel skipped until they are looked at", () => {
    const kernel = new Kernel();
    kernel.send([["live", 0, 10]]);
    kernel.send([["live", 9_000, 9_200]], { skipped: [[10, 9_000]] });
    expect(kernel.said).toEqual([]);
    kernel.stream.need(4_000, 4_020);
    expect(kernel.said).toEqual([{ type: "rows", first: 3_750, count: 520 }]);
    kernel.stream.need(4_001, 4_021);
    expect(kernel.said.length).toBe(1);
    kernel.answer();
    expect(kernel.stream.cache.row(4_010)).not.toBeNull();
  });

  it("asks for much in pieces, a few at a time", () => {
    const kernel = new Kernel();
    kernel.send([["live", 0, 1]]);
    kernel.send([["live", 20_000, 20_001]]);
    expect(kernel.said.length).toBe(5);
    expect(kernel.said.every(({ count }) => count <= PIECE)).toBe(true);
    for (let round = 0; round < 10; round += 1) kernel.answer();
    expect(kernel.stream.stats().rows).toBe(20_001);
    expect(kernel.stream.cache.size).toBeLessThanOrEqual(5_000);
  });

  it("is not led astray by what another page asked for", () => {
    const kernel = new Kernel();
    kernel.send([["asked", 0, 10], ["live", 990, 1000]]);
    expect(kernel.said).toEqual([]);
  });

  it("begins anew when row numbers do", () => {
    const kernel = new Kernel();
    kernel.send([["live", 0, 100]]);
    kernel.total = 0;
    kernel.send([["live", 0, 5]], { generation: 2 });
    expect(kernel.stream.stats()).toMatchObject({ rows: 5, total: 5, held: 5 });
  });

  it("measures only rows that came by themselves", () => {
    const kernel = new Kernel();
    kernel.send([["tail", 0, 10]], { epoch_ms: 900 });
    kernel.send([["live", 10, 12]], { epoch_ms: 900 });
    kernel.clock = 1_040;
    kernel.stream.drawn();
    expect(kernel.stream.stats()).toMatchObject({ measured: 2, p50: 140, p95: 140 });
    kernel.stream.drawn();
    expect(kernel.stream.stats().measured).toBe(2);
  });
});

describe("delays", () => {
  it("keeps the latest and answers percentiles", () => {
    const delays = new Delays(100);
    expect(delays.percentiles([0.5])).toEqual([NaN]);
    for (let n = 0; n < 1000; n += 1) delays.add(n);
    expect(delays.percentiles([0, 0.5, 0.95, 1])).toEqual([900, 950, 995, 999]);
  });
});
