// A text for reading, its findings under their lines; or a small one that may be changed.

import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { Compartment, EditorState, type Range } from '@codemirror/state';
import { Decoration, type DecorationSet, EditorView, keymap, lineNumbers, WidgetType } from '@codemirror/view';
import { common, reading, shadowOf, typedOver } from './look';
import type { Language } from '../lens/http';

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
  // Heights are measured without margins.
  '.under': { padding: '1px 12px 3px 4px' },
  '.note': { borderLeft: '3px solid var(--warn)', background: 'var(--warn-soft)', color: 'var(--ink)', padding: '3px 10px', borderRadius: '0 4px 4px 0', font: '400 12px/18px var(--sans)' },
  '.note.err': { borderColor: 'var(--err)', background: 'var(--err-soft)' },
  '.note.info': { borderColor: 'var(--line-2)', background: 'var(--flow-soft)' },
  '.note b': { fontWeight: '600' },
  '.wavy': { textDecoration: 'underline wavy var(--warn) 1px', textUnderlineOffset: '3px' },
  '.wavy.err': { textDecorationColor: 'var(--err)' },
});

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

/** Shows one text in `host`. */
export function edit(host: HTMLElement, first: Shown): Editor {
  const root = shadowOf(host);
  const marks = new Compartment();
  let shown = first;
  const make = (from: Shown) =>
    EditorState.create({
      doc: from.text,
      extensions: [
        common(from.language, from.label),
        look,
        EditorView.lineWrapping,
        from.numbers ? lineNumbers() : [],
        from.onchange ? [history(), keymap.of([...defaultKeymap, ...historyKeymap]), typedOver] : reading,
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
