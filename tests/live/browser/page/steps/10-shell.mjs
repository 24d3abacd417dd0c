// The README's first five minutes, as they are written there, and then: Now, the page's own telephone, hanging up, the record
// of the call, signing in by password.
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { readme, root } from "../readme.mjs";

/** A port nobody has. */
const freePort = () =>
  new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });

const row = (t, to) => t.page.locator("section[aria-labelledby=in-progress] tr[data-call]", { hasText: to });
const stage = (t, word) => t.page.locator("section.phone header .tag", { hasText: word });
const connected = (page) => page.getByText(/connected \d\d:\d\d/);
/** A part of the first page, and the tick that says its step was seen. */
const part = (t, title) => t.page.locator("section", { hasText: title });
const began = Date.now();

/** Runs `command`, a line of the README, with a port nobody has in place of `port`. Gives back how to end it. */
async function program(t, command, port, free, folder) {
  const [name, ...rest] = command.split(" ");
  const running = spawn(name, rest.map((word) => (word === port ? String(free) : word)), { cwd: folder, stdio: "ignore" });
  await t.until(command, () => fetch(`http://127.0.0.1:${free}/`).then(() => true, () => false));
  return () => new Promise((done) => running.once("exit", done) && running.kill());
}

export const steps = [
  [
    "README 1: the printed link signs in once and shows the first steps",
    async (t) => {
      t.assert.equal(readme.length, 5, "the README has other steps than the four that are done here");
      t.assert.match(readme[1].text, /^Open the link it prints/);
      await t.page.goto(t.link);
      await t.page.getByRole("heading", { name: "swivel is running. Make a call." }).waitFor();
      await t.look("welcome");
      const again = await t.open();
      await again.goto(t.link);
      await again.getByText("This link signs nobody in any more").waitFor();
      await again.context().close();
    },
  ],
  [
    "README 2: a press rings the number beside it, a sentence is heard, and the step turns to a tick",
    async (t) => {
      const [press] = readme[2].bold;
      const number = /beside (\d+)/.exec(readme[2].text)[1];
      await t.page.getByRole("button", { name: new RegExp(`^${press} ${number}`) }).click();
      await connected(t.page).waitFor();
      await t.heard(t.page);
      await part(t, "Hear it in this browser").getByText("✓").waitFor();
      await t.page.getByText("The other side hung up.").waitFor({ timeout: 60_000 });
    },
  ],
  [
    "README 3: one's own server is asked, what it says is heard, and after a change what it says then",
    async (t) => {
      const [command, address] = readme[3].code;
      const [connect] = readme[3].bold;
      const number = /call (\d+)/.exec(readme[3].text)[1];
      const [, port] = /:(\d+)\//.exec(address);
      const script = command.split(" ")[1];
      const folder = mkdtempSync(join(tmpdir(), "first-steps-"));
      cpSync(join(root, dirname(script)), join(folder, dirname(script)), { recursive: true });
      const free = await freePort();
      /** Calls and gives back what the caller was told. */
      const call = async () => {
        await t.page.getByRole("button", { name: new RegExp(`^Call ${number}`) }).click();
        await connected(t.page).waitFor();
        await t.heard(t.page);
        await t.page.getByRole("button", { name: "Hang up" }).click();
        await t.page.getByRole("button", { name: new RegExp(`^Call ${number}`) }).and(t.page.locator(":enabled")).waitFor();
        const { data } = await t.api("cdrs?page_size=1");
        const lens = (await t.api(`lens/${encodeURIComponent(data[0].call_id)}`)).data;
        return lens.events.filter((event) => event.kind === "audio").map((event) => event.detail).join(" ");
      };
      let end = await program(t, command, port, free, folder);
      try {
        await t.page.getByLabel("Address of your server").fill(address.replace(port, String(free)));
        await t.page.getByRole("button", { name: connect }).click();
        await t.page.getByText(`${number} asks`).waitFor();
        t.assert.match(await call(), /Pivot is pretty awesome/);
        await part(t, "Answer with your own code").getByText("✓").waitFor();
        await end();
        const file = join(folder, script);
        writeFileSync(file, readFileSync(file, "utf8").replace("Pivot is pretty awesome", "This is another sentence"));
        end = await program(t, command, port, free, folder);
        t.assert.match(await call(), /This is another sentence/);
      } finally {
        await end();
        rmSync(folder, { recursive: true });
      }
      const minutes = (Date.now() - began) / 60_000;
      t.assert.ok(minutes < 5, `the first five minutes took ${minutes.toFixed(1)}`);
    },
  ],
  [
    "README 4: a password is set, and the tab stays signed in",
    async (t) => {
      t.password = "a-longer-password";
      await t.page.getByLabel("Password for admin").fill("short");
      await t.page.getByRole("button", { name: "Set" }).click();
      await t.page.getByText("12 characters or more, please.").waitFor();
      await t.page.getByLabel("Password for admin").fill(t.password);
      await t.page.getByRole("button", { name: "Set" }).click();
      await t.page.getByText("Sign in as admin from now on.").waitFor();
    },
  ],
  [
    "README 4: Now shows that nobody is on the phone",
    async (t) => {
      const [now] = readme[4].bold;
      await t.page.getByRole("link", { name: new RegExp(`${now}$`) }).last().click();
      await t.page.getByText("Nobody is on the phone.").waitFor();
      await t.page.getByText("● live").waitFor();
      await stage(t, "Ready").waitFor();
      await t.look("now-empty");
    },
  ],
  [
    "the first load is small, its telephone included",
    async (t) => {
      const kept = await t.page.evaluate(() => sessionStorage.getItem("swivel.session"));
      const fresh = await t.open();
      await fresh.addInitScript((session) => sessionStorage.setItem("swivel.session", session), kept);
      let bytes = 0;
      fresh.on("response", (response) => {
        const headers = response.headers();
        // Answers of the API are small and have no length.
        bytes += Number(headers["content-length"] ?? 2000);
        if (/\.js$/.test(response.url()) && headers["content-encoding"] === undefined) bytes += 1e6;
      });
      await fresh.goto(`${t.base}/now`);
      await fresh.locator("section.phone header .tag", { hasText: "Ready" }).waitFor();
      await fresh.context().close();
      t.kept.bytes = bytes;
      t.assert.ok(bytes > 20_000 && bytes <= 250_000, `${bytes} bytes`);
    },
  ],
  [
    "the page's telephone calls the echo and hears itself",
    async (t) => {
      await t.page.getByLabel("Number or name").fill("100");
      await t.page.getByRole("button", { name: "Call", exact: true }).click();
      await t.page.getByText(/connected \d\d:/).waitFor();
      await row(t, "100").getByText("This browser").waitFor();
      await t.heard(t.page);
      await t.until("the far end's meter", () =>
        t.page.evaluate(() => parseFloat(document.querySelectorAll(".meters > i > i")[1]?.style.width ?? "0") > 5),
      );
      await t.page.getByText("Opus 48 kHz").waitFor();
      await t.page.getByRole("button", { name: "Mute" }).click();
      await t.page.getByRole("button", { name: "Unmute" }).click();
      await t.page.getByRole("button", { name: "Hold" }).click();
      await t.page.getByText("on hold").waitFor();
      await t.page.getByRole("button", { name: "Resume" }).click();
      await t.page.getByText(/connected \d\d:/).waitFor();
    },
  ],
  [
    "a call is hung up from the table",
    async (t) => {
      await row(t, "100").getByRole("button", { name: /Hang up/ }).click();
      await stage(t, "Ready").waitFor();
      await t.page.locator("section[aria-labelledby=in-progress]").getByText("Hung up This browser").waitFor();
    },
  ],
  [
    "2030 asks the web application, and its hook shows while it speaks",
    async (t) => {
      await t.page.getByLabel("Number or name").fill("2030");
      await t.page.getByRole("button", { name: "Call", exact: true }).click();
      await row(t, "2030").getByText("/pivot 200").waitFor();
      await t.page.locator(".fig, .pulse").getByText("ms", { exact: true }).waitFor();
      t.kept.call = await t.until("the Call-ID", () =>
        t.page.evaluate(() => document.querySelector("section.phone a.link")?.getAttribute("href")),
      );
      await stage(t, "Ready").waitFor({ timeout: 40_000 });
      await t.page.locator("section[aria-labelledby=ended]").getByRole("cell", { name: "2030" }).first().waitFor();
    },
  ],
  [
    "keys reach a menu",
    async (t) => {
      await t.page.getByLabel("Number or name").fill("200");
      await t.page.getByRole("button", { name: "Call", exact: true }).click();
      await row(t, "200").getByText("menu", { exact: true }).waitFor({ timeout: 40_000 });
      await t.page.locator("section.phone").getByRole("button", { name: "1", exact: true }).click();
      await t.until("the sentence behind key 1", async () => {
        const node = await row(t, "200").locator("td.mono").first().textContent().catch(() => "");
        return node === "tts";
      });
      await t.page.getByRole("button", { name: "Hang up", exact: true }).click();
      await stage(t, "Ready").waitFor();
    },
  ],
  [
    "a number nobody has is named",
    async (t) => {
      await t.page.getByLabel("Number or name").fill("999");
      await t.page.getByRole("button", { name: "Call", exact: true }).click();
      await t.page.getByText(/No callflow has this number/).waitFor();
      await stage(t, "Ready").waitFor();
    },
  ],
  [
    "a call to the signed-in user rings in the browser and is answered there",
    async (t) => {
      const { userId } = await t.page.evaluate(() => JSON.parse(sessionStorage.getItem("swivel.session")));
      await t.api("channels", { method: "PUT", data: { user_id: userId, number: "100", timeout: 20 } });
      await t.page.getByText("Incoming call").waitFor();
      await t.page.getByRole("button", { name: "Answer" }).click();
      await t.page.getByText(/connected \d\d:/).waitFor();
      await t.page.locator("section.phone").getByRole("button", { name: "Hang up" }).click();
      await stage(t, "Ready").waitFor();
    },
  ],
  [
    "two browsers talk, and one hands the other on",
    async (t) => {
      const { userId } = await t.page.evaluate(() => JSON.parse(sessionStorage.getItem("swivel.session")));
      const flow = { module: "user", data: { id: userId, can_call_self: true, timeout: 20 }, children: {} };
      await t.api("callflows", { method: "PUT", data: { name: "Everybody", numbers: ["501"], flow } });
      const other = await t.open();
      await other.goto(`${t.base}/login?to=/phone`);
      await other.getByLabel("User").fill(t.user);
      await other.getByLabel("Password").fill(t.password);
      await other.getByRole("button", { name: "Sign in" }).click();
      await other.locator("section.phone header .tag", { hasText: "Ready" }).waitFor();
      await t.page.getByLabel("Number or name").fill("501");
      await t.page.getByRole("button", { name: "Call", exact: true }).click();
      await other.getByText("Incoming call").waitFor();
      await t.look("phone-ringing", other);
      await other.getByRole("button", { name: "Answer" }).click();
      await t.page.getByText(/connected \d\d:/).waitFor();
      await row(t, "501").getByText("talking").waitFor();
      await t.until("what the round trip takes", () => t.page.evaluate(() => / ms/.test(document.querySelector("section.phone dl")?.textContent ?? "")));
      await t.examine("now");
      await t.page.getByRole("button", { name: "Transfer" }).click();
      await t.page.getByLabel("Transfer to").fill("100");
      await t.page.keyboard.press("Enter");
      await stage(t, "Ready").waitFor();
      await other.getByText(/connected \d\d:/).waitFor();
      await t.page.locator("section[aria-labelledby=in-progress] tr[data-call]").getByText("talking").waitFor();
      await other.getByRole("button", { name: "Hang up" }).click();
      await t.page.getByText("Nobody is on the phone.").waitFor();
      await other.context().close();
    },
  ],
  [
    "the telephone has a page of its own",
    async (t) => {
      await t.go("/phone");
      await stage(t, "Ready").waitFor();
      await t.look("phone");
    },
  ],
  [
    "a microphone that is refused is explained, and calls work without it",
    async (t) => {
      await t.page.evaluate(() => {
        navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("Permission denied", "NotAllowedError"));
      });
      await t.page.getByLabel("Number or name").fill("100");
      await t.page.getByRole("button", { name: "Call", exact: true }).click();
      await t.page.getByText("The browser refused the microphone.").waitFor();
      await t.look("phone-no-microphone");
      await t.page.getByRole("button", { name: "Listen only" }).click();
      await connected(t.page).waitFor();
      // Silence is sent, so that the call lives and keys reach the other side.
      await t.until("packets of silence", () =>
        t.page.evaluate(async () => {
          const stats = await window.__peers.at(-1).getStats();
          return [...stats.values()].some((one) => one.type === "outbound-rtp" && one.packetsSent > 20);
        }),
      );
      await t.page.getByRole("button", { name: "Hang up" }).click();
      await stage(t, "Ready").waitFor();
      await t.page.getByRole("button", { name: "Use the microphone" }).click();
      await t.page.getByText("Calls are made without a microphone.").waitFor({ state: "detached" });
      await t.page.evaluate(() => delete navigator.mediaDevices.getUserMedia);
    },
  ],
  [
    "the record of the call is found, and leads to its own page",
    async (t) => {
      await t.go("/calls");
      await t.page.getByRole("cell", { name: "2030" }).first().waitFor();
      await t.page.getByLabel("Number, name or Call-ID").fill("2030");
      await t.until("the filter in the address", () => t.page.evaluate(() => location.search.includes("q=2030")));
      await t.until("rows of 2030 only", async () => {
        const told = await t.page.locator("tbody tr").allTextContents();
        return told.length > 0 && told.every((text) => text.includes("2030"));
      });
      await t.look("calls");
      const links = await t.page.locator("tbody tr a").evaluateAll((all) => all.map((one) => one.getAttribute("href")));
      t.assert.ok(links.includes(t.kept.call), `${t.kept.call} among ${links}`);
      await t.go("/calls?q=nobody-has-this");
      await t.page.getByText("No call fits").waitFor();
    },
  ],
  [
    "Go to finds numbers and pages by keyboard",
    async (t) => {
      await t.page.keyboard.press("Control+k");
      await t.page.getByRole("combobox", { name: "Go to" }).fill("sett");
      await t.page.getByRole("option", { name: /Settings/ }).waitFor();
      await t.look("go-to");
      await t.page.keyboard.press("Enter");
      await t.page.getByRole("heading", { name: "Settings", exact: true }).waitFor();
    },
  ],
  [
    "Settings say how the server stands and keep a theme",
    async (t) => {
      await t.page.getByText(/listens on udp/).waitFor();
      await t.look("settings");
      await t.page.getByLabel("Dark").check();
      t.assert.equal(await t.page.evaluate(() => document.documentElement.dataset.theme), "dark");
      await t.page.getByLabel("As the system").check();
    },
  ],
  [
    "after signing out a name and a password sign in again",
    async (t) => {
      await t.page.getByRole("button", { name: "Sign out" }).click();
      await t.page.getByRole("button", { name: "Sign in" }).waitFor();
      await t.page.getByLabel("User").fill(t.user);
      await t.page.getByLabel("Password").fill("not-the-password");
      await t.page.getByRole("button", { name: "Sign in" }).click();
      await t.page.getByText("That name and password do not match.").waitFor();
      await t.look("login");
      await t.page.getByLabel("Password").fill(t.password);
      await t.page.getByRole("button", { name: "Sign in" }).click();
      await t.page.getByRole("heading", { name: "Settings", exact: true }).waitFor();
    },
  ],
  [
    "a narrow window loses nothing",
    async (t) => {
      await t.page.setViewportSize({ width: 320, height: 720 });
      await t.go("/now");
      await t.page.getByRole("heading", { name: "Now", exact: true }).waitFor();
      const wide = await t.page.evaluate(() => document.documentElement.scrollWidth);
      t.assert.ok(wide <= 320, `the page is ${wide} wide`);
      await t.examine("now, narrow");
      await t.page.setViewportSize({ width: 1440, height: 900 });
    },
  ],
];
