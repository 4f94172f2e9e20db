// The server's port while the server is down: whoever knocks is turned away, and counted.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { deadline } from "./runner.mjs";

/** Attempts to come back that two clients make before the server is there again. */
export const KNOCKS = 4;
const KNOCK_MS = 20_000;

/** Returns once there were so many attempts to connect, with the port free again. */
export async function absent(url, knocks) {
  let left = knocks;
  const door = createServer();
  const enough = new Promise((resolve) => {
    door.on("connection", (socket) => {
      socket.on("error", () => {});
      socket.destroy();
      left -= 1;
      if (left === 0) resolve();
    });
  });
  const { hostname, port } = new URL(url);
  door.listen(Number(port), hostname);
  await once(door, "listening");
  try {
    await deadline(enough, KNOCK_MS, `${knocks} attempts to connect`);
  } catch (error) {
    assert.fail(`${error.message}; there were ${knocks - left}`);
  } finally {
    door.close();
    await once(door, "close");
  }
}
