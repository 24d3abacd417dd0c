// How figures and times are said.

/** 83 → `01:23`, 3700 → `1:01:40`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (n: number) => String(n).padStart(2, '0');
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${two(minutes)}:${two(rest)}`;
}

/** 540_000 s → `6 d 6 h`. */
export function age(seconds: number): string {
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min` : `${Math.floor(seconds)} s`;
}

/** Unix microseconds as the time of day. */
export function timeOfDay(micros: number): string {
  const at = new Date(micros / 1000);
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map((n) => String(n).padStart(2, '0')).join(':');
}

/** Unix microseconds as date and time, to the second: what a title tells beside a short time. */
export function absolute(micros: number): string {
  const at = new Date(micros / 1000);
  const day = [at.getFullYear(), String(at.getMonth() + 1).padStart(2, '0'), String(at.getDate()).padStart(2, '0')].join('-');
  return `${day} ${timeOfDay(micros)}`;
}

/** `1 call`, `2 calls`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
}

/** Whether a number is the made-up user name of a browser's telephone: nobody's to read. */
export function isMadeUp(number: string): boolean {
  return /^browser-\w+-[0-9a-f]{8}$/.test(number);
}

/** What is called by such a name, in words: `Browser of admin`. Other names stay. */
export function inWords(name: string): string {
  const user = /^browser-(\w+)-[0-9a-f]{8}$/.exec(name)?.[1];
  return user ? `Browser of ${user}` : name;
}

/** The address of a call's own page. */
export function callAddress(callId: string): string {
  return `/calls/${encodeURIComponent(callId)}`;
}
