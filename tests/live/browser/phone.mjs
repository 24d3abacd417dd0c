// JsSIP in headless Chromium: registers, calls a number, listens for some seconds, hangs up, and prints what happened as
// JSON. Arguments: HTTP port of swivel, realm, user name, password, number.
import { build } from "esbuild";
import { fileURLToPath } from "node:url";
import { launch } from "./chromium.mjs";

const [port, realm, user, password, number] = process.argv.slice(2);
// Any page of swivel's own: its WebSocket is let in without a setting.
const home = `http://127.0.0.1:${port}/healthz`;
const bundle = await build({
  stdin: { contents: 'import JsSIP from "jssip"; window.JsSIP = JsSIP;', resolveDir: fileURLToPath(new URL(".", import.meta.url)) },
  bundle: true,
  write: false,
});

const browser = await launch();
try {
  const page = await browser.newPage();
  await page.goto(home);
  await page.addScriptTag({ content: bundle.outputFiles[0].text });
  const seen = await page.evaluate(
    async ({ port, realm, user, password, number }) => {
      const seen = { events: [] };
      const within = (ms, what) =>
        Promise.race([what, new Promise((_, give_up) => setTimeout(() => give_up("time-out"), ms))]);
      const phone = new JsSIP.UA({
        sockets: [new JsSIP.WebSocketInterface(`ws://127.0.0.1:${port}/sip`)],
        uri: `sip:${user}@${realm}`,
        password,
      });
      try {
        await within(
          20000,
          new Promise((done, failed) => {
            phone.on("registered", done);
            phone.on("registrationFailed", (e) => failed(`not registered: ${e.cause}`));
            phone.start();
          }),
        );
        seen.events.push("registered");
        const call = phone.call(`sip:${number}@${realm}`, { mediaConstraints: { audio: true, video: false } });
        await within(
          20000,
          new Promise((done, failed) => {
            call.on("confirmed", done);
            call.on("failed", (e) => failed(`call failed: ${e.cause}`));
          }),
        );
        seen.events.push("confirmed");
        const ear = document.body.appendChild(document.createElement("audio"));
        ear.srcObject = new MediaStream(call.connection.getReceivers().map((r) => r.track));
        await ear.play();
        await new Promise((done) => setTimeout(done, 4000));
        seen.connection = call.connection.connectionState;
        for (const [, report] of await call.connection.getStats()) {
          if (report.type === "inbound-rtp") {
            seen.received = report.packetsReceived;
            seen.energy = report.totalAudioEnergy;
          }
          if (report.type === "codec" && report.mimeType) seen.codec = report.mimeType;
        }
        call.terminate();
      } catch (why) {
        seen.error = String(why);
      }
      phone.stop();
      return seen;
    },
    { port, realm, user, password, number },
  );
  console.log(JSON.stringify(seen));
} finally {
  await browser.close();
}
