// A telephone of a few lines: one call over UDP, with whatever anybody wishes in its headers.
import { createHash, randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";

const random = () => randomBytes(8).toString("hex");
const header = (message, name) => new RegExp(`^${name}\\s*:\\s*(.*)$`, "im").exec(message)?.[1]?.trim() ?? "";
const quoted = (text) => `"${text.replace(/[\\"]/g, "\\$&")}"`;

/** Calls `number` at `port` of this machine. `odd` may name `display`, `user`, `agent`, `call`, `contact`, `more` (header lines). */
export async function dial({ port, number, user, password, odd = {} }) {
  const socket = createSocket("udp4");
  await new Promise((done) => socket.bind(0, "127.0.0.1", done));
  const own = `127.0.0.1:${socket.address().port}`;
  const host = `127.0.0.1:${port}`;
  const call = odd.call ?? `${random()}@test`;
  const target = `sip:${number}@${host}`;
  const from = `From: ${odd.display === undefined ? "" : `${quoted(odd.display)} `}<sip:${odd.user ?? user}@127.0.0.1>;tag=${random()}`;
  const sdp = `v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio ${socket.address().port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n`;
  let number_ = 0;
  let remote = target;
  let to = `To: <${target}>`;
  const seen = [];
  const waiting = [];
  socket.on("message", (bytes) => {
    const text = bytes.toString("utf8");
    // Sound comes here, too.
    if (!/^(SIP\/2\.0|[A-Z]+ sip)/.test(text)) return;
    if (!text.startsWith("SIP/2.0")) {
      const line = (name) => text.split("\r\n").filter((one) => one.toLowerCase().startsWith(`${name}:`)).map((one) => `${one}\r\n`).join("");
      socket.send(`SIP/2.0 200 OK\r\n${["via", "from", "to", "call-id", "cseq"].map(line).join("")}Content-Length: 0\r\n\r\n`, port, "127.0.0.1");
    }
    seen.push(text);
    for (const wake of waiting.splice(0)) wake();
  });
  /** The first message that fits and that nobody has taken. */
  async function take(fits, ms = 10_000) {
    const end = Date.now() + ms;
    for (;;) {
      const at = seen.findIndex(fits);
      if (at >= 0) return seen.splice(at, 1)[0];
      if (Date.now() > end) throw new Error(`no such message within ${ms / 1000} s; seen: ${seen.map((one) => one.split("\r\n")[0])}`);
      await new Promise((done) => {
        waiting.push(done);
        setTimeout(done, 200);
      });
    }
  }
  function send(method, cseq, extra = "", body = "", type = "") {
    const lines = [
      `${method} ${remote} SIP/2.0`, `Via: SIP/2.0/UDP ${own};branch=z9hG4bK${random()};rport`, "Max-Forwards: 70", from, to, `Call-ID: ${call}`, `CSeq: ${cseq} ${method}`,
      `Contact: ${odd.contact ?? `<sip:${user}@${own}>`}`, `User-Agent: ${odd.agent ?? "test"}`, ...(odd.more ?? []), ...(extra ? [extra] : []), ...(type ? [`Content-Type: ${type}`] : []), `Content-Length: ${Buffer.byteLength(body)}`,
    ];
    socket.send(`${lines.join("\r\n")}\r\n\r\n${body}`, port, "127.0.0.1");
  }
  const answerTo = (cseq) => (text) => text.startsWith("SIP/2.0") && header(text, "CSeq").startsWith(`${cseq} `) && !/^SIP\/2\.0 1/.test(text);
  const status = (text) => Number(text.slice(8, 11));

  send("INVITE", ++number_, "", sdp, "application/sdp");
  let answer = await take(answerTo(number_));
  const kept = to;
  if ([401, 407].includes(status(answer))) {
    to = `To: ${header(answer, "To")}`;
    send("ACK", number_);
    to = kept;
    const line = /^(?:WWW|Proxy)-Authenticate\s*:(?=.*MD5|(?!.*algorithm)).*$/im.exec(answer)?.[0] ?? "";
    const part = (name) => new RegExp(`${name}="?([^",]+)`, "i").exec(line)?.[1] ?? "";
    const md5 = (text) => createHash("md5").update(text).digest("hex");
    const cnonce = random();
    const secret = [md5(`${user}:${part("realm")}:${password}`), part("nonce"), "00000001", cnonce, "auth", md5(`INVITE:${target}`)];
    const name = status(answer) === 401 ? "Authorization" : "Proxy-Authorization";
    const opaque = part("opaque") ? `, opaque="${part("opaque")}"` : "";
    send("INVITE", ++number_, `${name}: Digest username="${user}", realm="${part("realm")}", nonce="${part("nonce")}", uri="${target}", response="${md5(secret.join(":"))}", algorithm=MD5, qop=auth, nc=00000001, cnonce="${cnonce}"${opaque}`, sdp, "application/sdp");
    answer = await take(answerTo(number_));
  }
  to = `To: ${header(answer, "To")}`;
  const refused = status(answer) >= 300;
  if (!refused) remote = /<([^>]+)>/.exec(header(answer, "Contact"))?.[1] ?? remote;
  send("ACK", number_);
  if (refused) socket.close();
  return {
    call,
    status: status(answer),
    async press(key) {
      send("INFO", ++number_, "", `Signal=${key}\r\nDuration=160\r\n`, "application/dtmf-relay");
      return status(await take(answerTo(number_)));
    },
    /** Waits until the other side hangs up. */
    async over(ms = 30_000) {
      await take((text) => text.startsWith("BYE"), ms);
      socket.close();
    },
    async hangUp() {
      send("BYE", ++number_);
      await take(answerTo(number_)).catch(() => undefined);
      socket.close();
    },
  };
}

/** Signs in where no step before has. */
export async function signedIn(t) {
  if (t.page.url() !== "about:blank" && (await t.page.evaluate(() => sessionStorage.getItem("swivel.session")))) return;
  await t.page.goto(`${t.base}/login?to=/now`);
  await t.page.getByLabel("User").fill(t.user);
  await t.page.getByLabel("Password").fill(t.password);
  await t.page.getByRole("button", { name: /Sign in/ }).click();
  await t.page.waitForURL(/now/);
}

/** A telephone of the demo's own account, and where swivel listens. */
export async function telephone(t) {
  if (t.kept.telephone) return t.kept.telephone;
  await signedIn(t);
  const user = `lens-${random().slice(0, 6)}`;
  const password = random();
  const made = await t.api("devices", { method: "PUT", data: { name: user, sip: { username: user, password, method: "password" } } });
  t.assert.equal(made.status, "success", JSON.stringify(made));
  const cdrs = (await t.api("cdrs?page_size=50")).data;
  for (const { call_id: id } of cdrs) {
    const lens = (await t.api(`lens/${encodeURIComponent(id)}`)).data;
    const caller = lens.parties?.find((party) => party.kind === "caller");
    const port = /:(\d+)$/.exec(lens.parties?.find((party) => party.kind === "swivel")?.detail ?? "")?.[1];
    // The demo's own call came over UDP.
    if (port && /UDP/.test(caller?.detail ?? "")) return (t.kept.telephone = { port: Number(port), user, password });
  }
  throw new Error("no call over UDP to learn the port from");
}
