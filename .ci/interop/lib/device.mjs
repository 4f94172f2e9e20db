// One connection of the stock Socket.IO client, and what came over it, in order.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { Inbox } from "./inbox.mjs";
import { deadline } from "./runner.mjs";

const modules = process.env.INTEROP_MODULES;
assert.ok(modules, "INTEROP_MODULES must name a folder in which socket.io-client is installed");
const { io } = createRequire(`${modules}/`)("socket.io-client");

const EVENT_MS = 5_000;

/** A transport mode is the client's `transports` option; undefined is its default. */
export function dial(url, transports, auth, options = {}) {
  return io(url, {
    auth,
    forceNew: true,
    reconnectionDelay: 100,
    reconnectionDelayMax: 500,
    ...(transports ? { transports } : {}),
    ...options,
  });
}

/** The message with which the server refuses a connection. */
export async function refusal(url, transports, auth) {
  const socket = dial(url, transports, auth, { reconnection: false });
  try {
    const refused = new Promise((resolve, reject) => {
      socket.once("connect_error", (error) => resolve(error.message));
      socket.once("connect", () => reject(new Error("was accepted")));
    });
    return await deadline(refused, EVENT_MS, "connect_error");
  } finally {
    socket.disconnect();
  }
}

export class Device {
  #inbox = new Inbox();

  /** Connects; returns once the snapshot is there and, with the default transports, the upgrade is done. */
  static async open(url, transports, auth) {
    const device = new Device();
    const socket = dial(url, transports, auth);
    device.socket = socket;
    device.others = [];
    socket.onAny((name, ...args) => {
      if (name === "presence_update") device.#inbox.arrived({ ...args[0], arrived: Date.now() });
      else device.others.push([name, ...args]);
    });
    socket.on("disconnect", (reason) => device.others.push(["disconnect", reason]));
    const snapshot = device.once("presence_snapshot");
    await deadline(
      new Promise((resolve, reject) => {
        socket.once("connect", resolve);
        socket.once("connect_error", reject);
      }),
      EVENT_MS,
      "connect",
    );
    device.snapshot = (await snapshot).users;
    const { engine } = socket.io;
    if (!transports && engine.transport.name !== "websocket") {
      await deadline(new Promise((resolve) => engine.once("upgrade", resolve)), EVENT_MS, "the upgrade");
    }
    assert.equal(engine.transport.name, transports?.[0] ?? "websocket");
    return device;
  }

  get connected() {
    return this.socket.connected;
  }

  /** The next `presence_update`, in the order of arrival; `arrived` is the local time. */
  next(ms = EVENT_MS) {
    return this.#inbox.next(ms);
  }

  /** The next time this event comes. Ask before causing it. */
  once(name, ms = EVENT_MS) {
    const event = deadline(new Promise((resolve) => this.socket.once(name, resolve)), ms, name);
    // It may fail while somebody waits for something else; whoever awaits it still sees the failure.
    event.catch(() => {});
    return event;
  }

  /** Sends and returns the acknowledgement. */
  emit(name, payload) {
    return this.socket.timeout(EVENT_MS).emitWithAck(name, payload);
  }

  /** Updates that came and that nobody has asked for. */
  get unread() {
    return this.#inbox.unread;
  }

  /** Closes as an app does that is left, and returns the local times around it. */
  async close() {
    const { engine } = this.socket.io;
    const from = Date.now();
    const closed = new Promise((resolve) => engine.once("close", resolve));
    this.socket.disconnect();
    await deadline(closed, EVENT_MS, "close");
    return { from, to: Date.now() };
  }

  /** Drops the transport without a word and without coming back. */
  abandon() {
    this.socket.io.reconnection(false);
  }
}
