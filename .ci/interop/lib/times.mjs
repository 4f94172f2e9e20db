// How close in time things have to be.

import assert from "node:assert/strict";

export const GRACE_MS = 1_000;
/** How far local and server times around one event may be apart. */
export const NEAR_MS = 500;

export function near(time, from, to = from) {
  const at = Date.parse(time);
  assert.ok(at >= from - NEAR_MS && at <= to + NEAR_MS, `${time} is not near ${new Date(from).toISOString()}`);
}

export function instant(update, since) {
  const took = update.arrived - since;
  assert.ok(took < GRACE_MS / 2, `took ${took} ms, so it waited for the grace`);
}
