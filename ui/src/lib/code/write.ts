// The editor of callflows and documents: completion, problems in their lines, the lines of what is selected elsewhere. It has
// no history of its own; the document's history is told of every change.

import { autocompletion, closeBrackets, closeBracketsKeymap, type Completion, type CompletionContext, type CompletionResult, completionKeymap } from '@codemirror/autocomplete';
import { defaultKeymap } from '@codemirror/commands';
import { bracketMatching, indentOnInput, indentUnit, syntaxTree } from '@codemirror/language';
import { type Diagnostic, setDiagnostics } from '@codemirror/lint';
import { search, searchKeymap } from '@codemirror/search';
import { Annotation, EditorState, type Extension, type Range, StateEffect, StateField } from '@codemirror/state';
import { Decoration, type DecorationSet, drawSelection, EditorView, highlightSpecialChars, keymap, lineNumbers } from '@codemirror/view';
import { common, shadowOf, typedOver } from './look';

export interface Mark {
  from: number;
  to: number;
  severity: 'err' | 'warn';
  message: string;
}

export interface Place {
  what: 'key' | 'value';
  path: (string | number)[];
  /** Keys the object has already. */
  present: string[];
}

export interface Options {
  text: string;
  language: 'json' | 'xml' | 'text';
  label: string;
  readonly?: boolean;
  changed?: (text: string) => void;
  /** The cursor was moved by hand. */
  moved?: (offset: number) => void;
  left?: () => void;
  undo?: () => void;
  redo?: () => void;
  save?: () => void;
  suggest?: (place: Place) => { text: string; detail: string }[];
}

export interface Editor {
  setText: (text: string) => void;
  setMarks: (marks: Mark[]) => void;
  /** The lines that belong to what is selected elsewhere. */
  setChosen: (range: { from: number; to: number } | null, reveal: boolean) => void;
  focus: (offset?: number) => void;
  destroy: () => void;
}

const outside = Annotation.define<boolean>();
const choose = StateEffect.define<{ from: number; to: number } | null>();
const CHOSEN = Decoration.line({ class: 'cm-chosen' });
const WRONG = Decoration.line({ class: 'cm-wrong' });
const wrong = StateEffect.define<number[]>();

function lines(of: (tr: Parameters<NonNullable<Parameters<typeof StateField.define<DecorationSet>>[0]['update']>>[1], old: DecorationSet) => DecorationSet): Extension {
  return StateField.define<DecorationSet>({ create: () => Decoration.none, update: (old, tr) => of(tr, old.map(tr.changes)), provide: (field) => EditorView.decorations.from(field) });
}

const chosenLines = lines((tr, old) => {
  for (const effect of tr.effects) {
    if (!effect.is(choose)) continue;
    if (!effect.value) return Decoration.none;
    const { doc } = tr.state;
    const first = doc.lineAt(Math.min(effect.value.from, doc.length)).number;
    const last = doc.lineAt(Math.min(effect.value.to, doc.length)).number;
    const marks: Range<Decoration>[] = [];
    for (let n = first; n <= last; n += 1) marks.push(CHOSEN.range(doc.line(n).from));
    return Decoration.set(marks);
  }
  return old;
});

const wrongLines = lines((tr, old) => {
  for (const effect of tr.effects) {
    if (!effect.is(wrong)) continue;
    const starts = new Set(effect.value.map((offset) => tr.state.doc.lineAt(Math.min(offset, tr.state.doc.length)).from));
    return Decoration.set([...starts].sort((a, b) => a - b).map((from) => WRONG.range(from)));
  }
  return old;
});

