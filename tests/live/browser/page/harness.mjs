// The page in headless Chromium against a running swivel. Runs every file of `steps/` in the order of their names; each exports
// `steps`, a list of `[what, async (t) => …]`. Prints one line of JSON: the steps with what failed, violations of the
// Content-Security-Policy, errors of the console, findings of axe.
//
// Arguments: the printed link that signs in once; the API's user and password; a folder for pictures, or `-`.
import assert from "node:assert/strict";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import axe from "axe-core";
import { launch } from "../chromium.mjs";

const [link, user, password, pictures] = process.argv.slice(2);
const only = process.env.SWIVEL_STEPS;
/** Those of the documentation: one of every page, and of states that matter. */
const chosen = !process.env.SWIVEL_PICTURES;
const DOCS = new Set([
  "welcome", "login", "now", "calls", "lens", "lens-live", "lens-failed", "debug", "flows", "flow", "numbers", "users", "device", "trunk", "media",
  "document", "webhooks", "settings", "phone", "phone-ringing", "phone-no-microphone", "go-to",
]);
const base = new URL(link).origin;
/** The step that runs. */
let now = "";
const told = { steps: [], violations: [], errors: [], axe: [] };

const browser = await launch();

/** A page of a browser of its own, watched. */
async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: "en-GB", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  await page.exposeFunction("__violated", (what) => told.violations.push(`${what}, during: ${now}`));
  await page.addInitScript(() => {
    // The page's connections, for what is heard over them.
    window.__peers = [];
    window.RTCPeerConnection = class extends RTCPeerConnection {
      constructor(...how) {
        super(...how);
        window.__peers.push(this);
      }
    };
    document.addEventListener("securitypolicyviolation", (event) =>
      window.__violated(`${event.violatedDirective}: ${event.blockedURI} at ${event.sourceFile}:${event.lineNumber}`),
    );
  });
  page.on("console", (message) => {
    // A refused request is in the console whatever the page makes of it.
    if (message.type() === "error" && !/Failed to load resource/.test(message.text())) told.errors.push(`${message.text()}, during: ${now}`);
  });
  page.on("pageerror", (error) => told.errors.push(`${error.stack ?? error}, during: ${now}`));
  page.on("request", (request) => {
    const to = new URL(request.url());
    if (to.protocol.startsWith("http") && to.origin !== base) told.violations.push(`asked ${to.origin}`);
  });
  return page;
}

/** What axe finds serious or critical. It is run in a world of its own, so the page's policy stays as it is. */
async function findings(page) {
  const session = await page.context().newCDPSession(page);
  const { frameTree } = await session.send("Page.getFrameTree");
  const { executionContextId } = await session.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id });
  await session.send("Runtime.evaluate", { contextId: executionContextId, expression: axe.source });
  const { result } = await session.send("Runtime.evaluate", {
    contextId: executionContextId,
    awaitPromise: true,
    returnByValue: true,
    expression: `axe.run(document, { resultTypes: ['violations'] }).then((found) => JSON.stringify(found.violations
      .filter((one) => ['serious', 'critical'].includes(one.impact))
      .flatMap((one) => one.nodes.map((node) => one.id + ': ' + node.target.join(' ')))))`,
  });
  await session.detach();
  return result.value === undefined ? [`axe did not run: ${JSON.stringify(result)}`] : JSON.parse(result.value);
}

/** What steps work with. */
const t = {
  assert,
  base,
  link,
  user,
  password,
  open,
  /** What steps tell later ones. */
  kept: {},
  page: await open(),

  /** Goes to an address of the page, without loading it anew where it is loaded. */
  async go(path) {
    await t.page.evaluate((to) => {
      const link = document.body.appendChild(document.createElement("a"));
      link.href = to;
      link.click();
      link.remove();
    }, path);
  },

  /** Pictures of what is shown, light and dark, and what axe says of it. */
  async look(name, page = t.page) {
    for (const colour of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme: colour, reducedMotion: "reduce" });
      if (pictures !== "-" && (!chosen || DOCS.has(name))) {
        mkdirSync(pictures, { recursive: true });
        await page.screenshot({ path: join(pictures, `${name}-${colour}.png`) });
      }
      await t.examine(`${name}, ${colour}`, page);
    }
    await page.emulateMedia({ colorScheme: "light" });
  },

  /** axe: nothing serious. What is found while the page is still changing does not count: it must be there a second later. */
  async examine(name, page = t.page) {
    let found = await findings(page);
    if (found.length > 0) {
      await page.waitForTimeout(1000);
      const still = await findings(page);
      found = found.filter((one) => still.includes(one));
    }
    for (const one of found) told.axe.push(`${name}: ${one}`);
  },

  /** Asks the API as whoever is signed in. */
  async api(path, how = {}) {
    return await t.page.evaluate(
      async ({ path, how }) => {
        const { token, account } = JSON.parse(sessionStorage.getItem("swivel.session"));
        const response = await fetch(`/v2/accounts/${account}/${path}`, {
          ...how,
          headers: { "x-auth-token": token, "content-type": "application/json" },
          body: how.data === undefined ? undefined : JSON.stringify({ data: how.data }),
        });
        return await response.json();
      },
      { path, how },
    );
  },

  /** Waits until the page hears something: the energy of the sound that has arrived grows. */
  async heard(page) {
    const energy = () =>
      page.evaluate(async () => {
        let sum = 0;
        for (const peer of window.__peers) {
          for (const report of (await peer.getStats()).values()) if (report.type === "inbound-rtp") sum += report.totalAudioEnergy ?? 0;
        }
        return sum;
      });
    const before = await energy();
    await t.until("sound", async () => (await energy()) > before + 1e-5);
  },

  /** Waits until `ask` answers something true. */
  async until(what, ask, ms = 20_000) {
    const end = Date.now() + ms;
    for (;;) {
      const found = await ask();
      if (found) return found;
      if (Date.now() > end) throw new Error(`${what}: not within ${ms / 1000} s`);
      await new Promise((done) => setTimeout(done, 100));
    }
  },
};

/** A step that never ends is one that failed. */
const tooLong = (what) =>
  new Promise((_, fail) => {
    setTimeout(() => fail(new Error(`${what}: not within ten minutes`)), 600_000).unref();
  });

try {
  const folder = fileURLToPath(new URL("steps/", import.meta.url));
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".mjs")).sort()) {
    if (only && !new RegExp(only).test(file)) continue;
    const { steps } = await import(pathToFileURL(join(folder, file)).href);
    let failed = false;
    for (const [what, run] of steps) {
      // Steps of one file build on each other.
      if (failed) break;
      const from = Date.now();
      now = what;
      try {
        await Promise.race([run(t), tooLong(what)]);
        told.steps.push({ file, what, ms: Date.now() - from });
        process.stderr.write(`${Date.now() - from} ms: ${what}\n`);
      } catch (error) {
        failed = true;
        process.stderr.write(`failed: ${what}: ${String(error.stack ?? error).slice(0, 2000)}\n`);
        told.steps.push({ file, what, error: String(error.stack ?? error), shown: (await t.page.innerText("body").catch(() => "")).slice(0, 1500) });
        if (pictures !== "-") await t.page.screenshot({ path: join(pictures, `failed-${file}.png`) }).catch(() => undefined);
      }
    }
  }
} finally {
  await browser.close();
}
// What a step left open keeps nobody waiting.
process.stdout.write(`${JSON.stringify(told)}\n`, () => process.exit());
