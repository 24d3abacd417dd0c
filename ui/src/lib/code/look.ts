// CodeMirror, as the page uses it: in a shadow root, because there its styles are adopted sheets, which no
// Content-Security-Policy forbids. Loaded when the first text is shown. Here is what every view of a text shares: `show`
// is for reading, `write` for callflows and documents, `compare` for two texts.

import { json } from '@codemirror/lang-json';
import { xml } from '@codemirror/lang-xml';
import { HighlightStyle, StreamLanguage, syntaxHighlighting } from '@codemirror/language';
import { defaultKeymap } from '@codemirror/commands';
import { EditorState, type Extension } from '@codemirror/state';
import { EditorView, keymap } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import type { Language } from '../lens/http';

const theme = EditorView.theme({
  '&': { backgroundColor: 'transparent', color: 'var(--ink)', fontSize: '12px' },
  // The frame around it shows the focus.
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '20px', overflow: 'auto' },
  '.cm-content': { padding: '4px 0', caretColor: 'var(--ink)' },
  '.cm-line': { padding: '0 12px 0 4px' },
  '.cm-cursor': { borderLeftColor: 'var(--ink)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': { backgroundColor: 'color-mix(in srgb, var(--accent) 30%, transparent)' },
  '::selection': { backgroundColor: 'color-mix(in srgb, var(--accent) 30%, transparent)' },
  '.cm-gutters': { backgroundColor: 'transparent', color: 'var(--ink-3)', border: 'none' },
  '.cm-lineNumbers .cm-gutterElement': { padding: '0 10px 0 8px', minWidth: '34px' },
});

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.tagName, tags.definition(tags.propertyName)], color: 'var(--accent)' },
  { tag: [tags.string, tags.attributeValue], color: 'var(--r2)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--key)' },
  { tag: tags.attributeName, color: 'var(--hook)' },
  { tag: [tags.comment, tags.meta, tags.labelName], color: 'var(--ink-3)' },
  { tag: tags.heading, fontWeight: '600' },
  { tag: tags.invalid, color: 'var(--err)' },
]);

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

/** What any text of this language has, whatever may be done with it. */
export function common(language: Language, label: string): Extension[] {
  return [theme, syntaxHighlighting(colours), grammar(language), EditorView.contentAttributes.of({ 'aria-label': label, tabindex: '0' })];
}

/** Not to be changed, yet to be reached and marked with the keyboard. */
export const reading: Extension = [EditorState.readOnly.of(true), EditorView.editable.of(false), keymap.of(defaultKeymap.filter((key) => key.key === 'Mod-a'))];

/**
 * What is typed over a selection is put there by the editor. Left to itself, a browser keeps the look of what it replaces by
 * a `style` attribute, which the page's policy refuses.
 */
export const typedOver: Extension = EditorView.domEventHandlers({
  beforeinput: (event, view) => {
    const { main, ranges } = view.state.selection;
    if (event.inputType !== 'insertText' || event.data === null || event.isComposing || main.empty || ranges.length > 1) return false;
    const text = event.data;
    const put = () => view.state.update(view.state.replaceSelection(text), { userEvent: 'input.type', scrollIntoView: true });
    event.preventDefault();
    if (!view.state.facet(EditorView.inputHandler).some((handle) => handle(view, main.from, main.to, text, put))) view.dispatch(put());
    return true;
  },
});

/** The shadow root of `host`, empty. */
export function shadowOf(host: HTMLElement): ShadowRoot {
  const root = host.shadowRoot ?? host.attachShadow({ mode: 'open' });
  root.replaceChildren();
  return root;
}
