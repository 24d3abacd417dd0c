// Where the boxes of a tree stand. A subtree takes the width it needs; parents stand above the middle of their children.

import type { Node } from './tree';

export const WIDTH = 228;
export const HEIGHT = 52;
const GAP_X = 28;
/** Below a node with one child: room for the edge's label. */
const GAP_ONE = 40;
/** Below a node with several: the crossbar and the labels. */
const GAP_MANY = 64;
export const TOP = 78;
const MARGIN = 40;

export interface Box {
  node: Node;
  x: number;
  y: number;
}

export interface Edge {
  /** As the `d` of a path. */
  line: string;
  child: Node | null;
  /** The middle of the label. */
  x: number;
  y: number;
}

export interface Adder {
  parent: Node;
  x: number;
  y: number;
}

export interface Layout {
  boxes: Box[];
  edges: Edge[];
  adders: Adder[];
  width: number;
  height: number;
  /** The middle of the first node. */
  rootX: number;
}

/** `adds`: whether a dashed place for a further node is drawn below this one. */
export function layout(root: Node, adds: (node: Node) => boolean): Layout {
  const out: Layout = { boxes: [], edges: [], adders: [], width: 0, height: 0, rootX: 0 };
  const widths = new Map<Node, number>();
  measure(root, widths);
  const total = widths.get(root) ?? WIDTH;
  out.rootX = MARGIN + total / 2;
  out.edges.push({ line: `M${out.rootX} 50V${TOP}`, child: null, x: out.rootX, y: 50 });
  place(root, MARGIN, TOP, widths, adds, out);
  out.width = total + 2 * MARGIN;
  out.height = Math.max(...out.boxes.map((box) => box.y + HEIGHT), ...out.adders.map((each) => each.y + 36)) + 84;
  return out;
}

function measure(node: Node, widths: Map<Node, number>): number {
  const below = node.children.reduce((sum, child, n) => sum + measure(child, widths) + (n ? GAP_X : 0), 0);
  const width = Math.max(WIDTH, below);
  widths.set(node, width);
  return width;
}

function place(node: Node, left: number, y: number, widths: Map<Node, number>, adds: (node: Node) => boolean, out: Layout): void {
  const middle = left + (widths.get(node) ?? WIDTH) / 2;
  out.boxes.push({ node, x: middle - WIDTH / 2, y });
  const bottom = y + HEIGHT;
  const [only] = node.children;
  if (!only) {
    if (adds(node)) {
      out.adders.push({ parent: node, x: middle - WIDTH / 2, y: bottom + GAP_ONE });
      out.edges.push({ line: `M${middle} ${bottom}V${bottom + GAP_ONE}`, child: null, x: middle, y: bottom });
    }
    return;
  }
  const many = node.children.length > 1;
  const next = bottom + (many ? GAP_MANY : GAP_ONE);
  let at = left + ((widths.get(node) ?? WIDTH) - node.children.reduce((sum, child, n) => sum + (widths.get(child) ?? WIDTH) + (n ? GAP_X : 0), 0)) / 2;
  const bar = bottom + 22;
  for (const child of node.children) {
    const width = widths.get(child) ?? WIDTH;
    const x = at + width / 2;
    out.edges.push({ line: many ? `M${middle} ${bottom}V${bar}H${x}V${next}` : `M${middle} ${bottom}V${next}`, child, x, y: many ? next - 20 : bottom + GAP_ONE / 2 });
    place(child, at, next, widths, adds, out);
    at += width + GAP_X;
  }
}
