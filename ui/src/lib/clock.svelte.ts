// The present, once a second, for durations that run. Stops while nobody looks or the connection is lost.

import { connection } from './live.svelte';

let now = $state(Date.now());

setInterval(() => {
  if (document.hidden || connection.lostAt !== null) return;
  now = Date.now();
}, 1000);

export const clock = {
  /** Unix milliseconds. */
  get now(): number {
    return now;
  },
};
