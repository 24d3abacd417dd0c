import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const css = readFileSync('src/tokens.css', 'utf8');

function tokens(block: RegExp): Record<string, string> {
  const body = block.exec(css)?.[1] ?? '';
  return Object.fromEntries([...body.matchAll(/--([\w-]+):\s*(#[0-9a-f]{6})/g)].map((found) => [found[1], found[2]]));
}

function luminance(colour: string): number {
  const parts = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255);
  const [red = 0, green = 0, blue = 0] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [light = 0, dark = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

const TEXT = ['ink', 'ink-2', 'ink-3', 'accent', 'req', 'r1', 'r2', 'r3', 'r4', 'r5', 'hook', 'media', 'key', 'flow', 'err', 'warn', 'ok'];
const THEMES = { light: tokens(/:root \{([^}]*)\}/), dark: tokens(/data-theme='dark'\] \{([^}]*)\}/) };

// WCAG 2.2, 1.4.3: 4.5 to 1 for text.
describe.each(Object.entries(THEMES))('the %s theme', (_, theme) => {
  it.each(TEXT)('lets %s be read on every ground it may stand on', (name) => {
    const colour = theme[name];
    expect(colour).toBeDefined();
    for (const ground of ['bg', 'surface', 'sunken', `${name}-soft`, 'accent-soft']) {
      const under = theme[ground];
      if (under) expect(contrast(colour ?? '', under), `${name} on ${ground}`).toBeGreaterThanOrEqual(4.5);
    }
  });
});
