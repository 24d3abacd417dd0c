import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

// `SWIVEL_URL` names a running swivel for `npm run dev`.
const server = process.env.SWIVEL_URL ?? 'http://127.0.0.1:8000';

export default defineConfig({
  plugins: [svelte()],
  // Nothing may be inlined: the page's Content-Security-Policy knows no `data:` script, font or style.
  build: { target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false }, reportCompressedSize: false },
  server: { proxy: Object.fromEntries(['/v2', '/sip', '/2010-04-01', '/metrics'].map((path) => [path, { target: server, ws: true }])) },
  test: { environment: 'jsdom', include: ['src/**/*.test.ts'] },
  resolve: process.env.VITEST ? { conditions: ['browser'] } : {},
});
