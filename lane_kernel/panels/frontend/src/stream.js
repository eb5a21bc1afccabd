/**
 * The page's end of a feed: takes batches of rows, notices what is missing and asks for it, and measures how long rows were under way.
 * Pure but for the clock and the sender that it is given.
 */

import { Chunk, Ranges, RowCache, chunk } from "./rows.js";

/** How many rows are asked for at once; the kernel answers in its next batch. */
export const PIECE = 1_000;

/** A request without an answer is made again after this many milliseconds: the server between may have dropped it. */
export const PATIENCE = 1_000;

/** How many pieces may be under way for rows that got lost. */
const OUTSTANDING = 5;

/** The latest delays, bounded, for percentiles. */
export class Delays {
  /** @param {number} [limit] */
  constructor(limit = 20_000) {
    this.values = new Float64Array(limit);
    this.added = 0;
  }

  /** @param {number} ms */
  add(ms) {
    this.values[this.added % this.values.length] = ms;
    this.added += 1;
  }

  /**
   * The given percentiles, in milliseconds; NaN before anything was measured.
   * @param {number[]} shares between 0 and 1
   * @returns {number[]}
   */
  percentiles(shares) {
    const held = this.values.slice(0, Math.min(this.added, this.values.length)).sort();
    return shares.map((share) => (held.length === 0 ? NaN : held[Math.min(held.length - 1, Math.floor(share * held.length))]));
  }
}

/**
 * @typedef {object} Segment
 * @property {number} first
 * @property {number} count
 * @property {"live" | "tail" | "asked"} kind new rows, the latest rows for a page that has just come, or rows that a page asked for
 */

/**
 * @typedef {object} Batch
 * @property {number} generation changes when row numbers start again
 * @property {number} seq the number of this batch
 * @property {number} total how many rows there are
 * @property {number} dropped
 * @property {number} frames
 * @property {boolean} behind whether the kernel has not caught up with what was recorded
 * @property {number} epoch_ms the wall clock at time 0
 * @property {[number, number][]} skipped rows that came too fast to be sent by themselves; they come when they are looked at
 * @property {Segment[]} segments
 */

/** Rows by number, as far as they have reached this page. */
export class RowStream {
  /**
   * @param {(message: object) => void} send
   * @param {{limit?: number, now?: () => number}} [options]
   */
  constructor(send, { limit = 20_000, now = Date.now } = {}) {
    this.send = send;
    this.now = now;
    this.cache = new RowCache(limit);
    this.seen = new Ranges();
    this.excused = new Ranges();
    this.delays = new Delays();
    this.total = 0;
    this.dropped = 0;
    this.frames = 0;
    this.behind = false;
    this.lost = 0;
    /** @type {number | null} */
    this.generation = null;
    /** @type {number | null} */
    this.seq = null;
    /** Rows from here on must come by themselves. */
    this.next = 0;
    this.origin = 0;
    this.epoch = 0;
    /** @type {{first: number, stop: number, at: number}[]} */
    this.asked = [];
    /** @type {Chunk[]} */
    this.fresh = [];
  }

  /** Tell the kernel that this page is here, so that it sends the latest rows. */
  hello() {
    this.generation = null;
    this.send({ type: "hello" });
  }

  /**
   * Take a batch.
   * @param {Batch} batch
   * @param {(DataView | ArrayBuffer | Uint8Array)[]} buffers two for each segment: records and text
   * @param {number} near the row that is being looked at
   */
  take(batch, buffers, near) {
    if (batch.generation !== this.generation) this.restart(batch);
    else if (this.seq !== null && batch.seq !== this.seq + 1) this.lost += Math.max(0, batch.seq - this.seq - 1);
    this.seq = batch.seq;
    this.total = batch.total;
    this.dropped = batch.dropped;
    this.frames = batch.frames;
    this.behind = batch.behind;
    this.epoch = batch.epoch_ms;
    batch.segments.forEach((segment, i) => {
      const rows = chunk(segment, buffers[2 * i], buffers[2 * i + 1]);
      if (segment.kind === "live" && rows.stop > this.next) {
        this.fresh.push(rows.part(Math.max(rows.first, this.next), rows.stop));
        this.next = rows.stop;
      }
      this.answered(rows.first, rows.stop);
      this.seen.add(rows.first, rows.stop);
      this.cache.add(rows, near);
    });
    for (const [first, stop] of batch.skipped) this.excused.add(first, stop);
    this.next = Math.max(this.next, this.total);
    this.mend();
  }

