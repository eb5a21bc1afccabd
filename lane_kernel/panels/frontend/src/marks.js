/**
 * Which bytes belong to which fields. Pure. Offsets count from the first byte that is shown.
 */

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {number} start
 * @property {number} stop
 * @property {string} text
 * @property {string} meaning
 * @property {string} clause
 * @property {string} family
 * @property {number | null} bit_offset
 * @property {number | null} bit_length
 */

/** @typedef {Field & {depth: number}} Nested */

/**
 * The fields with their depth: a field stands under the field whose bytes contain its own.
 * @param {Field[]} fields
 * @returns {Nested[]}
 */
export function nest(fields) {
  /** @type {Field[]} */
  const open = [];
  return fields.map((field) => {
    while (open.length > 0 && !contains(open[open.length - 1], field)) open.pop();
    const depth = open.length;
    if (field.bit_offset === null) open.push(field);
    return { ...field, depth };
  });
}

/**
 * @param {Field} outer
 * @param {Field} inner
 */
function contains(outer, inner) {
  const larger = outer.stop - outer.start > inner.stop - inner.start;
  return larger && outer.start <= inner.start && inner.stop <= outer.stop;
}

/**
 * The places in `fields` of those that hold the byte, the smallest only: a header's value and not the whole line.
 * @param {Field[]} fields
 * @param {number} offset
 * @returns {number[]}
 */
export function fieldsAt(fields, offset) {
  const holding = fields.map((_, place) => place).filter((place) => fields[place].start <= offset && offset < fields[place].stop);
  const smallest = Math.min(...holding.map((place) => fields[place].stop - fields[place].start));
  return holding.filter((place) => fields[place].stop - fields[place].start === smallest);
}

/**
 * A field's bits within one byte as a mask; 0 where it has none there. A field of whole bytes has all eight.
 * @param {Field} field
 * @param {number} offset
 * @returns {number}
 */
export function bitsAt(field, offset) {
  if (offset < field.start || offset >= field.stop) return 0;
  if (field.bit_offset === null || field.bit_length === null) return 0xff;
  let mask = 0;
  for (let bit = 0; bit < 8; bit += 1) {
    const place = (offset - field.start) * 8 + bit;
    if (place >= field.bit_offset && place < field.bit_offset + field.bit_length) mask |= 0x80 >> bit;
  }
  return mask;
}

/**
 * A field's bits written out, dots for those of others: `1... ....`.
 * @param {Field} field
 * @param {Uint8Array} bytes
 * @returns {string} empty for a field of whole bytes
 */
export function pattern(field, bytes) {
  if (field.bit_offset === null || field.start >= bytes.length) return "";
  let text = "";
  for (let offset = field.start; offset < Math.min(field.stop, bytes.length); offset += 1) {
    const mask = bitsAt(field, offset);
    for (let bit = 0; bit < 8; bit += 1) {
      if (bit === 4 || (bit === 0 && offset > field.start)) text += " ";
      text += mask & (0x80 >> bit) ? (bytes[offset] & (0x80 >> bit) ? "1" : "0") : ".";
    }
  }
  return text;
}

/**
 * A byte's families with their share in bits, in the order of the bits: [["control", 4], ["opcode", 4]].
 * @param {Field[]} fields
 * @param {number} offset
 * @returns {[string, number][]}
 */
export function families(fields, offset) {
  const here = fieldsAt(fields, offset).map((place) => fields[place]);
  /** @type {[string, number][]} */
  const runs = [];
  for (let bit = 0; bit < 8; bit += 1) {
    const family = here.find((field) => bitsAt(field, offset) & (0x80 >> bit))?.family ?? "none";
    const last = runs[runs.length - 1];
    if (last !== undefined && last[0] === family) last[1] += 1;
    else runs.push([family, 1]);
  }
  return runs;
}

/**
 * The class of a byte's hue; for a byte that two families share, the background that shows both.
 * @param {[string, number][]} runs
 * @returns {{name: string, background: string}}
 */
export function hue(runs) {
  if (runs.length === 1) return { name: `lane-f-${runs[0][0]}`, background: "" };
  let at = 0;
  const stops = runs.map(([family, bits]) => {
    const from = at;
    at += bits * 12.5;
    return `var(--lane-f-${family}, transparent) ${from}% ${at}%`;
  });
  return { name: "lane-f-shared", background: `linear-gradient(90deg, ${stops.join(", ")})` };
}
