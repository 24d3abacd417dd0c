// A callflow that is being edited: one text, one undo history, and the last picture that was valid. The tree and the JSON
// are two views of it.

import { History } from './history';
import { atOf, find, type Node, nodeAround, pathOf, picture } from './tree';
import { apply, edits, type Mistake, parse, type Path, pathAt, same, type Span, spanAt, memberAt } from './text';
import type { NameOf } from './modules';

/** The document itself is selected, no node. */
export const DOCUMENT = null;

export class FlowDocument {
  text = $state('');
  /** The last valid document and its text. */
  doc = $state.raw<unknown>(null);
  validText = '';
  root = $state.raw<Span | null>(null);
  /** What keeps the text from being JSON. */
  mistake = $state.raw<Mistake | null>(null);
  repeated = $state.raw<{ path: Path; from: number; to: number }[]>([]);
  /** Address of the selected node. */
  at = $state<string | null>(DOCUMENT);
  canUndo = $state(false);
  canRedo = $state(false);
  savedText = $state('');
  changes = $state(0);
  private history: History;

  constructor(
    text: string,
    private readonly nameOf: NameOf = () => undefined,
  ) {
    this.history = new History(text);
    this.savedText = text;
    this.show(text);
  }

  readonly tree: Node | null = $derived.by(() => picture(this.doc, this.nameOf));
  readonly selected: Node | null = $derived(this.at === null ? null : find(this.tree, this.at));
  readonly dirty: boolean = $derived(this.text !== this.savedText);

  /** The text was typed. */
  type(text: string, now: number): void {
    this.history.push(text, this.at ?? '', 'type', now);
    this.show(text);
  }

  /** Another text in place of this one, a step of its own. */
  put(text: string): void {
    this.history.push(text, this.at ?? '', '', 0);
    this.show(text);
  }

  /** The document was changed by other means: the text follows, laid out as it was. `false` while the text is no JSON. */
  edit(doc: unknown, at: string | null = this.at): boolean {
    if (this.mistake || !this.root) return false;
    const text = apply(this.text, edits(this.text, this.root, doc));
    this.at = at;
    this.history.push(text, at ?? '', '', 0);
    this.show(text);
    return true;
  }

  /** Like `edit`, letters of one field in a row being one step. */
  editField(doc: unknown, field: string, now: number): boolean {
    if (this.mistake || !this.root) return false;
    const text = apply(this.text, edits(this.text, this.root, doc));
    this.history.push(text, this.at ?? '', `field ${this.at ?? ''} ${field}`, now);
    this.show(text);
    return true;
  }

  undo(): void {
    this.go(this.history.undo());
  }

  redo(): void {
    this.go(this.history.redo());
  }

  private go(moment: { text: string; at: string } | null): void {
    if (!moment) return;
    this.show(moment.text);
    if (this.at !== null && !this.selected) this.at = find(this.tree, moment.at) ? moment.at : '';
  }

  select(at: string | null): void {
    this.at = at;
    this.history.select(at ?? '');
  }

  /** The cursor stands here in the text: selects its node. Gives the address, or `undefined` when nothing changes. */
  selectOffset(offset: number): string | null | undefined {
    if (this.mistake || !this.root) return undefined;
    const node = nodeAround(this.tree, pathAt(this.root, offset));
    const at = node ? node.at : DOCUMENT;
    if (at === this.at) return undefined;
    this.select(at);
    return at;
  }

  /** Where the selected node stands in the text. */
  readonly chosen: { from: number; to: number } | null = $derived.by(() => {
    if (this.mistake || !this.root || this.at === null || !this.selected) return null;
    const path = pathOf(this.at);
    const member = memberAt(this.root, path);
    return member ? { from: member.keyFrom, to: member.value.to } : null;
  });

  /** Where a path of the document stands in the text; for what is missing, where it would belong. */
  rangeOf(path: Path): { from: number; to: number } | null {
    if (!this.root || this.mistake) return null;
    for (let length = path.length; length >= 0; length -= 1) {
      const part = path.slice(0, length);
      const member = memberAt(this.root, part);
      const span = spanAt(this.root, part);
      if (!span) continue;
      if (length === path.length && span.kind === 'scalar') return { from: span.from, to: span.to };
      if (member) return { from: member.keyFrom, to: member.keyTo };
      return { from: span.from, to: Math.min(span.to, span.from + 1) };
    }
    return null;
  }

  /** What is on the server now. */
  saved(text: string = this.text): void {
    this.savedText = text;
    this.count();
  }

  private show(text: string): void {
    this.text = text;
    const parsed = parse(text);
    if (parsed.root) {
      this.root = parsed.root;
      this.repeated = parsed.repeated;
      this.mistake = null;
      this.validText = text;
      if (!same(this.doc, parsed.root.value)) this.doc = parsed.root.value;
    } else this.mistake = parsed.mistake;
    this.count();
  }

  private count(): void {
    this.canUndo = this.history.canUndo;
    this.canRedo = this.history.canRedo;
    this.changes = this.history.stepsSince(this.savedText);
  }
}

export { atOf, pathOf };
