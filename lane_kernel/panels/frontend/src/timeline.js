/** The timeline: every entry, one line each. */

import * as format from "./format.js";
import { renderRows } from "./rowpanel.js";
import { ARROWS, SIGNS } from "./rows.js";

const SIGN_MARKS = ["", "ⓘ", "▲", "✖"];
const DIRECTIONS = ["", "from the client to the server", "from the server to the client"];

/** @type {import("./table.js").Column[]} */
export const columns = [
  { name: "#", width: "7ch", align: "end", text: (row) => String(row.index) },
  { name: "time", width: "10ch", align: "end", title: "Seconds since the capture began", text: (row) => format.time(row.time) },
  { name: "Δ", width: "8ch", align: "end", title: "Time since the row before", text: (row) => (Number.isNaN(row.delta) ? "" : format.delta(row.delta)) },
  {
    name: "conn",
    width: "5ch",
    align: "end",
    title: "Connection",
    text: (row) => (row.connection === 0 ? "" : String(row.connection)),
    mark: (row) => `lane-conn lane-c${row.connection % 6}`,
  },
  { name: "dir", width: "4ch", title: "Direction: the client is on the left", text: (row) => ARROWS[row.direction], mark: () => "lane-arrow", tip: (row) => DIRECTIONS[row.direction] },
  { name: "what", width: "minmax(20ch, 4fr)", text: (row) => row.cells[0], mark: (row) => `lane-k-${row.kind}`, tip: (row) => row.cells[0] },
  { name: "len", width: "8ch", align: "end", title: "Bytes of payload", text: (row) => (row.direction === 0 ? "" : format.count(row.length)) },
  { name: "preview", width: "minmax(12ch, 5fr)", text: (row) => row.cells[1], mark: () => "lane-code", tip: (row) => row.cells[1] },
  { name: "", width: "3ch", title: "Findings", text: (row) => SIGN_MARKS[row.sign], mark: (row) => `lane-sign lane-s-${SIGNS[row.sign]}`, tip: (row) => SIGNS[row.sign] },
];

export default {
  /** @param {{model: any, el: HTMLElement}} context */
  render: (context) => renderRows(context, { name: "timeline", label: "Timeline", noun: "frame", columns }),
};
