// What callers say may be markup that means harm: 60 strings in every field they can fill. It must arrive as text, everywhere.
import { readFileSync } from "node:fs";
import { dial, telephone } from "../sip.mjs";

const HOSTILE = JSON.parse(readFileSync(new URL("../hostile.json", import.meta.url), "utf8"));
const ran = (t) => t.page.evaluate(() => window.__ran);

/** What a header may carry: anything in the free text, what the grammar lets through elsewhere. */
function odd(bad, at) {
  const token = bad.replace(/[^\w!%*_+`'~()<>:\\"/[\]?{}.-]/gu, "_");
  return {
    display: bad,
    agent: bad,
    // One Call-ID comes twice: nothing keeps a caller from that.
    call: `${token.slice(0, 60)}${at === 59 ? 57 : at}@hostile`.replace(/^.*(?=57@)/, "<b>again</b>"),
    contact: `${JSON.stringify(bad)} <sip:lens@127.0.0.1>`,
    more: [`Subject: ${bad}`, `Reason: SIP;cause=200;text=${JSON.stringify(bad)}`, `X-Odd: ${bad}`, `Organization: ${bad}`, `Call-Info: <http://odd.test/${encodeURIComponent(bad)}>;purpose=${bad.replace(/[^\w-]/g, "")}`],
  };
}

export const steps = [
  [
    "sixty calls with hostile strings are answered or refused",
    async (t) => {
      const phone = await telephone(t);
      t.page.on("dialog", (dialog) => {
        t.kept.dialogs = (t.kept.dialogs ?? 0) + 1;
        void dialog.dismiss();
      });
      await t.go("/now");
      t.kept.hostile = [];
      for (const [at, bad] of HOSTILE.entries()) {
        const call = await dial({ ...phone, number: at % 2 ? "2030" : "300", odd: odd(bad, at) });
        if (call.status !== 200) continue;
        t.kept.hostile.push(call.call);
        if (at % 10 === 0) await t.page.locator("main").getByText(/300|2030/).first().waitFor();
        await call.hangUp();
      }
      t.assert.ok(t.kept.hostile.length >= 50, `${t.kept.hostile.length} calls`);
      t.assert.equal(await ran(t), undefined);
      // A name that nobody knows is a stranger: the digest's user name and the number are hostile, too.
      for (const bad of HOSTILE.slice(0, 20)) {
        const refused = await dial({ ...phone, user: bad.replace(/["\\]/g, ""), number: encodeURIComponent(bad), odd: { user: encodeURIComponent(bad), display: bad } });
        t.assert.ok(refused.status >= 300, `${refused.status}`);
      }
    },
  ],
  [
    "their lenses show the strings as text, whichever row is read",
    async (t) => {
      const ids = t.kept.hostile;
      for (const [at, id] of ids.entries()) {
        await t.go(`/calls/${encodeURIComponent(id)}`);
        await t.page.locator("[role=option]").first().waitFor();
        if (at % 30) continue;
        const rows = await t.page.locator("[role=option]").count();
        for (let n = 0; n < Math.min(rows, 12); n++) {
          await t.page.locator("[role=option]").nth(n).click();
          const tabs = t.page.locator(".drawer [role=tab]");
          for (let tab = 0; tab < (await tabs.count()); tab++) await tabs.nth(tab).click();
        }
      }
      await t.page.keyboard.press("Home");
      const agent = HOSTILE[HOSTILE.length - 2];
      await t.until("the hostile agent as text", () => t.page.evaluate((bad) => [...document.querySelectorAll(".drawer .code")].some((host) => host.shadowRoot?.textContent.includes(bad)) || document.body.innerText.includes(bad), agent)).catch(() => undefined);
      t.assert.equal(await ran(t), undefined);
    },
  ],
  [
    "the lists and Live Debug show them as text",
    async (t) => {
      for (const path of ["/now", "/calls", "/debug"]) {
        await t.go(path);
        await t.page.locator("main").getByText(/300|2030/).first().waitFor();
        t.assert.equal(await ran(t), undefined, path);
      }
      const links = await t.page.locator(".list li a").all();
      for (const link of links.slice(0, 30)) await link.click();
      for (const tab of await t.page.locator(".detail [role=tab]").all()) await tab.click();
      const found = await t.page.evaluate(() => ({ ran: window.__ran, made: document.querySelectorAll("main img, main script, main iframe, main object, main embed, main base, main meta, main [onerror], main [onload]").length }));
      t.assert.deepEqual(found, { ran: undefined, made: 0 });
      t.assert.equal(t.kept.dialogs ?? 0, 0);
    },
  ],
];
