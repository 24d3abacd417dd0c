// Call Lens and Live Debug: a call while it runs and afterwards, its messages, hooks, filters, links and downloads; a hook replayed.
import { dial, telephone } from "../sip.mjs";

const lens = (t, id) => `/calls/${encodeURIComponent(id)}`;
const tag = (t) => t.page.locator("h1 .tag").first();
const row = (t, text) => t.page.getByRole("option", { name: text });
const chip = (t, word) => t.page.getByRole("button", { name: new RegExp(`^${word} \\d`) });

export const steps = [
  [
    "a running call is followed: keys arrive, it ends, and nothing is loaded anew",
    async (t) => {
      const phone = await telephone(t);
      const call = await dial({ ...phone, number: "300" });
      t.assert.equal(call.status, 200);
      t.kept.lens = call.call;
      await t.go(lens(t, call.call));
      await t.page.getByText(/In progress/).waitFor();
      await t.page.getByRole("switch", { name: /Follow live/, checked: true }).waitFor();
      await row(t, /200 OK/).first().waitFor();
      await t.page.evaluate(() => (window.__same = true));
      t.assert.equal(await call.press("1"), 200);
      await chip(t, "Keys").waitFor();
      await call.over();
      await tag(t).getByText("Completed").waitFor();
      t.assert.equal(await t.page.evaluate(() => window.__same), true);
      await row(t, /BYE/).first().waitFor();
    },
  ],
  [
    "every event of the call is in the ladder once, in order",
    async (t) => {
      const { data } = await t.api(`lens/${encodeURIComponent(t.kept.lens)}`);
      const rows = () => t.page.locator("[role=option]").evaluateAll((all) => all.map((each) => Number(each.dataset.n)));
      await t.until("the last event", async () => (await rows()).length >= data.events.length);
      t.assert.deepEqual(await rows(), data.events.map((event) => event.n));
      t.assert.match(await chip(t, "All").innerText(), new RegExp(`All\\s+${data.events.length}$`));
      t.assert.ok(data.events.filter((event) => event.kind === "hook").length >= 4, "two hooks");
    },
  ],
  [
    "a message is read by keyboard, its address is a link, Back undoes",
    async (t) => {
      await t.page.getByRole("listbox").focus();
      await t.page.keyboard.press("Home");
      await t.page.getByRole("heading", { name: /INVITE/ }).waitFor();
      await t.page.waitForURL(/[?&]e=1\b/);
      await t.page.locator(".drawer .code .cm-line", { hasText: "Call-ID" }).first().waitFor();
      await t.page.getByRole("tab", { name: "Parsed" }).click();
      await t.page.locator(".drawer dt", { hasText: /^CSeq$/ }).waitFor();
      const hook = row(t, /GET \/menu/).first();
      await hook.click();
      await t.page.getByRole("heading", { name: /GET \/menu/ }).waitFor();
      await t.page.goBack();
      await t.page.getByRole("heading", { name: /INVITE/ }).waitFor();
      await t.page.goForward();
      await t.page.reload();
      await t.page.getByRole("heading", { name: /GET \/menu/ }).waitFor();
      t.assert.equal(await hook.getAttribute("aria-selected"), "true");
    },
  ],
  [
    "chips filter, and find steps through the messages",
    async (t) => {
      await chip(t, "Hooks").click();
      await t.page.waitForURL(/show=hook/);
      const kinds = await t.page.locator("[role=option]").evaluateAll((rows) => rows.map((each) => each.className));
      t.assert.ok(kinds.length >= 4 && kinds.every((name) => name.includes("hook")), kinds.join());
      await chip(t, "All").click();
      await t.page.keyboard.press("/");
      await t.page.keyboard.type("telephone-event");
      await t.page.keyboard.press("Enter");
      const place = t.page.getByText(/^\d+ of \d+ events$/);
      const first = await place.innerText();
      await t.page.keyboard.press("Enter");
      await t.until("the next", async () => (await place.innerText()) !== first);
      await t.page.keyboard.press("Escape");
    },
  ],
  [
    "the strip, the ladder and the address have one cursor",
    async (t) => {
      const strip = t.page.getByRole("slider", { name: "Instant" });
      const box = await strip.boundingBox();
      const time = () => Number(new URL(t.page.url()).searchParams.get("t"));
      await strip.click({ position: { x: box.width / 2, y: 40 } });
      await t.until("the time in the address", () => time() > 1);
      const [end, at] = [Number(await strip.getAttribute("aria-valuemax")), Number(await strip.getAttribute("aria-valuenow"))];
      t.assert.ok(Math.abs(at - end / 2) < 0.05, `${at} of ${end}`);
      const chosen = t.page.locator("[role=option][aria-selected=true]");
      t.assert.equal(await chosen.getAttribute("aria-label"), await strip.getAttribute("aria-valuetext"));
      await t.page.keyboard.press("ArrowLeft");
      await t.until("a second earlier", () => Math.abs(time() - (at - 1)) < 0.01);
      await t.page.mouse.move(box.x + 100, box.y + 40);
      await t.page.mouse.down();
      await t.page.mouse.move(box.x + 400, box.y + 40, { steps: 4 });
      await t.page.mouse.up();
      await t.page.getByRole("button", { name: /Show all/ }).waitFor();
      await t.page.keyboard.press("0");
      await t.page.getByRole("button", { name: /Show all/ }).waitFor({ state: "detached" });
    },
  ],
  [
    "a running call is hung up from its lens",
    async (t) => {
      const call = await dial({ ...(await telephone(t)), number: "600" });
      const back = t.page.url();
      await t.go(lens(t, call.call));
      await row(t, /ACK/).last().waitFor();
      await t.look("lens-live");
      await t.page.getByRole("button", { name: "Hang up" }).click();
      await call.over();
      await tag(t).getByText("Completed").waitFor();
      await t.page.goto(back);
      await tag(t).waitFor();
    },
  ],
  [
    "a hook is replayed from its row, and the call is not touched",
    async (t) => {
      const before = (await t.api(`lens/${encodeURIComponent(t.kept.lens)}`)).data.events.length;
      await row(t, /200 XML/).first().click();
      await t.page.getByRole("heading", { name: /200 XML to GET \/menu/ }).waitFor();
      await t.page.getByRole("button", { name: /^Replay/ }).click();
      await t.page.getByText(/Answered 200.*Nothing was sent to the caller/).waitFor();
      await t.look("lens");
      t.assert.equal((await t.api(`lens/${encodeURIComponent(t.kept.lens)}`)).data.events.length, before);
    },
  ],
  [
    "the call is downloaded as JSON, HAR and pcap",
    async (t) => {
      for (const [word, begins] of [["JSON", "{"], ["HAR", "{"], ["pcap", ""]]) {
        await t.page.getByRole("button", { name: /Download/ }).click();
        const [file] = await Promise.all([t.page.waitForEvent("download"), t.page.getByRole("menuitem", { name: word }).click()]);
        t.assert.match(file.suggestedFilename(), new RegExp(`\\.${word.toLowerCase()}$`));
        const chunks = [];
        for await (const chunk of await file.createReadStream()) chunks.push(chunk);
        const bytes = Buffer.concat(chunks);
        t.assert.ok(bytes.length > 200, `${word}: ${bytes.length} bytes`);
        t.assert.ok(bytes.toString("latin1").startsWith(begins));
        t.assert.ok(!bytes.includes(t.kept.telephone.password), `${word} tells the password`);
      }
    },
  ],
  [
    "an id that nobody knows is said to be so",
    async (t) => {
      await t.go("/calls/no-such-call%40nowhere");
      await t.page.getByText("No call with this id. Calls are kept 30 days; this may be older.").waitFor();
      await t.examine("lens, unknown");
    },
  ],
  [
    "Live Debug lists the call on top, replays its hook and says what would change",
    async (t) => {
      await t.go("/debug");
      await t.page.getByText("● receiving").waitFor();
      const call = t.page.locator(`li[data-call="${t.kept.lens}"]`);
      await call.locator("a").nth(1).waitFor();
      await call.locator("a").first().click();
      await t.page.getByRole("heading", { name: /^GET http.*\/menu$/ }).waitFor();
      await t.page.locator(".pane dt", { hasText: /^CallSid$|^Call-ID$/ }).first().waitFor();
      await t.page.locator(".pane .cm-line", { hasText: "<Response>" }).first().waitFor();
      await t.page.keyboard.press("r");
      await t.page.getByText(/^Replayed \d+ s ago$/).waitFor();
      await t.page.getByText("The two documents mean the same.").waitFor();
      await t.look("debug");
      await t.page.keyboard.press("ArrowDown");
      // What else the call asked of web servers, a webhook's or speech, is counted but not listed here.
      await t.page.getByText(/^Second of 2 exchanges/).waitFor();
    },
  ],
];
