// An order line as one would build it: its callers are recorded, press keys while it speaks, are asked for by two requests of
// one's own server and connected with somebody in another browser. And a server that breaks, so that its call fails.
import { createServer } from "node:http";
import { signedIn } from "../sip.mjs";

const PASSWORD = "what-mara-signs-in-with";
const stage = (page, word) => page.locator("section.phone header .tag", { hasText: word });
const row = (t, text) => t.page.getByRole("option", { name: text });
const chip = (t, word) => t.page.getByRole("button", { name: new RegExp(`^${word} \\d`) });
const node = (module, data, next) => ({ module, data, children: next ? { _: next } : {} });

let mara;
let desk;

/** The server that answers calls to 2040 and breaks for 2041. */
const server = createServer((request, response) => {
  const base = `http://${request.headers.host}`;
  const body = (status, type, text) => response.writeHead(status, { "content-type": type }).end(text);
  request.resume();
  if (request.url.startsWith("/voice.php")) {
    const ask = node("pivot", { voice_url: `${base}/order.php`, method: "post", req_body_format: "form", debug: true });
    const digits = node("collect_dtmf", { max_digits: 4, timeout: 20_000 }, ask);
    const welcome = node("tts", { text: "Welcome to the order line. Please enter the four digits of your order. You find them on your receipt, above the sum, and in the message that we sent you." }, digits);
    return body(200, "application/json", JSON.stringify(node("record_call", { action: "start", channels: 2 }, welcome), null, 2));
  }
  if (request.url.startsWith("/order.php")) {
    // Since the call was answered, its program has become another.
    const mended = request.headers["x-swivel-replay"] === "1";
    const ring = node("user", { id: mara, timeout: mended ? 40 : 30 });
    const text = mended ? "Thank you. Your order leaves today. I connect you now." : "Thank you. I connect you now.";
    return body(200, "application/json", JSON.stringify(node("tts", { text }, ring), null, 2));
  }
  return body(500, "text/html", "<h1>Fatal error</h1>\nUncaught TypeError: Undefined array key \"Digits\" in /var/www/voice.php:12\n");
});

async function callFrom(t, number) {
  await t.page.getByLabel("Number or name").fill(number);
  await t.page.getByRole("button", { name: "Call", exact: true }).click();
}

/** The address of the call that the page's telephone makes. */
const callOf = (t) => t.until("the Call-ID", () => t.page.evaluate(() => document.querySelector("section.phone a.link")?.getAttribute("href")));

