/** The events of event streams, one line each. */

import * as format from "./format.js";
import { renderRows } from "./rowpanel.js";

/** @type {import("./table.js").Column[]} */
export const columns = [
  { name: "time", width: "10ch", align: "end", title: "Seconds since the capture began", text: (row) => format.time(row.time) },
  {
    name: "conn",
    width: "5ch",
    align: "end",
    title: "The connection that carries the stream",
    text: (row) => (row.connection === 0 ? "" : String(row.connection)),
    mark: (row) => `lane-conn lane-c${row.connection % 6}`,
  },
  { name: "id", width: "minmax(4ch, 1fr)", title: "The last event ID after this event", text: (row) => row.cells[0], mark: () => "lane-code", tip: (row) => row.cells[0] },
  { name: "event", width: "minmax(7ch, 1.5fr)", title: "The event's type", text: (row) => row.cells[1], mark: () => "lane-code lane-k-event", tip: (row) => row.cells[1] },
  { name: "data", width: "minmax(10ch, 5fr)", text: (row) => row.cells[2], mark: () => "lane-code", tip: (row) => row.cells[2] },
  { name: "retry", width: "6ch", align: "end", title: "The reconnection time it sets, in milliseconds", text: (row) => row.cells[3] },
];

export default {
  /** @param {{model: any, el: HTMLElement}} context */
  render: (context) => renderRows(context, { name: "eventlog", label: "Events", noun: "event", columns }),
};