const look = EditorView.theme({
  '&': { height: '100%', backgroundColor: 'var(--surface)' },
  '.cm-chosen': { backgroundColor: 'var(--accent-soft)' },
  '.cm-wrong': { backgroundColor: 'var(--err-soft)' },
  '.cm-matchingBracket, &.cm-focused .cm-matchingBracket': { backgroundColor: 'transparent', outline: '1px solid var(--line-2)' },
  '.cm-lintRange-error': { backgroundImage: 'none', textDecoration: 'underline wavy var(--err) 1px', textUnderlineOffset: '3px' },
  '.cm-lintRange-warning': { backgroundImage: 'none', textDecoration: 'underline wavy var(--warn) 1px', textUnderlineOffset: '3px' },
  '.cm-tooltip': { backgroundColor: 'var(--surface)', color: 'var(--ink)', border: '1px solid var(--line-2)', borderRadius: '6px', boxShadow: 'var(--shadow)', overflow: 'hidden' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': { fontFamily: 'var(--mono)', maxHeight: '240px', minWidth: '240px' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li': { padding: '0 10px', lineHeight: '24px', display: 'flex', gap: '16px' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { backgroundColor: 'var(--accent-soft)', color: 'var(--ink)' },
  '.cm-completionDetail': { marginLeft: 'auto', fontFamily: 'var(--sans)', fontStyle: 'normal', color: 'var(--ink-3)', maxWidth: '260px', overflow: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'nowrap' },
  '.cm-diagnostic': { fontFamily: 'var(--sans)', fontSize: '13px', padding: '6px 12px' },
  '.cm-diagnostic-error': { borderLeft: '3px solid var(--err)' },
  '.cm-diagnostic-warning': { borderLeft: '3px solid var(--warn)' },
  '.cm-panels': { backgroundColor: 'var(--sunken)', color: 'var(--ink)' },
  '.cm-panels.cm-panels-bottom': { borderTop: '1px solid var(--line)' },
  '.cm-textfield': { backgroundColor: 'var(--surface)', border: '1px solid var(--line-2)', borderRadius: '4px' },
  '.cm-button': { backgroundImage: 'none', backgroundColor: 'var(--surface)', border: '1px solid var(--line-2)', borderRadius: '4px' },
  '.cm-searchMatch': { backgroundColor: 'var(--warn-soft)', outline: '1px solid var(--warn)' },
});

/** An editor inside `host`, which becomes its shadow host. */
export function open(host: HTMLElement, options: Options): Editor {
  const root = shadowOf(host);
  const run = (act?: () => void) => () => {
    act?.();
    return act !== undefined;
  };
  const state = EditorState.create({
    doc: options.text,
    extensions: [
      common(options.language, options.label), look, lineNumbers(), highlightSpecialChars(), drawSelection(), bracketMatching(), search(), indentUnit.of('  '),
      options.readonly ? EditorState.readOnly.of(true) : [indentOnInput(), closeBrackets(), typedOver],
      options.language === 'json' ? [] : EditorView.lineWrapping,
      chosenLines, wrongLines,
      autocompletion({ override: options.suggest ? [(context) => complete(context, options.suggest as NonNullable<Options['suggest']>)] : [], icons: false }),
      keymap.of([
        { key: 'Mod-s', run: run(options.save), preventDefault: true },
        { key: 'Mod-z', run: run(options.undo), preventDefault: true },
        { key: 'Mod-Shift-z', run: run(options.redo), preventDefault: true },
        { key: 'Mod-y', run: run(options.redo), preventDefault: true },
        ...closeBracketsKeymap, ...completionKeymap, ...searchKeymap, ...defaultKeymap,
        { key: 'Escape', run: run(options.left) },
      ]),
      EditorView.domEventHandlers({
        beforeinput: (event) => {
          if (event.inputType !== 'historyUndo' && event.inputType !== 'historyRedo') return false;
          (event.inputType === 'historyUndo' ? options.undo : options.redo)?.();
          event.preventDefault();
          return true;
        },
      }),
      EditorView.updateListener.of((update) => {
        const own = !update.transactions.some((tr) => tr.annotation(outside));
        if (!own) return;
        if (update.docChanged) options.changed?.(update.state.doc.toString());
        if (update.docChanged || (update.selectionSet && update.transactions.some((tr) => tr.isUserEvent('select')))) options.moved?.(update.state.selection.main.head);
      }),
    ],
  });
  const view = new EditorView({ state, parent: root, root });
  return {
    setText: (text) => replace(view, text),
    setMarks: (marks) => mark(view, marks),
    setChosen: (range, reveal) => {
      const effects: StateEffect<unknown>[] = [choose.of(range)];
      if (range && reveal) effects.push(EditorView.scrollIntoView(Math.min(range.from, view.state.doc.length), { y: 'start', yMargin: 60 }));
      view.dispatch({ effects, annotations: outside.of(true) });
    },
    focus: (offset) => {
      view.focus();
      if (offset !== undefined) view.dispatch({ selection: { anchor: Math.min(offset, view.state.doc.length) }, scrollIntoView: true, annotations: outside.of(true) });
    },
    destroy: () => view.destroy(),
  };
}

/** Replaces only what differs, so that cursor and scroll stay. */
function replace(view: EditorView, text: string): void {
  const old = view.state.doc.toString();
  if (old === text) return;
  let from = 0;
  while (from < old.length && from < text.length && old[from] === text[from]) from += 1;
  let end = 0;
  while (end < old.length - from && end < text.length - from && old[old.length - 1 - end] === text[text.length - 1 - end]) end += 1;
  view.dispatch({ changes: { from, to: old.length - end, insert: text.slice(from, text.length - end) }, annotations: outside.of(true) });
}

function mark(view: EditorView, marks: Mark[]): void {
  const { length } = view.state.doc;
  const found: Diagnostic[] = marks
    .filter((each) => each.from <= length)
    .map((each) => ({ from: each.from, to: Math.min(Math.max(each.to, each.from), length), severity: each.severity === 'err' ? 'error' : 'warning', message: each.message }));
  view.dispatch(setDiagnostics(view.state, found));
  view.dispatch({ effects: wrong.of(marks.filter((each) => each.severity === 'err' && each.from <= length).map((each) => each.from)), annotations: outside.of(true) });
}

type SyntaxNode = ReturnType<ReturnType<typeof syntaxTree>['resolveInner']>;

/** Where in JSON the cursor is, also where the text is not whole. */
export function placeOf(state: EditorState, pos: number): (Place & { from: number; to: number }) | null {
  let node: SyntaxNode | null = syntaxTree(state).resolveInner(pos, -1);
  while (node && (node.type.isError || ['{', '}', '[', ']', ':', ','].includes(node.name))) node = node.parent;
  if (!node) return null;
  const name = (property: SyntaxNode): string => {
    const key = property.getChild('PropertyName');
    try {
      return JSON.parse(key ? state.sliceDoc(key.from, key.to) : '""') as string;
    } catch {
      return '';
    }
  };
  const pathTo = (from: SyntaxNode | null): (string | number)[] => {
    const path: (string | number)[] = [];
    for (let each = from; each; each = each.parent) {
      if (each.name === 'Property') path.unshift(name(each));
      if (each.parent?.name === 'Array' && each.type.isError === false) {
        let n = 0;
        for (let sibling = each.prevSibling; sibling; sibling = sibling.prevSibling) if (!['[', ',', '⚠'].includes(sibling.name)) n += 1;
        path.unshift(n);
      }
    }
    return path;
  };
  const ofObject = (object: SyntaxNode, from: number, to: number) => ({ what: 'key' as const, path: pathTo(object), present: object.getChildren('Property').filter((each) => each.from > to || each.to < from).map(name), from, to });
  if (node.name === 'PropertyName') {
    const object = node.parent?.parent;
    return object ? ofObject(object, node.from, node.to) : null;
  }
  if (['String', 'Number', 'True', 'False', 'Null'].includes(node.name)) {
    // A text where a key belongs: the object's own child.
    if (node.parent?.name === 'Object') return ofObject(node.parent, node.from, node.to);
    return { what: 'value', path: pathTo(node), present: [], from: node.from, to: node.to };
  }
  if (node.name === 'Property') return { what: 'value', path: pathTo(node), present: [], from: pos, to: pos };
  if (node.name === 'Object') return ofObject(node, pos, pos);
  return null;
}

function complete(context: CompletionContext, suggest: NonNullable<Options['suggest']>): CompletionResult | null {
  const place = placeOf(context.state, context.pos);
  if (!place || (!context.explicit && place.from === context.pos)) return null;
  const found = suggest(place);
  if (found.length === 0) return null;
  const colon = place.what === 'key' && !/^\s*:/.test(context.state.sliceDoc(place.to, place.to + 20));
  // What fits what is written comes first; when nothing does, all of it is offered.
  const typed = context.state.sliceDoc(place.from, context.pos).replaceAll('"', '').toLowerCase();
  const fits = found.filter((each) => `${each.text} ${each.detail}`.toLowerCase().includes(typed)).sort((a, b) => Number(b.text.toLowerCase().startsWith(`"${typed}`)) - Number(a.text.toLowerCase().startsWith(`"${typed}`)));
  const offered = fits.length > 0 ? fits : place.what === 'value' ? found : [];
  const options: Completion[] = offered.map((each) => ({ label: each.text, detail: each.detail, apply: each.text + (colon ? ': ' : '') }));
  return options.length > 0 ? { from: place.from, to: place.to, options, filter: false } : null;
}
