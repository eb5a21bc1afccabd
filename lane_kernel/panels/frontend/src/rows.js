/**
 * The binary rows that the kernel sends, and the bounded store of them on the page. Pure.
 *
 * A row is a record of fixed size, so that any row of a batch is reached without reading the others, and its strings are decoded when
 * the row is drawn. The same layout is written by `lane_kernel/panels/rows.py`; `tests/fixtures/rows.json` holds both to it.
 */

/** Size of a record in bytes. */
export const RECORD = 48;

/** What an entry is, by its number in a record. */
export const KINDS = ["connection", "request", "response", "body", "frame", "event", "comment", "log", "close", "blocked", "fault"];

/** How grave an entry's findings are, by the number in a record. */
export const SIGNS = ["", "note", "warning", "error"];

/** The arrow of a direction, client on the left, by the number in a record. */
export const ARROWS = ["", "──►", "◄──"];

const CELLS = 4;
const decoder = new TextDecoder();

/**
 * One row, decoded.
 * @typedef {object} Row
 * @property {number} index the entry's place in the timeline
 * @property {number} time time since the capture's start, in nanoseconds
 * @property {number} delta time since the row before, in nanoseconds; NaN for the first
 * @property {number} connection
 * @property {number} length
 * @property {string} kind
 * @property {number} direction 0 none, 1 to the server, 2 to the client
 * @property {number} sign see SIGNS
 * @property {string[]} cells
 */

/** A run of rows as they came: `count` rows, the first of them row number `first` of the panel. */
export class Chunk {
  /**
   * @param {number} first
   * @param {number} count
   * @param {DataView} records
   * @param {Uint8Array} text
   * @param {number} [skip] how many records at the start belong to another chunk
   */
  constructor(first, count, records, text, skip = 0) {
    this.first = first;
    this.count = count;
    this.records = records;
    this.text = text;
    this.skip = skip;
  }

  /** The row number after the last. */
  get stop() {
    return this.first + this.count;
  }

  /**
   * The part [first, stop) of this chunk.
   * @param {number} first
   * @param {number} stop
   * @returns {Chunk}
   */
  part(first, stop) {
    return new Chunk(first, stop - first, this.records, this.text, this.skip + first - this.first);
  }

  /**
   * When the row was recorded, in nanoseconds since the capture's start.
   * @param {number} row
   * @returns {number}
   */
  time(row) {
    return this.records.getFloat64((this.skip + row - this.first) * RECORD, true);
  }

  /**
   * @param {number} row
   * @returns {Row}
   */
  row(row) {
    const view = this.records;
    const at = (this.skip + row - this.first) * RECORD;
    /** @type {string[]} */
    const cells = [];
    let start = view.getUint32(at + 28, true);
    for (let cell = 0; cell < CELLS; cell += 1) {
      const stop = start + view.getUint16(at + 32 + 2 * cell, true);
      cells.push(stop > start ? decoder.decode(this.text.subarray(start, stop)) : "");
      start = stop;
    }
    return {
      index: view.getUint32(at + 16, true),
      time: view.getFloat64(at, true),
      delta: view.getFloat64(at + 8, true),
      connection: view.getUint32(at + 20, true),
      length: view.getUint32(at + 24, true),
      kind: KINDS[view.getUint8(at + 40)] ?? "unknown",
      direction: view.getUint8(at + 41),
      sign: view.getUint8(at + 42),
      cells,
    };
  }
}

/**
 * A view of a message's buffer, whatever the transport handed over.
 * @param {DataView | ArrayBuffer | Uint8Array} buffer
 * @returns {DataView}
 */
