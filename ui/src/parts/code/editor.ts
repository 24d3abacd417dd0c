// CodeMirror, as the page uses it: in a shadow root, because there its styles are adopted sheets, which no
// Content-Security-Policy forbids. Loaded when the first text is shown.

import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { json } from '@codemirror/lang-json';
import { xml } from '@codemirror/lang-xml';
import { HighlightStyle, StreamLanguage, syntaxHighlighting } from '@codemirror/language';
import { goToNextChunk, MergeView } from '@codemirror/merge';
import { Compartment, EditorState, type Extension, type Range } from '@codemirror/state';
import { Decoration, type DecorationSet, EditorView, keymap, lineNumbers, WidgetType } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import type { Language } from '../../lib/lens/http';

export interface Note {
  /** Counted from 1. */
  line: number;
  column?: number | null;
  severity: 'err' | 'warn' | 'info';
  text: string;
  fix?: string | null;
}

export interface Shown {
  text: string;
  language: Language;
  notes?: Note[];
  numbers?: boolean;
  label: string;
  /** Given: the text may be changed. */
  onchange?: (text: string) => void;
}

export interface Editor {
  show(shown: Shown): void;
  destroy(): void;
}

const look = EditorView.theme({
  '&': { background: 'transparent', color: 'var(--ink)', fontSize: '12px' },
  '&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '-2px' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '19px' },
  '.cm-content': { padding: '4px 0', caretColor: 'var(--ink)' },
  '.cm-line': { padding: '0 12px 0 4px' },
  '.cm-cursor': { borderLeftColor: 'var(--ink)' },
  '.cm-selectionBackground, ::selection': { background: 'var(--accent-soft) !important' },
  '.cm-gutters': { background: 'transparent', border: 'none', color: 'var(--ink-3)' },
  '.cm-lineNumbers .cm-gutterElement': { padding: '0 8px 0 14px', minWidth: '32px' },
  // Heights are measured without margins.
  '.under': { padding: '1px 12px 3px 4px' },
  '.note': { borderLeft: '3px solid var(--warn)', background: 'var(--warn-soft)', color: 'var(--ink)', padding: '3px 10px', borderRadius: '0 4px 4px 0', font: '400 12px/18px var(--sans)' },
  '.note.err': { borderColor: 'var(--err)', background: 'var(--err-soft)' },
  '.note.info': { borderColor: 'var(--line-2)', background: 'var(--flow-soft)' },
  '.note b': { fontWeight: '600' },
  '.wavy': { textDecoration: 'underline wavy var(--warn) 1px', textUnderlineOffset: '3px' },
  '.wavy.err': { textDecorationColor: 'var(--err)' },
  // What was there is red, what is there now green, as the marks beside it say, too.
  '&.cm-merge-a .cm-changedLine, .cm-deletedChunk': { backgroundColor: 'var(--err-soft)' },
  '&.cm-merge-b .cm-changedLine': { backgroundColor: 'var(--ok-soft)' },
  '&.cm-merge-a .cm-changedText, &.cm-merge-b .cm-changedText': { background: 'none', fontWeight: '600', textDecoration: 'underline', textUnderlineOffset: '3px' },
  '&.cm-merge-a .cm-changedLineGutter': { background: 'var(--err)' },
  '&.cm-merge-b .cm-changedLineGutter': { background: 'var(--ok)' },
  '.cm-collapsedLines': { background: 'var(--sunken)', color: 'var(--ink-2)', font: '400 12px/18px var(--sans)', padding: '2px 12px' },
});

const colours = syntaxHighlighting(
  HighlightStyle.define([
    { tag: [tags.propertyName, tags.tagName, tags.definition(tags.propertyName)], color: 'var(--accent)' },
    { tag: [tags.string, tags.attributeValue], color: 'var(--r2)' },
    { tag: [tags.number, tags.bool, tags.null, tags.attributeName], color: 'var(--key)' },
    { tag: [tags.comment, tags.meta, tags.labelName], color: 'var(--ink-3)' },
    { tag: tags.heading, fontWeight: '600' },
    { tag: tags.invalid, color: 'var(--err)' },
  ]),
);

