/**
 * What a page says to the kernel. Each view has a name, so that the kernel knows whether anyone is looking, and tells its origin, so that
 * the kernel's servers let the page's own WebSocket and EventSource in.
 */

/** How often a view says that it is there, in milliseconds. */
const BEAT = 20_000;

/**
 * The way to the kernel for one view, which says goodbye when the scope closes.
 * @param {import("./dom.js").Scope} scope
 * @param {any} model
 * @returns {(message: object) => void}
 */
export function speaker(scope, model) {
  const page = Math.random().toString(36).slice(2);
  /** @param {object} message */
  const say = (message) => model.send({ ...message, page, origin: location.origin });
  const beat = setInterval(() => say({ type: "here" }), BEAT);
  scope.add(() => {
    clearInterval(beat);
    say({ type: "bye" });
  });
  return say;
}