  /** Ask for rows that should have come by themselves and did not. */
  mend() {
    for (const [from, to] of this.seen.missing(this.origin, this.next)) {
      for (const [first, stop] of this.excused.missing(from, to)) {
        if (this.asked.length >= OUTSTANDING) return;
        this.ask(first, Math.min(stop, first + OUTSTANDING * PIECE));
      }
    }
  }

  /** @param {Batch} batch */
  restart(batch) {
    this.generation = batch.generation;
    this.cache.clear();
    this.seen = new Ranges();
    this.excused = new Ranges();
    this.asked = [];
    this.fresh = [];
    // What came before this page was there is asked for when it is looked at.
    const coming = batch.segments.filter((segment) => segment.kind !== "asked");
    this.next = Math.min(batch.total, ...coming.map((segment) => segment.first));
    this.origin = this.next;
  }

  /**
   * The rows [first, stop) are about to be drawn: ask for those that are not here.
   * @param {number} first
   * @param {number} stop
   */
  need(first, stop) {
    const gaps = this.unasked(Math.max(0, first), Math.min(stop, this.total));
    if (gaps.length === 0) return;
    const margin = PIECE / 4;
    this.ask(Math.max(0, gaps[0][0] - margin), Math.min(this.total, gaps[gaps.length - 1][1] + margin));
  }

  /**
   * Ask for what is missing of [first, stop), unless it is asked for already.
   * @param {number} first
   * @param {number} stop
   */
  ask(first, stop) {
    for (const [from, to] of this.unasked(first, stop)) {
      for (let piece = from; piece < to; piece += PIECE) {
        const end = Math.min(to, piece + PIECE);
        this.asked.push({ first: piece, stop: end, at: this.now() });
        this.send({ type: "rows", first: piece, count: end - piece });
      }
    }
  }

  /**
   * What of [first, stop) is neither here nor under way.
   * @param {number} first
   * @param {number} stop
   * @returns {[number, number][]}
   */
  unasked(first, stop) {
    const now = this.now();
    this.asked = this.asked.filter((range) => now - range.at < PATIENCE);
    const coming = new Ranges();
    for (const range of this.asked) coming.add(range.first, range.stop);
    return this.cache.missing(first, stop).flatMap(([from, to]) => coming.missing(from, to));
  }

  /**
   * @param {number} first
   * @param {number} stop
   */
  answered(first, stop) {
    this.asked = this.asked.filter((range) => range.stop <= first || range.first >= stop);
  }

  /** Rows have been drawn: measure how long those that came by themselves were under way. */
  drawn() {
    const now = this.now();
    for (const rows of this.fresh) {
      const step = Math.max(1, Math.floor(rows.count / 250));
      for (let row = rows.first; row < rows.stop; row += step) this.delays.add(now - this.epoch - rows.time(row) / 1e6);
    }
    this.fresh = [];
  }

  /** What a test or a person at the console reads. */
  stats() {
    const [p50, p95, max] = this.delays.percentiles([0.5, 0.95, 1]);
    return {
      rows: this.seen.size,
      total: this.total,
      dropped: this.dropped,
      frames: this.frames,
      held: this.cache.size,
      batches: this.seq,
      lost: this.lost,
      measured: this.delays.added,
      p50,
      p95,
      max,
    };
  }
}