export const steps = [
  [
    "an order line is built: a user, two callflows, a trunk that does not answer",
    async (t) => {
      await signedIn(t);
      await new Promise((done) => server.listen(0, "127.0.0.1", done));
      server.unref();
      const base = `http://127.0.0.1:${server.address().port}`;
      const made = await t.api("users", { method: "PUT", data: { username: "mara", first_name: "Mara", last_name: "Lindqvist", password: PASSWORD, priv_level: "user" } });
      t.assert.equal(made.status, "success", JSON.stringify(made));
      mara = made.data.id;
      const flow = (name, number, path, next) => t.api("callflows", { method: "PUT", data: { name, numbers: [number], flow: node("pivot", { voice_url: `${base}${path}`, method: "get", debug: true }, next) } });
      await flow("Order line, recorded", "2040", "/voice.php");
      await flow("Returns", "2041", "/returns.php");
      await t.api("resources", { method: "PUT", data: { name: "Southline", enabled: true, gateways: [{ server: "127.0.0.1", port: 9, transport: "tcp" }] } });
    },
  ],
  [
    "somebody else signs in and waits at the telephone",
    async (t) => {
      desk = await t.open();
      await desk.goto(`${t.base}/login?to=/phone`);
      await desk.getByLabel("User").fill("mara");
      await desk.getByLabel("Password").fill(PASSWORD);
      await desk.getByRole("button", { name: "Sign in" }).click();
      await stage(desk, "Ready").waitFor();
    },
  ],
  [
    "a call whose server breaks fails, and Now says why",
    async (t) => {
      await t.go("/now");
      await stage(t.page, "Ready").waitFor();
      await callFrom(t, "2041");
      await t.page.locator("section[aria-labelledby=problems] li").first().waitFor();
      await stage(t.page, "Ready").waitFor();
      const { data } = await t.api("cdrs?page_size=5");
      t.kept.failed = data.find((one) => one.dialed_number === "2041" || one.to?.startsWith("2041"))?.call_id ?? data[0].call_id;
    },
  ],
  [
    "a key pressed while it speaks silences it, and the digits reach the server",
    async (t) => {
      await callFrom(t, "2040");
      await t.page.getByText(/connected \d\d:/).waitFor();
      t.kept.story = await callOf(t);
      await t.heard(t.page);
      await t.page.locator("section.phone h2").click();
      for (const key of "4711") await t.page.locator("section.phone").getByRole("button", { name: key, exact: true }).click();
      await desk.getByText("Incoming call").waitFor({ timeout: 60_000 });
      await desk.getByRole("button", { name: "Answer" }).click();
      await connectedBoth(t);
    },
  ],
  [
    "Now shows it all: the call, its hook, the problem, the trunk",
    async (t) => {
      await t.page.locator("section[aria-labelledby=in-progress] tr[data-call]", { hasText: "2040" }).getByText("talking").waitFor();
      await t.page.locator("section[aria-labelledby=doors]").getByText("Southline").waitFor();
      await t.heard(t.page);
      await t.until("what the round trip takes", () => t.page.evaluate(() => / ms/.test(document.querySelector("section.phone dl")?.textContent ?? "")));
      await t.look("now");
    },
  ],
  [
    "its lens follows it while it runs",
    async (t) => {
      await t.go(t.kept.story);
      await row(t, /POST \/order\.php/).first().waitFor();
      await t.look("lens-live");
      await desk.getByRole("button", { name: "Hang up" }).click();
      await t.page.locator("h1 .tag").first().getByText("Completed").waitFor();
      await desk.context().close();
    },
  ],
  [
    "afterwards its lens has both requests, the keys, and the recording with its waveform",
    async (t) => {
      const id = decodeURIComponent(t.kept.story.slice("/calls/".length).split("?")[0]);
      const lens = await t.until("the recording", async () => {
        const { data } = await t.api(`lens/${encodeURIComponent(id)}`);
        return data.lanes.recordings.some((one) => one.to !== null) && data;
      });
      t.assert.equal(lens.lanes.recordings[0].channels, 2);
      t.assert.equal(lens.lanes.keys.length, 4, JSON.stringify(lens.lanes.keys));
      const hooks = lens.events.filter((event) => event.kind === "hook" && event.pair === null).map((event) => event.title);
      t.assert.deepEqual(hooks.filter((title) => /php/.test(title)).sort(), ["GET /voice.php", "POST /order.php"]);
      await t.page.reload();
      await t.page.getByRole("button", { name: /Play from cursor/ }).waitFor();
      const asked = lens.events.find((event) => event.kind === "hook" && event.title === "POST /order.php");
      const answered = lens.events.find((event) => event.pair === asked.n);
      await t.page.locator(`[role=option][data-n="${answered.n}"]`).click();
      await t.page.getByRole("heading", { name: /to POST \/order\.php/ }).waitFor();
      await t.page.locator(".drawer .cm-line", { hasText: "I connect you now" }).first().waitFor();
      await t.page.locator("[role=slider]").waitFor();
      await t.until("the waveform", () => t.page.evaluate(() => performance.getEntriesByType("resource").some((one) => /\/peaks/.test(one.name) && one.responseEnd > 0)));
      await t.look("lens");
    },
  ],
  [
    "the recording plays, and the cursor goes with it",
    async (t) => {
      const time = () => Number(new URL(t.page.url()).searchParams.get("t"));
      await row(t, /INVITE/).first().click();
      await t.until("the beginning", () => time() < 0.5);
      await t.page.getByRole("button", { name: /Play from cursor/ }).click();
      const slider = t.page.getByRole("slider", { name: "Instant" });
      await t.until("the cursor moves", async () => Number(await slider.getAttribute("aria-valuenow")) > 0.5);
      await t.page.getByRole("button", { name: /Pause/ }).first().click();
      await t.page.getByRole("button", { name: /Play from cursor/ }).waitFor();
    },
  ],
  [
    "its replay says what a mended answer would change, and is kept as a test",
    async (t) => {
      const id = decodeURIComponent(t.kept.story.slice("/calls/".length).split("?")[0]);
      await t.go(`/debug/${encodeURIComponent(id)}/1`);
      await t.page.getByRole("heading", { name: /^GET .*\/voice\.php$/ }).waitFor();
      await t.page.getByRole("link", { name: /POST \/order\.php/ }).first().click();
      await t.page.getByRole("heading", { name: /^POST .*\/order\.php$/ }).waitFor();
      await t.page.getByRole("button", { name: /^Replay/ }).first().click();
      await t.page.getByRole("button", { name: "Run it again" }).or(t.page.getByText(/^Replayed/)).first().waitFor();
      if (await t.page.getByRole("button", { name: "Run it again" }).count()) await t.page.getByRole("button", { name: "Run it again" }).click();
      await t.page.getByText(/^Replayed \d+ s ago$/).waitFor();
      const [file] = await Promise.all([t.page.waitForEvent("download"), t.page.getByRole("button", { name: "Keep as test" }).click()]);
      t.assert.equal(file.suggestedFilename(), "post-order-php.json");
      const chunks = [];
      for await (const chunk of await file.createReadStream()) chunks.push(chunk);
      const test = JSON.parse(Buffer.concat(chunks).toString());
      t.assert.equal(test.request.method, "POST");
      t.assert.match(test.request.body, /4711/);
      t.assert.match(test.response.body, /Your order leaves today/);
      await t.page.locator(".mean li").first().waitFor();
      await t.look("debug");
    },
  ],
  [
    "the call that failed opens with its cause",
    async (t) => {
      await t.go(`/calls/${encodeURIComponent(t.kept.failed)}`);
      await t.page.getByRole("heading", { name: "This call failed" }).waitFor();
      await t.page.getByText(/answered 500/).first().waitFor();
      await t.page.getByRole("link", { name: "Replay this request" }).waitFor();
      await t.look("lens-failed");
      await t.page.getByRole("button", { name: /Download/ }).click();
      await t.page.getByRole("menuitem", { name: /pcap.*(bytes|kB)/ }).waitFor();
      await t.look("lens-downloads");
      await t.page.keyboard.press("Escape");
    },
  ],
  [
    "the lists show what there is",
    async (t) => {
      for (const [path, text, name] of [["/calls", "2040", "calls"], ["/flows", "Order line, recorded", "flows"], ["/people/users", "Mara Lindqvist", "users"]]) {
        await t.go(path);
        await t.page.locator("tbody").getByText(text).first().waitFor();
        await t.look(name);
      }
    },
  ],
];

async function connectedBoth(t) {
  await desk.getByText(/connected \d\d:/).waitFor();
  await t.heard(desk);
}
