// Two texts side by side, what differs marked, what is the same and far from it folded.

import { goToNextChunk, MergeView } from '@codemirror/merge';
import { EditorView, lineNumbers } from '@codemirror/view';
import { common, reading, shadowOf } from './look';
import type { Language } from '../lens/http';

// What was there is red, what is there now green, as the marks beside it say, too.
const look = EditorView.theme({
  '&.cm-merge-a .cm-changedLine, .cm-deletedChunk': { backgroundColor: 'var(--err-soft)' },
  '&.cm-merge-b .cm-changedLine': { backgroundColor: 'var(--ok-soft)' },
  '&.cm-merge-a .cm-changedText, &.cm-merge-b .cm-changedText': { background: 'none', fontWeight: '600', textDecoration: 'underline', textUnderlineOffset: '3px' },
  '&.cm-merge-a .cm-changedLineGutter': { background: 'var(--err)' },
  '&.cm-merge-b .cm-changedLineGutter': { background: 'var(--ok)' },
  '.cm-collapsedLines': { background: 'var(--sunken)', color: 'var(--ink-2)', font: '400 12px/18px var(--sans)', padding: '2px 12px' },
});

export interface Compared {
  next(): void;
  destroy(): void;
}

export function compare(host: HTMLElement, one: string, other: string, language: Language, labels: [string, string]): Compared {
  const root = shadowOf(host);
  const state = (doc: string, label: string) => ({ doc, extensions: [common(language, label), look, EditorView.lineWrapping, lineNumbers(), reading] });
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
