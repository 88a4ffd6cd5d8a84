// The editor: CodeMirror with the server's tables for completion and a mark where the server found a fault. Its own
// chunk, since it is as large as the rest of the page.

import {
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  closeCompletion,
  completionKeymap,
} from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { PostgreSQL, sql } from "@codemirror/lang-sql";
import { bracketMatching, HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { Compartment, EditorState, Prec, StateEffect, StateField } from "@codemirror/state";
import {
  Decoration,
  type DecorationSet,
  EditorView,
  highlightActiveLine,
  highlightSpecialChars,
  keymap,
  lineNumbers,
  placeholder,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { useEffect, useImperativeHandle, useRef } from "react";
import type { SqlSchema } from "../../api/catalogue";
import type { Position } from "../../api/client";

export interface EditorHandle {
  focus: () => void;
  insert: (text: string) => void;
}

interface Props {
  initial: string;
  schema: SqlSchema | undefined;
  fault: Position | undefined;
  onChange: (text: string) => void;
  onRun: () => void;
  handle: React.Ref<EditorHandle>;
}

const look = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--code-key)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--code-text)" },
  { tag: tags.number, color: "var(--code-number)" },
  { tag: [tags.bool, tags.null, tags.typeName, tags.standard(tags.name)], color: "var(--code-word)" },
  { tag: tags.comment, color: "var(--code-quiet)", fontStyle: "italic" },
]);

const theme = EditorView.theme({
  "&": { height: "100%", backgroundColor: "var(--surface)", color: "var(--text)", fontSize: "13px" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55" },
  ".cm-content": { caretColor: "var(--text)", padding: "8px 0" },
  ".cm-gutters": { backgroundColor: "var(--surface)", color: "var(--text-3)", border: "none" },
  ".cm-activeLine, .cm-activeLineGutter": {
    backgroundColor: "color-mix(in oklab, var(--hover) 60%, transparent)",
  },
  ".cm-fault": {
    textDecoration: "underline wavy var(--error-mark) 1.5px",
    textUnderlineOffset: "4px",
    backgroundColor: "var(--error-soft)",
  },
  ".cm-placeholder": { color: "var(--text-3)" },
  ".cm-tooltip": {
    backgroundColor: "var(--raised)",
    border: "1px solid var(--line-strong)",
    borderRadius: "6px",
    overflow: "hidden",
  },
  ".cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", fontSize: "12px" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": {
    backgroundColor: "var(--selected)",
    color: "var(--text)",
  },
  ".cm-completionDetail": { color: "var(--text-3)", fontStyle: "normal" },
  ".cm-matchingBracket": { backgroundColor: "var(--selected)", outline: "none" },
});

const setFault = StateEffect.define<Position | undefined>();

/** The word at the fault, or one character; edits move it along, and the next run clears it. */
const faultField = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marks, transaction) {
    for (const effect of transaction.effects) {
      if (!effect.is(setFault)) continue;
      const { doc } = transaction.state;
      if (!effect.value || doc.length === 0) return Decoration.none;
      const line = doc.line(Math.max(1, Math.min(effect.value.line, doc.lines)));
      let from = Math.min(line.from + Math.max(0, effect.value.column - 1), line.to);
      if (from === doc.length) from = doc.length - 1;
      const word = /^[\w.]+/.exec(doc.sliceString(from, line.to))?.[0].length ?? 1;
      return Decoration.set([
        Decoration.mark({ class: "cm-fault" }).range(from, Math.min(doc.length, from + word)),
      ]);
    }
    return marks.map(transaction.changes);
  },
  provide: (field) => EditorView.decorations.from(field),
});

function language(schema: SqlSchema | undefined) {
  const tables = (schema?.tables ?? []).map((table) => ({
    self: { label: table.name, type: "class", detail: "table" },
    children: table.columns.map((column) => ({ label: column.name, type: "property", detail: column.type })),
  }));
  return sql({
    dialect: PostgreSQL,
    upperCaseKeywords: true,
    schema: Object.fromEntries(tables.map((table) => [table.self.label, table])),
    ...(tables[0] ? { defaultTable: tables[0].self.label } : {}),
  });
}

/**
 * Typing over a selection: Chromium would keep the look of what it replaces in a style attribute, which the content
 * security policy forbids and reports. The editor makes the change itself instead.
 */
function typeOverSelection(event: InputEvent, view: EditorView): boolean {
  const { main } = view.state.selection;
  const text = event.data;
  if (event.inputType !== "insertText" || text === null || event.isComposing || main.empty) return false;
  const insert = () => view.state.update(view.state.replaceSelection(text), { userEvent: "input.type" });
  const handlers = view.state.facet(EditorView.inputHandler);
  if (!handlers.some((handler) => handler(view, main.from, main.to, text, insert))) view.dispatch(insert());
  event.preventDefault();
  return true;
}

function nonce(): string {
  return document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? "";
}

export default function Editor({ initial, schema, fault, onChange, onRun, handle }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const latest = useRef({ onChange, onRun });
  const grammar = useRef(new Compartment());
  const first = useRef({ initial, schema });
  useEffect(() => {
    latest.current = { onChange, onRun };
  });

  useEffect(() => {
    if (!host.current) return undefined;
    const editor = new EditorView({
      parent: host.current,
      state: EditorState.create({
        doc: first.current.initial,
        extensions: [
          EditorView.cspNonce.of(nonce()),
          Prec.highest(
            keymap.of([
              {
                key: "Mod-Enter",
                run: (target) => {
                  closeCompletion(target);
                  latest.current.onRun();
                  return true;
                },
              },
              {
                key: "Escape",
                run: (target) => {
                  if (target.dom.querySelector(".cm-tooltip-autocomplete")) return false;
                  target.contentDOM.blur();
                  return true;
                },
              },
            ]),
          ),
          EditorView.domEventHandlers({ beforeinput: typeOverSelection }),
          lineNumbers(),
          history(),
          highlightSpecialChars(),
          highlightActiveLine(),
          bracketMatching(),
          closeBrackets(),
          autocompletion({ icons: false }),
          keymap.of([
            ...closeBracketsKeymap,
            ...completionKeymap,
            ...historyKeymap,
            ...defaultKeymap,
            indentWithTab,
          ]),
          grammar.current.of(language(first.current.schema)),
          syntaxHighlighting(look),
          theme,
          faultField,
          placeholder("SELECT service_name, count(*) FROM spans GROUP BY 1"),
          EditorView.contentAttributes.of({ "aria-label": "SQL" }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) latest.current.onChange(update.state.doc.toString());
          }),
        ],
      }),
    });
    view.current = editor;
    return () => editor.destroy();
  }, []);

  useEffect(() => {
    view.current?.dispatch({ effects: grammar.current.reconfigure(language(schema)) });
  }, [schema]);

  useEffect(() => {
    const editor = view.current;
    if (editor && editor.state.doc.toString() !== initial)
      editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: initial } });
  }, [initial]);

  useEffect(() => {
    view.current?.dispatch({ effects: setFault.of(fault) });
  }, [fault]);

  useImperativeHandle(handle, () => ({
    focus: () => view.current?.focus(),
    insert: (text) => {
      const editor = view.current;
      if (!editor) return;
      editor.dispatch(editor.state.replaceSelection(text));
      editor.focus();
    },
  }));

  return <div ref={host} style={{ height: "100%" }} />;
}
