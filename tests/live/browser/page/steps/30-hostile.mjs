// What callers say may be markup that means harm: 60 strings in every field that a caller, a telephone that registers, or one that
// is called can fill. They must arrive as text on every page, and run nowhere.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { callee, dial, signedIn, telephone } from "../sip.mjs";

const HOSTILE = JSON.parse(readFileSync(new URL("../hostile.json", import.meta.url), "utf8"));
const BATCH = 12;

/** What a header may carry: anything in the free text, what the grammar lets through elsewhere. */
function odd(bad, at, batch) {
  const token = bad.replace(/[^\w!%*_+`'~()<>:\\"/[\]?{}.-]/gu, "_");
  const word = bad.replace(/[^\w.!%*+`'~-]/gu, "_");
  return {
    display: bad,
    to: bad,
    agent: bad,
    call: `${token.slice(0, 60)}${batch}${at}@hostile`,
    contact: `${JSON.stringify(bad)} <sip:lens@127.0.0.1>`,
    more: [
      `Subject: ${bad}`, `Reason: SIP;cause=200;text=${JSON.stringify(bad)}`, `X-Odd: ${bad}`, `X-${word.slice(0, 30)}: ${bad}`, `Organization: ${bad}`, `P-Asserted-Identity: ${JSON.stringify(bad)} <sip:lens@127.0.0.1>`,
      `Call-Info: <http://odd.test/${encodeURIComponent(bad)}>;purpose=${bad.replace(/[^\w-]/g, "")}`,
    ],
    sdp: [word, `i=${bad}`, `a=x-odd:${bad}`, `a=label:${bad}`, `a=rtpmap:99 ${word.slice(0, 20)}/8000`],
  };
}

/** Nothing ran, and no element stands in the page that a string would have made. */
async function harmless(t, where) {
  const found = await t.page.evaluate(() => {
    const roots = [document.body];
    for (let at = 0; at < roots.length; at++) for (const each of roots[at].querySelectorAll("*")) if (each.shadowRoot) roots.push(each.shadowRoot);
    const bad = "script:not([src^='/assets/']), iframe, object, embed, base, meta, marquee, video, math, form[action], template, noscript, [onerror], [onload], [onfocus], [ontoggle], [onstart], [onmouseover], [onbegin], [onslotchange], [href^='javascript'], [href^='data'], [href^='vbscript'], img[src='x']";
    return { ran: window.__ran, made: roots.flatMap((root) => [...root.querySelectorAll(bad)].map((each) => each.outerHTML.slice(0, 200))) };
  });
  t.assert.deepEqual(found, { ran: undefined, made: [] }, where);
  t.assert.equal(t.kept.dialogs ?? 0, 0, where);
}

/** Some at a time. */
async function each(list, work) {
  for (let at = 0; at < list.length; at += BATCH) await Promise.all(list.slice(at, at + BATCH).map((one, n) => work(one, at + n)));
}

const told = createServer((request, response) => {
  request.resume();
  response.end("{}");
});

export const steps = [
  [
    "a webhook is told of every call, and a telephone registers with hostile names",
    async (t) => {
      await signedIn(t);
      t.page.on("dialog", (dialog) => {
        t.kept.dialogs = (t.kept.dialogs ?? 0) + 1;
        void dialog.dismiss();
      });
      await new Promise((done) => told.listen(0, "127.0.0.1", done));
      told.unref();
      const hook = await t.api("webhooks", { method: "PUT", data: { name: "Hostile", uri: `http://127.0.0.1:${told.address().port}/`, hook: "channel_create", http_verb: "post" } });
      t.assert.equal(hook.status, "success", JSON.stringify(hook));
      t.kept.hook = hook.data.id;
      const phone = await telephone(t, "hostile");
      t.kept.hostilePhone = phone;
      t.kept.callee = await callee({
        ...phone,
        odd: { contact: HOSTILE[2], agent: HOSTILE[2] },
        refuse: (at) => {
          const bad = HOSTILE[at % HOSTILE.length];
          return { line: `486 ${bad}`, more: [`Server: ${bad}`, `X-Odd: ${bad}`, `Warning: 399 odd ${JSON.stringify(bad)}`, `Reason: Q.850;cause=17;text=${JSON.stringify(bad)}`, `Retry-After: 5 (${bad.replace(/[()\\]/g, "")})`] };
        },
      });
      t.assert.equal(t.kept.callee.status, 200);
      const { userId } = await t.page.evaluate(() => JSON.parse(sessionStorage.getItem("swivel.session")));
      const flow = (name, number, module, data) => t.api("callflows", { method: "PUT", data: { name, numbers: [number], flow: { module, data, children: {} } } });
      await flow("Hostile telephone", "560", "device", { id: phone.id, timeout: 10 });
      await flow("This browser", "561", "user", { id: userId, can_call_self: true, timeout: 60 });
    },
  ],
  [
    "sixty running calls with hostile strings in every field stand in Now as text",
    async (t) => {
      const phone = await telephone(t);
      await t.go("/now");
      // Rows that ended stay as long as the pointer is over them.
      await t.page.mouse.move(1, 1);
      const calls = [];
      await each(HOSTILE, async (bad, at) => calls.push(await dial({ ...phone, number: "100", odd: odd(bad, at, "a") })));
      t.assert.deepEqual(calls.filter((call) => call.status !== 200).map((call) => call.status), []);
      await t.until("all rows", async () => (await t.page.locator("section[aria-labelledby=in-progress] tr[data-call]").count()) >= HOSTILE.length);
      await harmless(t, "now");
      await each(calls, (call, at) => call.hangUp([`Reason: Q.850;cause=16;text=${JSON.stringify(HOSTILE[at])}`, `X-Why: ${HOSTILE[at]}`]));
      await t.page.getByText("Nobody is on the phone.").waitFor({ timeout: 60_000 });
      await harmless(t, "now, ended");
    },
  ],
  [
    "sixty Pivot calls: keys and types of bodies are hostile, too",
    async (t) => {
      const phone = await telephone(t);
      t.kept.hostile = [];
      await each(HOSTILE, async (bad, at) => {
        const call = await dial({ ...phone, number: "300", odd: odd(bad, at, "b") });
        t.assert.equal(call.status, 200, bad);
        t.kept.hostile.push(call.call);
        await call.press(bad);
        await call.press("1", `application/${bad.replace(/[^\w.+-]/g, "x")}; odd=${JSON.stringify(bad)}`);
        await call.hangUp([`Reason: SIP;cause=200;text=${JSON.stringify(bad)}`]);
      });
    },
  ],
  [
    "sixty calls to a telephone that refuses with hostile reasons",
    async (t) => {
      const phone = await telephone(t);
      t.kept.refused = [];
      // The caller hears a busy tone and does not wait for its end.
      await each(HOSTILE, async (bad) => {
        const call = await dial({ ...phone, number: "560", ringing: true });
        await call.cancel([`Reason: SIP;cause=200;text=${JSON.stringify(bad)}`]);
        t.kept.refused.push(call.call);
      });
      t.assert.ok(t.kept.callee.calls() >= HOSTILE.length, `${t.kept.callee.calls()} calls`);
    },
  ],
  [
    "sixty callers ring in this browser",
    async (t) => {
      const phone = await telephone(t);
      await t.go("/phone");
      const tag = (word) => t.page.locator("section.phone header .tag", { hasText: word });
      await tag("Ready").waitFor();
      for (const [at, bad] of HOSTILE.entries()) {
        const call = await dial({ ...phone, number: "561", odd: odd(bad, at, "c"), ringing: true });
        await t.page.getByText("Incoming call").waitFor();
        await harmless(t, `ringing: ${bad}`);
        await call.cancel([`Reason: SIP;cause=200;text=${JSON.stringify(bad)}`]);
        await tag("Ready").waitFor();
      }
    },
  ],
  [
    "sixty strangers whose names, numbers and digest names are hostile are refused",
    async (t) => {
      const phone = await telephone(t);
      // Last of the calls: who guesses passwords is shut out for a while.
      await each(HOSTILE, async (bad) => {
        const clean = bad.replace(/[^\x20-\x7e]/g, "");
        const refused = await dial({ ...phone, number: encodeURIComponent(bad), odd: { user: encodeURIComponent(bad), display: bad, agent: bad, digest: clean } });
        t.assert.ok(refused.status >= 300, `${refused.status}`);
      });
    },
  ],
  [
    "their lenses show the strings as text, in every row and every view of it",
    async (t) => {
      const shown = new Set();
      const ids = [...t.kept.hostile, ...t.kept.refused.filter((_, at) => at % 6 === 0)];
      for (const id of ids) {
        await t.go(`/calls/${encodeURIComponent(id)}`);
        await t.until("its events", () => t.page.evaluate((id) => document.querySelector(".crumb .mono")?.getAttribute("title") === id && document.querySelectorAll("[role=option]").length > 2, id));
        const text = await t.page.evaluate(async () => {
          const text = (root) => [...root.childNodes].map((node) => (node.nodeType === 3 ? node.data : node.nodeType === 1 ? (node.shadowRoot ? text(node.shadowRoot) : "") + text(node) : "")).join("");
          const pause = () => new Promise((done) => setTimeout(done, 4));
          let all = text(document.body);
          // What swivel alone says is not read again in each call.
          const theirs = [...document.querySelectorAll("[role=option]")].filter((each) => !/\b(ACK|100 Trying|401|407|183)\b/.test(each.getAttribute("aria-label")));
          for (const n of theirs.map((each) => each.dataset.n)) {
            const option = document.querySelector(`[role=option][data-n="${n}"]`);
            if (!option) continue;
            option.click();
            // An event is read before its views hold anything.
            for (let tries = 0; tries < 500 && !document.querySelector(".drawer .view")?.textContent && !document.querySelector(".drawer .view .code")?.shadowRoot; tries++) await pause();
            for (const word of [...document.querySelectorAll(".drawer [role=tab]")].map((each) => each.dataset.tab)) {
              document.querySelector(`.drawer [data-tab="${word}"]`)?.click();
              await pause();
              all += text(document.querySelector(".drawer"));
            }
          }
          return all;
        });
        for (const bad of HOSTILE) if (text.includes(bad)) shown.add(bad);
        await harmless(t, id);
      }
      t.assert.ok(shown.size >= 55, `shown as they are: ${shown.size} of 60, not: ${HOSTILE.filter((bad) => !shown.has(bad))}`);
    },
  ],
  [
    "the lists, the records, the telephones, the deliveries and Live Debug show them as text",
    async (t) => {
      for (const path of ["/calls", "/now", "/flows", "/people/users", "/numbers", "/settings"]) {
        await t.go(path);
        await t.page.locator("main h1").first().waitFor();
        await t.page.locator("main").getByText(/\d/).first().waitFor();
        await harmless(t, path);
      }
      await t.go(`/people/devices/${t.kept.hostilePhone.id}`);
      await t.page.getByRole("complementary", { name: "hostile" }).waitFor();
      await harmless(t, "device");
      await t.go(`/webhooks/${t.kept.hook}`);
      await t.page.locator("button.line").first().waitFor();
      for (let at = 0; at < Math.min(60, await t.page.locator("button.line").count()); at++) {
        await t.page.locator("button.line").nth(at).click();
        await t.page.getByRole("heading", { name: "Request" }).first().waitFor();
      }
      await harmless(t, "deliveries");
      await t.page.keyboard.press("Control+k");
      await t.page.getByRole("combobox", { name: "Go to" }).fill("<");
      await harmless(t, "go to");
      await t.page.keyboard.press("Escape");
      await t.go("/debug");
      await t.page.locator(".list li a").first().waitFor();
      const links = await t.page.locator(".list li a").count();
      for (let at = 0; at < Math.min(links, 60); at++) {
        await t.page.locator(".list li a").nth(at).click();
        await t.page.locator(".detail .pane, .detail .inside").first().waitFor();
        for (const tab of await t.page.locator(".detail [role=tab]").all()) await tab.click();
      }
      await harmless(t, "debug");
    },
  ],
  [
    "no cell of the CSV is a formula",
    async (t) => {
      await t.go("/calls");
      await t.page.locator("tbody tr[data-call]").first().waitFor();
      const [file] = await Promise.all([t.page.waitForEvent("download"), t.page.getByRole("button", { name: "Download CSV" }).click()]);
      const chunks = [];
      for await (const chunk of await file.createReadStream()) chunks.push(chunk);
      const cells = Buffer.concat(chunks).toString().split(/\r?\n/).flatMap((line) => line.match(/("([^"]|"")*"|[^,]*)(,|$)/g) ?? []);
      t.assert.deepEqual(cells.filter((cell) => /^"?[=@]/.test(cell)), []);
      t.kept.callee.close();
    },
  ],
];
