// The README's first five minutes, as they are written: what is pressed, typed and called in the test stands there.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../../", import.meta.url));

const section = readFileSync(`${root}README.md`, "utf8").split("\n## The first five minutes\n")[1].split("\n## ")[0];

/** One step: its text, the words in bold, the code in it. */
function step(text) {
  const all = (pattern) => [...text.matchAll(pattern)].map((found) => found[1]);
  return { text: text.replace(/\s+/g, " ").trim(), bold: all(/\*\*([^*]+)\*\*/g), code: all(/`([^`]+)`/g) };
}

/** Steps by their number, which begins with 1. */
export const readme = [undefined, ...section.split("\n![")[0].split(/^\d+\. /m).slice(1).map(step)];
