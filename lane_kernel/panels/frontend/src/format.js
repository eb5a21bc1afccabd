/**
 * How times, counts and bytes are written. Pure.
 */

const UNITS = ["bytes", "KiB", "MiB", "GiB"];

/**
 * A time since the capture's start: `04.301`, `1:04.301`, `1:02:04.301`.
 * @param {number} ns
 * @returns {string}
 */
export function time(ns) {
  const ms = Math.floor(ns / 1e6);
  const seconds = `${String(Math.floor(ms / 1000) % 60).padStart(2, "0")}.${String(ms % 1000).padStart(3, "0")}`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes === 0) return seconds;
  if (minutes < 60) return `${minutes}:${seconds}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${seconds}`;
}

/**
 * A distance in time in at most three digits and a unit: `12 µs`, `0.4 ms`, `16 ms`, `1.2 s`, `3 min`.
 * @param {number} ns
 * @returns {string}
 */
export function delta(ns) {
  const size = Math.abs(ns);
  if (size < 100_000) return `${Math.round(ns / 1e3)} µs`;
  if (size < 9_950_000) return `${(ns / 1e6).toFixed(1)} ms`;
  if (size < 999_500_000) return `${Math.round(ns / 1e6)} ms`;
  if (size < 99_950_000_000) return `${(ns / 1e9).toFixed(1)} s`;
  return `${Math.round(ns / 6e10)} min`;
}

/**
 * A whole number with separators: `1,204`.
 * @param {number} n
 * @returns {string}
 */
export function count(n) {
  return String(Math.trunc(n)).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

/**
 * A number and its noun: `1 frame`, `1,204 frames`.
 * @param {number} n
 * @param {string} noun
 * @returns {string}
 */
export function plural(n, noun) {
  return `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/**
 * A size in bytes: `5 bytes`, `2.1 MiB`.
 * @param {number} n
 * @returns {string}
 */
export function size(n) {
  let unit = 0;
  let value = n;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  if (unit === 0) return n === 1 ? "1 byte" : `${count(n)} bytes`;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

/**
 * A byte in two hexadecimal digits.
 * @param {number} byte
 * @returns {string}
 */
export function hex(byte) {
  return byte.toString(16).padStart(2, "0");
}

/**
 * A byte as the character that a hex dump shows for it.
 * @param {number} byte
 * @returns {string}
 */
export function ascii(byte) {
  return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·";
}
