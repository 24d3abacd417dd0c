// What one builds with: a callflow by mouse and keyboard, its number and its test call, a device, a trunk that does not answer,
// a number, media, a document that is kept, a webhook.
import { createServer } from "node:http";

const NAME = "Order line";
const tree = (t) => t.page.getByRole("tree", { name: "Callflow" });
const item = (t, name) => tree(t).getByRole("treeitem", { name });
const panel = (t, name) => t.page.getByRole("complementary", { name });
const save = (t) => t.page.getByRole("button", { name: /^Save/ });
const field = (t, name) => t.page.getByLabel(name, { exact: false }).first();

/** A Pivot server of the test's own. */
const server = createServer((_, response) => {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ module: "tts", data: { text: "Your order is on its way. It will be there soon. Please wait for it." }, children: {} }));
});

export const steps = [
  [
    "somebody is signed in",
    async (t) => {
      await new Promise((done) => server.listen(0, "127.0.0.1", done));
      server.unref();
      t.kept.pivot = `http://127.0.0.1:${server.address().port}/voice`;
      const signedIn = await t.page.evaluate(() => sessionStorage.getItem("swivel.session") !== null).catch(() => false);
      if (signedIn) return;
      await t.page.goto(`${t.base}/login?to=/flows`);
      await t.page.getByLabel("User").fill(t.user);
      await t.page.getByLabel("Password").fill(t.password);
      await t.page.getByRole("button", { name: "Sign in" }).click();
      await t.page.getByRole("heading", { name: "Callflows" }).waitFor();
    },
  ],
  [
    "callflows are listed and found",
    async (t) => {
      await t.go("/flows");
      await t.page.getByRole("link", { name: /^Pivot/ }).waitFor();
      await t.page.getByLabel("Find a callflow").fill("2030");
      await t.until("one row", async () => (await t.page.locator("tbody tr").count()) === 1);
      await t.page.getByLabel("Find a callflow").fill("");
      await t.look("flows");
    },
  ],
  [
    "a callflow is made by keyboard: pivot, and what is said when its server fails",
    async (t) => {
      await t.page.getByRole("link", { name: "New callflow" }).click();
      await t.page.getByRole("button", { name: "Add the first node" }).waitFor();
      await t.look("flow-new");
      await item(t, "Call").focus();
      await t.page.keyboard.press("a");
      await t.page.getByRole("combobox", { name: "Module" }).fill("piv");
      await t.page.keyboard.press("Enter");
      await item(t, /pivot/).waitFor();
      await t.page.keyboard.press("a");
      await t.page.getByRole("combobox", { name: "Module" }).fill("speaks");
      await t.page.keyboard.press("Enter");
      await item(t, /if the server fails.*tts/).waitFor();
      await t.until("the new node is selected", async () => (await item(t, /tts/).getAttribute("aria-selected")) === "true");
      await t.page.keyboard.press("ArrowUp");
      await t.until("the node above is selected", async () => (await item(t, /pivot/).getAttribute("aria-selected")) === "true");
    },
  ],
  [
    "its form says what is wrong, and a mend is one press away",
    async (t) => {
      await t.page.keyboard.press("Enter");
      await t.page.locator("#field-voice_url").fill("http://app.example.com/voice.php");
      await t.page.getByText("voice_url uses http.").waitFor();
      await t.look("flow-form");
      await t.page.getByRole("button", { name: "Use https" }).click();
      await t.until("it is mended", async () => (await t.page.locator("#field-voice_url").inputValue()) === "https://app.example.com/voice.php");
      await t.page.locator("#field-voice_url").fill(t.kept.pivot);
      await t.page.getByText("voice_url uses http.").waitFor({ state: "detached" });
    },
  ],
  [
    "the JSON follows the tree, and the tree the JSON; what is no JSON leaves the picture as it was",
    async (t) => {
      await t.page.getByRole("tab", { name: "JSON" }).click();
      const code = t.page.getByRole("textbox", { name: "Callflow as JSON" });
      await code.waitFor();
      await t.until("the text", async () => (await code.innerText()).includes(t.kept.pivot));
      await code.focus();
      await t.page.keyboard.press("Control+End");
      await t.page.keyboard.type("x");
      await t.page.getByText(/Picture of version before line \d+/).waitFor();
      await item(t, /pivot/).waitFor();
      t.assert.equal(await save(t).isDisabled(), true);
      await t.look("flow-broken");
      await t.page.keyboard.press("Control+z");
      await t.page.getByText(/Picture of version before line/).waitFor({ state: "detached" });
      await t.page.keyboard.press("Escape");
      await t.until("the tree has the focus", () => t.page.evaluate(() => document.activeElement?.getAttribute("role") === "treeitem"));
    },
  ],
  [
    "the mouse adds, a key removes, and undo brings back",
    async (t) => {
      await t.page.getByRole("button", { name: "+ Add after tts" }).click();
      await t.page.getByRole("option", { name: /^hangup/ }).click();
      await item(t, /hangup/).waitFor();
      await t.until("it is selected", async () => (await item(t, /hangup/).getAttribute("aria-selected")) === "true");
      await t.page.keyboard.press("Delete");
      await item(t, /hangup/).waitFor({ state: "detached" });
      await t.page.keyboard.press("Control+z");
      await item(t, /hangup/).waitFor();
      await t.page.keyboard.press("Control+Shift+z");
      await item(t, /hangup/).waitFor({ state: "detached" });
    },
  ],
  [
    "it gets a name and a number, and is saved",
    async (t) => {
      await item(t, /^Call/).click();
      await t.page.getByRole("tab", { name: "Form" }).click();
      await t.page.locator("#field-name").fill(NAME);
      await t.page.locator("#field-numbers").fill("2031");
      await t.page.locator("#field-numbers").blur();
      await item(t, "Call to 2031").waitFor();
      await t.page.keyboard.press("Control+s");
      await t.until("its own address", () => t.page.evaluate(() => /^\/flows\/[0-9a-f]{32}$/.test(location.pathname)));
      await t.page.getByRole("heading", { name: NAME }).waitFor();
      t.kept.flow = await t.page.evaluate(() => location.pathname);
      const { data } = await t.api(t.kept.flow.replace("/flows/", "callflows/"));
      t.assert.deepEqual(data.numbers, ["2031"]);
      t.assert.equal(data.flow.data.voice_url, t.kept.pivot);
      t.assert.equal(data.flow.children._.module, "tts");
    },
  ],
  [
    "what was not saved is kept as a draft",
    async (t) => {
      await item(t, /tts/).click();
      await t.page.getByRole("tab", { name: "Form" }).click();
      await t.page.locator("#field-text").fill("Call again tomorrow.");
      await t.page.getByText(/^Unsaved, 1 change$/).waitFor();
      await t.go("/now");
      await t.page.getByRole("heading", { name: "Now", exact: true }).waitFor();
      await t.go(t.kept.flow);
      await t.page.getByText(/^Unsaved, draft of/).waitFor();
      await item(t, /Call again tomorrow/).waitFor();
    },
  ],
  [
    "who saved meanwhile is told, and nothing is lost",
    async (t) => {
      const path = t.kept.flow.replace("/flows/", "callflows/");
      await t.api(path, { method: "PATCH", data: { name: "Orders" } });
      await save(t).click();
      await t.page.getByText(/saved (just now|\d+ min ago)/).waitFor();
      await t.page.getByRole("button", { name: "See changes" }).click();
      await t.page.getByText("Saved", { exact: true }).waitFor();
      await t.look("flow-conflict");
      await t.page.getByRole("button", { name: "Keep mine" }).click();
      await t.page.getByText(/saved (just now|\d+ min ago)/).waitFor({ state: "detached" });
      const data = await t.until("mine is saved", async () => {
        const { data } = await t.api(path);
        return data.name === NAME && data;
      });
      t.assert.equal(data.flow.children._.data.text, "Call again tomorrow.");
      await t.page.getByText(/^(Unsaved|Saving)/).waitFor({ state: "detached" });
    },
  ],
  [
    "its history has every save of this tab, and brings an earlier one back",
    async (t) => {
      await t.page.getByRole("button", { name: "History" }).click();
      const history = t.page.getByRole("dialog", { name: "History" });
      const versions = history.locator("li button:enabled");
      await t.until("two versions at least", async () => (await versions.count()) >= 2);
      await versions.last().click();
      await history.locator(".cm-line", { hasText: "Welcome" }).first().waitFor();
      await t.look("flow-history");
      await history.getByRole("button", { name: "Bring this version back" }).click();
      await item(t, /Welcome/).waitFor();
      await t.page.keyboard.press("Control+z");
      await item(t, /Call again tomorrow/).waitFor();
      await t.page.getByText(/^Unsaved/).waitFor({ state: "detached" });
    },
  ],
  [
    "the test call goes through it, and its node is lit",
    async (t) => {
      await t.page.getByRole("button", { name: "Test call" }).click();
      await t.page.getByRole("dialog", { name: "Test call" }).getByRole("button", { name: "Call", exact: true }).click();
      await item(t, /pivot.*1 caller/).waitFor({ timeout: 40_000 });
      await t.look("flow");
      await item(t, /1 caller/).waitFor({ state: "detached", timeout: 60_000 });
      await t.page.getByRole("dialog", { name: "Test call" }).getByRole("button", { name: "Close" }).click();
    },
  ],
  [
    "a device is made, and its page has the settings to copy",
    async (t) => {
      await t.go("/people/devices/new");
      await t.page.locator("#field-name").fill("Front desk");
      await t.page.locator("#field-sip-username").fill("front");
      await save(t).click();
      await panel(t, "Front desk").getByRole("heading", { name: "Settings to copy" }).waitFor();
      await t.page.getByLabel("Kind of telephone").selectOption({ label: "Yealink" });
      await t.page.getByText(/account\.1\.user_name = front/).waitFor();
      await t.page.getByRole("img", { name: /Code for sip:front@/ }).waitFor();
      await t.look("device");
    },
  ],
  [
    "a field that is refused says why, in its place",
    async (t) => {
      await t.go("/people/devices/new");
      await t.page.locator("#field-name").fill("Second desk");
      await t.page.locator("#field-sip-username").fill("front");
      await save(t).click();
      await t.page.getByText(/username SIP credentials already in use/).waitFor();
      t.assert.equal(await t.page.evaluate(() => document.activeElement?.id), "field-sip-username");
      await t.page.locator("#field-sip-username").fill("second");
      await save(t).click();
      await panel(t, "Second desk").getByRole("heading", { name: "Settings to copy" }).waitFor();
    },
  ],
  [
    "a deleted device is gone at once, and undo brings it back",
    async (t) => {
      await t.page.getByRole("button", { name: "Delete" }).click();
      await t.page.getByText("Deleted Second desk").waitFor();
      await t.page.getByRole("link", { name: "Second desk" }).waitFor({ state: "detached" });
      await t.page.getByRole("button", { name: "Undo" }).click();
      await t.page.getByRole("link", { name: "Second desk" }).waitFor();
    },
  ],
  [
    "users are listed",
    async (t) => {
      await t.go("/people/users");
      await t.page.getByRole("link", { name: "Demo Admin" }).click();
      await panel(t, "Demo Admin").waitFor();
      await t.look("users");
    },
  ],
  [
    "the test of a trunk stops at the first step that fails, in words",
    async (t) => {
      await t.go("/trunks");
      await t.page.getByText("No trunks yet").waitFor();
      await t.look("trunks-empty");
      await t.go("/trunks/new");
      await t.page.locator("#field-name").fill("Northline");
      await t.page.locator("#field-gateways-0-server").fill("127.0.0.1");
      await t.page.locator("#field-gateways-0-port").fill("9");
      await t.page.locator("#field-gateways-0-transport").selectOption("tcp");
      await save(t).click();
      await t.page.getByRole("button", { name: "Test the trunk" }).click();
      await t.page.getByText("127.0.0.1 is 127.0.0.1:9 (tcp).").waitFor();
      await t.page.getByText(/No connection to 127\.0\.0\.1:9: nothing listens there\./).waitFor();
      await t.page.getByText("Calls do not go out by this trunk: Port failed.").waitFor();
      await t.until("the other steps", async () => (await t.page.getByText("Not tried.").count()) === 4);
      await t.look("trunk");
    },
  ],
  [
    "a number is added and led to the callflow, which then keeps it from being deleted",
    async (t) => {
      await t.go("/numbers/new");
      await t.page.getByLabel("Number", { exact: true }).fill("12");
      await t.page.getByRole("button", { name: "Add", exact: true }).click();
      await t.page.getByText(/is not a number in E\.164 form/).waitFor();
      await t.page.getByLabel("Number", { exact: true }).fill("+14155550100");
      await t.page.getByRole("button", { name: "Add", exact: true }).click();
      await t.page.getByText("Calls to this number are refused").waitFor();
      await t.page.getByLabel("Which callflow").selectOption({ label: NAME });
      await t.page.getByRole("button", { name: "Connect" }).click();
      await t.page.getByText(/is used by the callflow Order line/).waitFor();
      await t.page.getByText("Calls go to the callflow").waitFor();
      await t.look("numbers");
    },
  ],
  [
    "media is uploaded and heard",
    async (t) => {
      await t.go("/media/new");
      await t.page.locator("#field-name").fill("Greeting");
      await save(t).click();
      await t.page.getByText("Choose a file").waitFor();
      // A second of silence: 8 kHz, 16 bits.
      const wav = Buffer.alloc(44 + 16000);
      wav.write("RIFF", 0), wav.writeUInt32LE(36 + 16000, 4), wav.write("WAVEfmt ", 8), wav.writeUInt32LE(16, 16), wav.writeUInt16LE(1, 20), wav.writeUInt16LE(1, 22);
      wav.writeUInt32LE(8000, 24), wav.writeUInt32LE(16000, 28), wav.writeUInt16LE(2, 32), wav.writeUInt16LE(16, 34), wav.write("data", 36), wav.writeUInt32LE(16000, 40);
      await t.page.locator("input[type=file]").setInputFiles({ name: "greeting.wav", mimeType: "audio/wav", buffer: wav });
      await t.page.getByText("Replace the file").waitFor();
      await t.until("the sound", () => t.page.evaluate(() => (document.querySelector("audio[controls]")?.duration ?? 0) > 0.9));
      await t.page.getByText("In no callflow.").waitFor();
      await t.look("media");
    },
  ],
  [
    "a text is spoken, and heard on the page",
    async (t) => {
      await t.go("/media/new");
      await t.page.locator("#field-name").fill("Closed");
      await t.page.locator("#field-media_source").selectOption("tts");
      const text = t.page.locator("#field-tts-text");
      if (!(await text.isVisible())) await t.page.locator("summary", { hasText: "tts" }).first().click();
      await text.fill("We are closed today. Please call again tomorrow.");
      await save(t).click();
      await t.page.getByRole("button", { name: "Hear it" }).click();
      await t.until("the speech", () => t.page.evaluate(() => (document.querySelector("audio[controls]")?.duration ?? 0) > 1));
    },
  ],
  [
    "a document is checked while it is written, and kept",
    async (t) => {
      await t.go("/documents/new");
      await t.page.locator("#field-name").fill("greeting");
      await save(t).click();
      const code = t.page.getByRole("textbox", { name: "Text of the document" });
      await code.waitFor();
      await t.page.getByText("Nothing to mend").waitFor();
      await code.focus();
      await t.page.keyboard.press("Control+a");
      await t.page.keyboard.insertText("<Response>\n  <Sing>La</Sing>\n</Response>\n");
      await t.page.getByRole("button", { name: "line 2" }).first().waitFor();
      await t.look("document");
      await t.page.getByRole("textbox", { name: "Text of the document" }).focus();
      await t.page.keyboard.press("Control+a");
      await t.page.keyboard.insertText("<Response>\n  <Say>Hello.</Say>\n</Response>\n");
      await t.page.getByText("Nothing to mend").waitFor();
      await t.page.getByRole("button", { name: "Save the text" }).click();
      await t.until("it is kept", async () => {
        const { data } = await t.api("documents?paginate=false");
        const kept = data.find((row) => row.name === "greeting");
        return kept && (await t.api(`documents/${kept.id}`)).data.flow_doc.includes("Hello.");
      });
    },
  ],
  [
    "a webhook shows its deliveries",
    async (t) => {
      await t.go("/webhooks/new");
      await t.page.locator("#field-name").fill("Told of calls");
      await t.page.locator("#field-uri").fill(`${t.kept.pivot}?hook`);
      await t.page.locator("#field-hook").selectOption("channel_create");
      await save(t).click();
      await t.page.getByText("Nothing was delivered").waitFor();
      const { data } = await t.api("devices?paginate=false");
      await t.api("channels", { method: "PUT", data: { device_id: data[0].id, number: "100", timeout: 4 } });
      await t.page.getByLabel("Number or name").count();
      await t.until("a delivery", async () => {
        await t.page.getByRole("button", { name: "Read again" }).click();
        return (await t.page.locator("button.line").count()) > 0;
      });
      await t.page.locator("button.line").first().click();
      await t.page.getByRole("heading", { name: "Request" }).waitFor();
      await t.look("webhooks");
    },
  ],
];