export function view(buffer) {
  return buffer instanceof ArrayBuffer ? new DataView(buffer) : new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

/**
 * The chunk of one segment of a message.
 * @param {{first: number, count: number}} segment
 * @param {DataView | ArrayBuffer | Uint8Array} records
 * @param {DataView | ArrayBuffer | Uint8Array} text
 * @returns {Chunk}
 */
export function chunk(segment, records, text) {
  const data = view(records);
  if (data.byteLength !== segment.count * RECORD) {
    throw new RangeError(`${data.byteLength} bytes are not ${segment.count} rows of ${RECORD} bytes`);
  }
  const bytes = view(text);
  return new Chunk(segment.first, segment.count, data, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}

/** A set of whole numbers, kept as sorted half-open ranges: which rows ever reached this page. */
export class Ranges {
  constructor() {
    /** @type {[number, number][]} */
    this.list = [];
  }

  /** How many numbers are in the set. */
  get size() {
    return this.list.reduce((sum, [start, stop]) => sum + stop - start, 0);
  }

  /**
   * Add [start, stop).
   * @param {number} start
   * @param {number} stop
   */
  add(start, stop) {
    if (stop <= start) return;
    let from = this.list.length;
    while (from > 0 && this.list[from - 1][1] >= start) from -= 1;
    let to = from;
    while (to < this.list.length && this.list[to][0] <= stop) to += 1;
    const joined = this.list.slice(from, to);
    /** @type {[number, number]} */
    const range = joined.length === 0 ? [start, stop] : [Math.min(start, joined[0][0]), Math.max(stop, joined[joined.length - 1][1])];
    this.list.splice(from, to - from, range);
  }

  /**
   * What of [start, stop) is not in the set.
   * @param {number} start
   * @param {number} stop
   * @returns {[number, number][]}
   */
  missing(start, stop) {
    /** @type {[number, number][]} */
    const gaps = [];
    let at = start;
    for (const [from, to] of this.list) {
      if (to <= at) continue;
      if (from >= stop) break;
      if (from > at) gaps.push([at, from]);
      at = to;
    }
    if (at < stop) gaps.push([at, stop]);
    return gaps;
  }
}

/** The rows that the page holds: sorted chunks that do not overlap, at most `limit` rows. */
export class RowCache {
  /** @param {number} [limit] */
  constructor(limit = 20_000) {
    this.limit = limit;
    this.size = 0;
    /** @type {Chunk[]} */
    this.chunks = [];
  }

  /**
   * The place of the first chunk that ends after `row`.
   * @param {number} row
   * @returns {number}
   */
  place(row) {
    let low = 0;
    let high = this.chunks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.chunks[middle].stop <= row) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * Add rows; what was held under the same numbers is replaced.
   * @param {Chunk} added
   * @param {number} [near] the row that is being looked at: what is farthest from it goes first
   */
  add(added, near = added.stop) {
    if (added.count === 0) return;
    const from = this.place(added.first);
    let to = from;
    const parts = [];
    while (to < this.chunks.length && this.chunks[to].first < added.stop) {
      const old = this.chunks[to];
      this.size -= old.count;
      if (old.first < added.first) parts.push(old.part(old.first, added.first));
      if (old.stop > added.stop) parts.push(old.part(added.stop, old.stop));
      to += 1;
    }
    const place = parts.length > 0 && parts[0].first < added.first ? 1 : 0;
    parts.splice(place, 0, added);
    this.size += parts.reduce((sum, part) => sum + part.count, 0);
    this.chunks.splice(from, to - from, ...parts);
    this.trim(near);
  }

  /** @param {number} near */
  trim(near) {
    while (this.size > this.limit && this.chunks.length > 1) {
      const front = this.chunks[0];
      const back = this.chunks[this.chunks.length - 1];
      const gone = near - front.stop >= back.first - near ? this.chunks.shift() : this.chunks.pop();
      this.size -= gone?.count ?? 0;
    }
  }

  /**
   * The chunk that holds a row.
   * @param {number} row
   * @returns {Chunk | null}
   */
  find(row) {
    const found = this.chunks[this.place(row)];
    return found !== undefined && found.first <= row ? found : null;
  }

  /**
   * @param {number} row
   * @returns {Row | null}
   */
  row(row) {
    return this.find(row)?.row(row) ?? null;
  }

  /**
   * What of [start, stop) is not held.
   * @param {number} start
   * @param {number} stop
   * @returns {[number, number][]}
   */
  missing(start, stop) {
    /** @type {[number, number][]} */
    const gaps = [];
    let at = start;
    for (let place = this.place(start); place < this.chunks.length && at < stop; place += 1) {
      const { first, stop: end } = this.chunks[place];
      if (first > at) gaps.push([at, Math.min(first, stop)]);
      at = Math.max(at, end);
    }
    if (at < stop) gaps.push([at, stop]);
    return gaps;
  }

  clear() {
    this.chunks = [];
    this.size = 0;
  }
}
