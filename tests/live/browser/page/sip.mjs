// Telephones of a few lines, over UDP, with whatever anybody wishes in their headers: one that calls, one that is called.
import { createHash, randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";

const random = () => randomBytes(8).toString("hex");
const md5 = (text) => createHash("md5").update(text).digest("hex");
const header = (message, name) => new RegExp(`^${name}\\s*:\\s*(.*)$`, "im").exec(message)?.[1]?.trim() ?? "";
const quoted = (text) => `"${text.replace(/[\\"]/g, "\\$&")}"`;
const status = (text) => Number(text.slice(8, 11));

/** The answer to the challenge in `refusal`, as a header line. */
function authorization(refusal, { method, uri, user, password, name = user }) {
  const line = /^(?:WWW|Proxy)-Authenticate\s*:(?=.*MD5|(?!.*algorithm)).*$/im.exec(refusal)?.[0] ?? "";
  const part = (key) => new RegExp(`${key}="?([^",]+)`, "i").exec(line)?.[1] ?? "";
  const cnonce = random();
  const secret = [md5(`${user}:${part("realm")}:${password}`), part("nonce"), "00000001", cnonce, "auth", md5(`${method}:${uri}`)];
  const opaque = part("opaque") ? `, opaque="${part("opaque")}"` : "";
  return `${status(refusal) === 401 ? "Authorization" : "Proxy-Authorization"}: Digest username=${quoted(name)}, realm="${part("realm")}", nonce="${part("nonce")}", uri="${uri}", response="${md5(secret.join(":"))}", algorithm=MD5, qop=auth, nc=00000001, cnonce="${cnonce}"${opaque}`;
}

/** A socket, and who waits for what comes in. `asked` is told of requests. */
async function listen(port, asked) {
  const socket = createSocket("udp4");
  await new Promise((done) => socket.bind(0, "127.0.0.1", done));
  const seen = [];
  const waiting = [];
  let open = true;
  const send = (text) => open && socket.send(text, port, "127.0.0.1");
  socket.on("message", (bytes) => {
    const text = bytes.toString("utf8");
    // Sound comes here, too.
    if (!/^(SIP\/2\.0|[A-Z]+ sip)/.test(text)) return;
    if (!text.startsWith("SIP/2.0")) asked(text);
    seen.push(text);
    for (const wake of waiting.splice(0)) wake();
  });
  return {
    own: `127.0.0.1:${socket.address().port}`,
    rtp: socket.address().port,
    send,
    /** Answers a request. `tag` is added to To. */
    answer(request, line, more = [], tag = "") {
      const lines = (name) => request.split("\r\n").filter((one) => one.toLowerCase().startsWith(`${name}:`));
      const to = lines("to").map((one) => (tag && !/;tag=/.test(one) ? `${one};tag=${tag}` : one));
      send(`SIP/2.0 ${line}\r\n${[...lines("via"), ...lines("from"), ...to, ...lines("call-id"), ...lines("cseq"), ...more, "Content-Length: 0"].join("\r\n")}\r\n\r\n`);
    },
    /** Sends a request until `wanted` takes an answer: UDP may lose it, and who is asked may be busy (RFC 3261 §17.1). */
    async transact(text, wanted) {
      let wait = 500;
      let timer;
      const again = () => {
        send(text);
        timer = setTimeout(again, wait);
        wait = Math.min(4000, 2 * wait);
      };
      again();
      try {
        return await wanted();
      } finally {
        clearTimeout(timer);
      }
    },
    /** The first message that fits and that nobody has taken. */
    async take(fits, ms = 30_000) {
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
    },
    close() {
      if (open) socket.close();
      open = false;
    },
  };
}

const answerTo = (cseq) => (text) => text.startsWith("SIP/2.0") && header(text, "CSeq").startsWith(`${cseq} `) && !/^SIP\/2\.0 1/.test(text);

/**
 * Calls `number` at `port` of this machine. `odd` may name `display`, `user`, `to` (display name of To), `agent`, `call`,
 * `contact`, `more` (header lines), `digest` (the name in the credentials), `sdp` (lines). `ringing`: comes back when it rings.
 */
export async function dial({ port, number, user, password, odd = {}, ringing = false }) {
  const line = await listen(port, (request) => line.answer(request, "200 OK"));
  const { own, take, transact } = line;
  const host = `127.0.0.1:${port}`;
  const call = odd.call ?? `${random()}@test`;
  const target = `sip:${number}@${host}`;
  const from = `From: ${odd.display === undefined ? "" : `${quoted(odd.display)} `}<sip:${odd.user ?? user}@127.0.0.1>;tag=${random()}`;
  const first = `To: ${odd.to === undefined ? "" : `${quoted(odd.to)} `}<${target}>`;
  const [origin = "-", ...sdpLines] = odd.sdp ?? [];
  const sdp = `v=0\r\no=${origin} 1 1 IN IP4 127.0.0.1\r\ns=-\r\n${sdpLines.filter((one) => one.startsWith("i=")).map((one) => `${one}\r\n`).join("")}c=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio ${line.rtp} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n${sdpLines.filter((one) => !one.startsWith("i=")).map((one) => `${one}\r\n`).join("")}`;
  let cseq = 0;
  let remote = target;
  let to = first;
  let via = "";
  function message(method, number_, extra = [], body = "", type = "", branch = `z9hG4bK${random()}`) {
    if (method === "INVITE") via = branch;
    const lines = [
      `${method} ${remote} SIP/2.0`, `Via: SIP/2.0/UDP ${own};branch=${branch};rport`, "Max-Forwards: 70", from, to, `Call-ID: ${call}`, `CSeq: ${number_} ${method}`,
      `Contact: ${odd.contact ?? `<sip:${user}@${own}>`}`, `User-Agent: ${odd.agent ?? "test"}`, ...(odd.more ?? []), ...extra, ...(type ? [`Content-Type: ${type}`] : []), `Content-Length: ${Buffer.byteLength(body)}`,
    ];
    return `${lines.join("\r\n")}\r\n\r\n${body}`;
  }
  /** A request and its final answer. */
  const ask = (...request) => transact(message(...request), () => take(answerTo(request[1])));

  let answer = await ask("INVITE", ++cseq, [], sdp, "application/sdp");
  if ([401, 407].includes(status(answer))) {
    to = `To: ${header(answer, "To")}`;
    line.send(message("ACK", cseq, [], "", "", via));
    to = first;
    const credentials = [authorization(answer, { method: "INVITE", uri: target, user, password, name: odd.digest })];
    if (ringing) {
      const invited = ++cseq;
      await transact(message("INVITE", invited, credentials, sdp, "application/sdp"), () => take((text) => /^SIP\/2\.0 18/.test(text)));
      return {
        call,
        async cancel(more = []) {
          const ended = () => take((text) => answerTo(invited)(text) && /INVITE$/.test(header(text, "CSeq")));
          to = `To: ${header(await transact(message("CANCEL", invited, more, "", "", via), ended), "To")}`;
          line.send(message("ACK", invited, [], "", "", via));
          line.close();
        },
      };
    }
    answer = await ask("INVITE", ++cseq, credentials, sdp, "application/sdp");
  }
  to = `To: ${header(answer, "To")}`;
  const refused = status(answer) >= 300;
  if (!refused) remote = /<([^>]+)>/.exec(header(answer, "Contact"))?.[1] ?? remote;
  line.send(message("ACK", cseq, [], "", "", refused ? via : undefined));
  if (refused) line.close();
  return {
    call,
    status: status(answer),
    async press(key, type = "application/dtmf-relay") {
      return status(await ask("INFO", ++cseq, [], `Signal=${key}\r\nDuration=160\r\n`, type));
    },
    /** Waits until the other side hangs up. */
    async over(ms = 60_000) {
      await take((text) => text.startsWith("BYE"), ms);
      line.close();
    },
    async hangUp(more = []) {
      await ask("BYE", ++cseq, more).catch(() => undefined);
      line.close();
    },
  };
}

/** Registers and refuses every call. `refuse` gives the status line and headers of each. */
export async function callee({ port, user, password, odd = {}, refuse }) {
  let calls = 0;
  const line = await listen(port, (request) => {
    if (request.startsWith("ACK")) return;
    if (!request.startsWith("INVITE")) return line.answer(request, "200 OK");
    const { line: said, more } = refuse(calls++);
    line.answer(request, said, more, random());
  });
  const uri = "sip:demo.test";
  const call = `${random()}@test`;
  const tag = random();
  const register = (cseq, more = []) =>
    line.transact(
      [
        `REGISTER ${uri} SIP/2.0`, `Via: SIP/2.0/UDP ${line.own};branch=z9hG4bK${random()};rport`, "Max-Forwards: 70", `From: <sip:${user}@demo.test>;tag=${tag}`, `To: <sip:${user}@demo.test>`,
        `Call-ID: ${call}`, `CSeq: ${cseq} REGISTER`, `Contact: ${odd.contact ? `${quoted(odd.contact)} ` : ""}<sip:${user}@${line.own}>`, `User-Agent: ${odd.agent ?? "test"}`, "Expires: 600", ...more, "Content-Length: 0", "", "",
      ].join("\r\n"),
      () => line.take(answerTo(cseq)),
    );
  const challenge = await register(1);
  const answer = status(await register(2, [authorization(challenge, { method: "REGISTER", uri, user, password })]));
  return { status: answer, calls: () => calls, close: () => line.close() };
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
export async function telephone(t, name = "") {
  if (!name && t.kept.telephone) return t.kept.telephone;
  await signedIn(t);
  const user = name || `lens-${random().slice(0, 6)}`;
  const password = random();
  const made = await t.api("devices", { method: "PUT", data: { name: user, sip: { username: user, password, method: "password" } } });
  t.assert.equal(made.status, "success", JSON.stringify(made));
  if (name) return { ...(await telephone(t)), user, password, id: made.data.id };
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
