/**
 * Which rows of a long table are in sight, and where they stand. Pure.
 *
 * Browsers clip elements taller than some ten million pixels, so past `TALLEST` the scroll bar's way is squeezed: `top` counts pixels of
 * the whole table, `scrollTop` those of the squeezed one.
 */

/** The tallest element that all browsers draw, with room to spare, in pixels. */
export const TALLEST = 8_000_000;

/**
 * @typedef {object} Geometry
 * @property {number} total how many rows
 * @property {number} rowHeight
 * @property {number} viewHeight the height in sight
 */

/**
 * The height of the scrolled element.
 * @param {Geometry} g
 */
export function height(g) {
  return Math.min(g.total * g.rowHeight, Math.max(TALLEST, g.viewHeight));
}

/**
 * The last `top`.
 * @param {Geometry} g
 */
export function bottom(g) {
  return Math.max(0, g.total * g.rowHeight - g.viewHeight);
}

/**
 * Pixels of the whole table above the view.
 * @param {Geometry} g
 * @param {number} scrollTop
 */
export function topOf(g, scrollTop) {
  const way = height(g) - g.viewHeight;
  if (way <= 0) return 0;
  if (g.total * g.rowHeight <= TALLEST) return Math.min(bottom(g), scrollTop);
  return Math.min(bottom(g), (scrollTop / way) * bottom(g));
}

/**
 * The place of the scroll bar for `top`.
 * @param {Geometry} g
 * @param {number} top
 */
export function scrollOf(g, top) {
  const within = Math.max(0, Math.min(top, bottom(g)));
  if (g.total * g.rowHeight <= TALLEST) return within;
  return bottom(g) === 0 ? 0 : (within / bottom(g)) * (height(g) - g.viewHeight);
}

/**
 * The rows [first, stop) to draw.
 * @param {Geometry} g
 * @param {number} top
 * @param {number} [extra] how many rows beyond each edge
 * @returns {[number, number]}
 */
export function inSight(g, top, extra = 2) {
  const first = Math.max(0, Math.floor(top / g.rowHeight) - extra);
  return [Math.min(first, g.total), Math.min(g.total, Math.ceil((top + g.viewHeight) / g.rowHeight) + extra)];
}

/**
 * The least move of `top` that brings a row wholly into sight.
 * @param {Geometry} g
 * @param {number} top
 * @param {number} row
 */
export function reveal(g, top, row) {
  const from = row * g.rowHeight;
  if (from < top) return from;
  return Math.max(top, from + g.rowHeight - g.viewHeight);
}
