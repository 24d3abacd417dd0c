// A Pivot application in plain Node.
//
//     node pivot.mjs [PORT]          (8080 when none is given, on loopback)
//
// The same pages as pivot.py: /hello, /menu, /digits.

import http from "node:http";

const tts = (text, then) => ({ module: "tts", data: { text }, children: then ? { _: then } : {} });

const hello = () => tts("Pivot is pretty awesome. Have a great day.");

const menu = (_params, base) =>
  tts("Please enter four digits.", {
    module: "collect_dtmf",
    data: { max_digits: 4, timeout: 8000 },
    children: { _: { module: "pivot", data: { voice_url: `${base}/digits`, debug: true }, children: {} } },
  });

const digits = (params) => {
  const entered = params["Digits[default]"] ?? "";
  return entered ? tts(`You entered ${[...entered].join(" ")}. Goodbye.`) : tts("I did not hear any digits. Goodbye.");
};

const pages = { "/": hello, "/hello": hello, "/menu": menu, "/digits": digits };

const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, `http://${request.headers.host}`);
  let body = "";
  for await (const chunk of request) body += chunk;
  const json = (request.headers["content-type"] ?? "").startsWith("application/json");
  const params = body
    ? json ? flatten(JSON.parse(body)) : Object.fromEntries(new URLSearchParams(body))
    : Object.fromEntries(url.searchParams);
  console.log(request.method, request.url, JSON.stringify(params));

  const page = pages[url.pathname];
  response.writeHead(page ? 200 : 404, { "Content-Type": "application/json" });
  response.end(JSON.stringify(page ? page(params, url.origin) : {}));
});

// {Digits: {default: "12"}} as a form would have it: {"Digits[default]": "12"}.
function flatten(value, prefix = "") {
  if (value === null || typeof value !== "object") return { [prefix]: value };
  return Object.assign({}, ...Object.entries(value).map(([k, v]) => flatten(v, prefix ? `${prefix}[${k}]` : k)));
}

const port = Number(process.argv[2] ?? 8080);
server.listen(port, "127.0.0.1", () => {
  console.log(`Pivot application on http://127.0.0.1:${server.address().port}/hello`);
});
