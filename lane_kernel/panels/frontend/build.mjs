/** Bundle each panel into ../static: one module and one style sheet for each, and the code editor apart. */

import { rm, stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
const outdir = here("../static/");
const panels = ["timeline", "inspector", "eventlog", "handlers", "status"];

// A panel's module is saved in each notebook that shows it; the editor's is not.
const LARGEST_PANEL = 40 * 1024;

for (const name of panels) for (const ending of ["js", "css"]) await rm(`${outdir}${name}.${ending}`, { force: true });
await build({
  absWorkingDir: here("."),
  entryPoints: [...panels.flatMap((name) => [`src/${name}.js`, `src/${name}.css`]), "src/editor.js"],
  outdir,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  logLevel: "info",
});

for (const name of panels) {
  const { size } = await stat(`${outdir}${name}.js`);
  if (size > LARGEST_PANEL) throw new Error(`${name}.js has ${size} bytes; a panel's bundle stays under ${LARGEST_PANEL}`);
}
