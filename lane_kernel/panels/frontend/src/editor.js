/** The code editor, a bundle of its own: it is large, so the page fetches it once from the kernel, and no notebook is saved with it. */

import { closeBrackets, closeBracketsKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { python } from "@codemirror/lang-python";
import { HighlightStyle, bracketMatching, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { EditorState, Prec, StateEffect, StateField } from "@codemirror/state";
import { Decoration, EditorView, WidgetType, drawSelection, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";

/** JupyterLab's own colours, so that the editor looks like the cells around it in either theme. */
const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--lane-e-keyword)", fontWeight: "bold" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--lane-e-string)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--lane-e-number)" },
  { tag: tags.comment, color: "var(--lane-e-comment)", fontStyle: "italic" },
  { tag: [tags.function(tags.variableName), tags.definition(tags.variableName)], color: "var(--lane-e-definition)" },
  { tag: [tags.operator, tags.punctuation], color: "var(--lane-e-operator)" },
  { tag: tags.meta, color: "var(--lane-e-definition)" },
]);

class Message extends WidgetType {
  /** @param {string} text */
  constructor(text) {
    super();
    this.text = text;
  }

  /** @param {Message} other */
  eq(other) {
    return other.text === this.text;
  }

  toDOM() {
    const element = document.createElement("div");
    element.className = "lane-line-error";
    element.textContent = `✖ ${this.text}`;
    return element;
  }
}

/** @type {import("@codemirror/state").StateEffectType<{line: number, text: string} | null>} */
const setMistake = StateEffect.define();

const mistake = StateField.define({
  create: () => Decoration.none,
  update(value, transaction) {
    let marked = value.map(transaction.changes);
    for (const effect of transaction.effects) {
      if (!effect.is(setMistake)) continue;
      marked = Decoration.none;
      if (effect.value === null) continue;
      const { doc } = transaction.state;
      const line = doc.line(Math.max(1, Math.min(doc.lines, effect.value.line)));
      const under = Decoration.widget({ widget: new Message(effect.value.text), block: true, side: 1 });
      marked = Decoration.set([Decoration.line({ class: "lane-line-mistake" }).range(line.from), under.range(line.to)]);
    }
    return marked;
  },
  provide: (field) => EditorView.decorations.from(field),
});

/**
 * An editor for Python.
 * @param {{parent: HTMLElement, doc: string, onApply: () => void, onChange: () => void}} options
 */
export function createEditor({ parent, doc, onApply, onChange }) {
  const apply = () => {
    onApply();
    return true;
  };
  const extensions = [
    Prec.highest(
      keymap.of([
        { key: "Shift-Enter", run: apply, preventDefault: true, stopPropagation: true },
        { key: "Mod-s", run: apply, preventDefault: true, stopPropagation: true },
      ]),
    ),
    lineNumbers(),
    history(),
    drawSelection(),
    EditorView.lineWrapping,
    highlightActiveLine(),
    indentOnInput(),
    indentUnit.of("    "),
    bracketMatching(),
    closeBrackets(),
    keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, indentWithTab]),
    python(),
    syntaxHighlighting(colours),
    mistake,
    EditorView.contentAttributes.of({ "aria-label": "Handler source" }),
    EditorView.updateListener.of((update) => {
      if (update.docChanged) onChange();
    }),
  ];
  const view = new EditorView({ parent, state: EditorState.create({ doc, extensions }) });
  return {
    get: () => view.state.doc.toString(),
    /** @param {string} text */
    set: (text) => {
      if (text === view.state.doc.toString()) return;
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text }, effects: setMistake.of(null) });
    },
    /**
     * @param {number | null} line
     * @param {string} text
     */
    mark: (line, text) => {
      view.dispatch({ effects: setMistake.of(line === null ? null : { line, text }) });
      if (line === null) return;
      const at = view.state.doc.line(Math.max(1, Math.min(view.state.doc.lines, line))).from;
      view.dispatch({ effects: EditorView.scrollIntoView(at, { y: "nearest" }) });
    },
    destroy: () => view.destroy(),
  };
}
