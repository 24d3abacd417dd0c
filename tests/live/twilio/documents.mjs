// Documents that Twilio's own library for Node generates: every verb and noun it has, with every attribute it knows and
// with none. Which attributes there are, and what they may be, is read from its own type declarations.
//
// Prints one JSON object a line: {"name", "xml"}.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const VoiceResponse = require("twilio").twiml.VoiceResponse;
const types = readFileSync(require.resolve("twilio/lib/twiml/VoiceResponse.d.ts"), "utf8");

// Texts and numbers, by name.
const VALUES = {
  beep: "onEnter", digits: "1w2#", duration: "300ms", finishOnKey: "#", input: "dtmf speech", length: 2, loop: 2, maxLength: 30,
  maxParticipants: 40, maxQueueSize: 50, maxSpeechTime: 20, numDigits: 4, recordingStatusCallbackEvent: "completed",
  sendDigits: "12ww3", time: "300ms", timeLimit: 600, timeout: 7,
};
// SSML stands inside SSML without an end.
const DEPTH = 3;

/** `type X = "a" | "b"`: the last of them, which is seldom the default. */
const UNIONS = new Map(
  [...types.matchAll(/^ {4}type (\w+) = (.*);$/gm)].map(([, name, all]) => [name, JSON.parse(all.split(" | ").at(-1))]),
);

function value(name, type) {
  const union = UNIONS.get(type.replace("[]", ""));
  if (type.endsWith("[]")) return [union ?? "text"];
  if (union !== undefined) return union;
  if (name in VALUES) return VALUES[name];
  if (type === "boolean") return true;
  if (type === "number") return 3;
  if (/method$/i.test(name)) return "POST";
  if (/url|action|callback/i.test(name)) return `https://app.example.com/${name}`;
  return "text";
}

/** The bodies of `kind X … { … }` by X. */
function bodies(kind) {
  const all = types.matchAll(new RegExp(`^ *(?:export |declare )?${kind} (\\w+)[^{\\n]*\\{\\n([^]*?)^ *\\}$`, "gm"));
  return new Map([...all].map(([, name, body]) => [name, body]));
}

const interfaces = new Map(
  [...bodies("interface")].map(([name, body]) => {
    const fields = [...body.matchAll(/^ +['"]?([\w:-]+)['"]?\??: (.*);$/gm)];
    return [name, Object.fromEntries(fields.map(([, field, type]) => [field, value(field, type)]))];
  }),
);

/** The methods of a class that nest an element: name, attributes, and how many texts follow them. */
function methods(body) {
  const found = new Map();
  for (const [, name, parameters] of body.matchAll(/^ +(\w+)\((.*)\): VoiceResponse\.\w+;$/gm)) {
    const all = parameters.split(", ").filter(Boolean);
    const attributes = all.find((parameter) => parameter.startsWith("attributes"));
    const type = /VoiceResponse\.(\w+)/.exec(attributes ?? "")?.[1];
    found.set(name, { attributes: interfaces.get(type) ?? {}, texts: all.length - (attributes ? 1 : 0) });
  }
  return found;
}

const classes = new Map([...bodies("class")].map(([name, body]) => [name, methods(body)]));

function build(parent, name, method, withAll) {
  const texts = Array(method.texts).fill("text");
  const child = parent[name](withAll ? method.attributes : {}, ...texts);
  return child;
}

function grow(element, withAll, depth) {
  const kind = element.constructor.name;
  for (const [name, method] of classes.get(kind) ?? []) {
    const child = build(element, name, method, withAll);
    if (depth && !child.constructor.name.startsWith("Ssml")) grow(child, withAll, depth - 1);
  }
}

for (const withAll of [false, true]) {
  for (const [name, method] of classes.get("VoiceResponse")) {
    const response = new VoiceResponse();
    grow(build(response, name, method, withAll), withAll, DEPTH);
    console.log(JSON.stringify({ name: `${name} ${withAll ? "all" : "none"}`, xml: response.toString() }));
  }
}