/** First line, names of headers, masked values. What follows the empty line is a body. */
const sip = StreamLanguage.define<{ first: boolean; body: boolean }>({
  startState: () => ({ first: true, body: false }),
  copyState: (state) => ({ ...state }),
  blankLine: (state) => void (state.body = true),
  token(stream, state) {
    if (state.first) {
      stream.skipToEnd();
      state.first = false;
      return 'heading';
    }
    if (stream.sol() && (state.body ? stream.match(/^[a-z]=/) : stream.match(/^[\w.!%*+`'~-]+\s*:/))) return 'labelName';
    if (stream.match(/^•+( \(masked\))?/)) return 'comment';
    stream.next();
    stream.eatWhile(/[^•]/);
    return null;
  },
});

const sdp = StreamLanguage.define({
  token(stream) {
    if (stream.sol() && stream.match(/^m=/)) {
      stream.skipToEnd();
      return 'heading';
    }
    if (stream.sol() && stream.match(/^[a-z]=/)) return 'labelName';
    stream.skipToEnd();
    return null;
  },
});

function grammar(language: Language): Extension {
  if (language === 'json') return json();
  if (language === 'xml') return xml();
  if (language === 'sip') return sip;
  return language === 'sdp' ? sdp : [];
}

/** A finding under its line. Its words are text, never markup. */
class NoteWidget extends WidgetType {
  constructor(private readonly note: Note) {
    super();
  }
  override eq(other: NoteWidget): boolean {
    return other.note === this.note;
  }
  override toDOM(): HTMLElement {
    const outer = document.createElement('div');
    outer.className = 'under';
    const block = document.createElement('div');
    block.className = `note ${this.note.severity}`;
    outer.append(block);
    const text = document.createElement('b');
    text.textContent = this.note.text;
    block.append(text);
    if (this.note.fix) block.append(` ${this.note.fix}`);
    return outer;
  }
}

function noted(state: EditorState, notes: readonly Note[]): DecorationSet {
  const found: Range<Decoration>[] = [];
  for (const note of notes) {
    if (note.line < 1 || note.line > state.doc.lines) continue;
    const line = state.doc.line(note.line);
    const at = note.column ? line.from + note.column - 1 : line.from + (/\S/.exec(line.text)?.index ?? 0);
    const word = /^("(?:[^"\\]|\\.)*"|[\w-]+|\S)/.exec(line.text.slice(at - line.from));
    if (word && at + word[0].length <= line.to) found.push(Decoration.mark({ class: `wavy ${note.severity}` }).range(at, at + word[0].length));
    found.push(Decoration.widget({ widget: new NoteWidget(note), block: true, side: 1 }).range(line.to));
  }
  return Decoration.set(found, true);
}

function common(language: Language, label: string): Extension[] {
  return [look, colours, EditorView.lineWrapping, grammar(language), EditorView.contentAttributes.of({ 'aria-label': label })];
}

/** Not to be changed, yet to be reached and marked with the keyboard. */
const reading: Extension = [EditorState.readOnly.of(true), EditorView.editable.of(false), EditorView.contentAttributes.of({ tabindex: '0' }), keymap.of(defaultKeymap.filter((key) => key.key === 'Mod-a'))];

function shadowOf(host: HTMLElement): ShadowRoot {
  return host.shadowRoot ?? host.attachShadow({ mode: 'open' });
}

/** Shows one text in `host`. */
export function edit(host: HTMLElement, first: Shown): Editor {
  const root = shadowOf(host);
  const marks = new Compartment();
  let shown = first;
  const make = (from: Shown) =>
    EditorState.create({
      doc: from.text,
      extensions: [
        ...common(from.language, from.label),
        from.numbers ? lineNumbers() : [],
        from.onchange ? [history(), keymap.of([...defaultKeymap, ...historyKeymap])] : reading,
        EditorView.updateListener.of((update) => {
          if (update.docChanged) shown.onchange?.(update.state.doc.toString());
        }),
        marks.of([]),
      ],
    });
  const put = (state: EditorState, notes: readonly Note[] | undefined) =>
    notes?.length ? state.update({ effects: marks.reconfigure(EditorView.decorations.of(noted(state, notes))) }).state : state;
  const view = new EditorView({ state: put(make(first), first.notes), parent: root, root });
  return {
    show(next) {
      const same = next.onchange && shown.onchange && next.text === view.state.doc.toString();
      shown = next;
      if (!same) view.setState(put(make(next), next.notes));
    },
    destroy: () => view.destroy(),
  };
}

export interface Compared {
  next(): void;
  destroy(): void;
}

/** Shows two texts side by side, what differs marked, what is the same and far from it folded. */
export function compare(host: HTMLElement, one: string, other: string, language: Language, labels: [string, string]): Compared {
  const root = shadowOf(host);
  const state = (doc: string, label: string) => ({ doc, extensions: [...common(language, label), lineNumbers(), reading] });
  const view = new MergeView({ a: state(one, labels[0]), b: state(other, labels[1]), parent: root, root, highlightChanges: true, gutter: true, collapseUnchanged: { margin: 4, minSize: 8 } });
  view.dom.style.overflow = 'visible';
  return {
    next() {
      if (!goToNextChunk(view.b)) return;
      view.b.dispatch({ effects: EditorView.scrollIntoView(view.b.state.selection.main.head, { y: 'center' }) });
    },
    destroy: () => view.destroy(),
  };
}
