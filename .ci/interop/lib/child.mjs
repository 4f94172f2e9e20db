// One device that is another language's client in a process of its own, as lib/device.mjs is one of the stock client.
//
// It is started with the server's address and a transport mode, and gets one line of JSON after the other:
//   first the payload of CONNECT, then {"emit":NAME,"data":…,"ack":N} and {"close":true}.
// It says what happens the same way:
//   {"state":"connected","transport":NAME or null}, {"state":"disconnected"|"refused","reason":TEXT},
//   {"event":NAME,"data":…}, {"ack":N,"data":…}.
// A process each, since a client may leave threads behind that never end.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { EventEmitter } from "node:events";
import { createInterface } from "node:readline";
import { deadline } from "./runner.mjs";
import { Inbox } from "./inbox.mjs";

const EVENT_MS = 5_000;
/** An interpreter has to start first. */
const CONNECT_MS = 15_000;

const running = new Set();
process.once("exit", () => running.forEach((child) => child.kill("SIGKILL")));

export class ChildDevice {
  #inbox = new Inbox();
  #heard = new EventEmitter();
  #errors = [];
  #acks = 0;
  connected = false;
  ended = false;
  others = [];

  /** Connects; returns once the snapshot is there. */
  static async open(command, url, mode, auth) {
    const device = new ChildDevice(command, url, mode, auth);
    const snapshot = device.once("presence_snapshot", CONNECT_MS);
    const { transport } = await device.first("connected", CONNECT_MS);
    if (transport) assert.equal(transport, mode === "polling" ? "polling" : "websocket");
    device.snapshot = (await snapshot).users;
    return device;
  }

  /** Why the server refuses this CONNECT, in the client's words. */
  static async refusal(command, url, mode, auth) {
    const device = new ChildDevice(command, url, mode, auth);
    try {
      return (await device.first("refused", CONNECT_MS)).reason;
    } finally {
      device.abandon();
    }
  }

  constructor([program, ...args], url, mode, auth) {
    this.process = spawn(program, [...args, url, mode], { stdio: ["pipe", "pipe", "pipe"] });
    running.add(this.process);
    this.#heard.setMaxListeners(0);
    this.exited = new Promise((resolve) => {
      this.process.once("close", (code) => resolve(code));
      this.process.once("error", (error) => resolve(error.message));
    }).then((code) => {
      running.delete(this.process);
      this.connected = false;
      this.ended = true;
      this.#heard.emit("exit");
      return code;
    });
    createInterface({ input: this.process.stdout }).on("line", (line) => this.#take(JSON.parse(line)));
    createInterface({ input: this.process.stderr }).on("line", (line) => this.#errors.push(line));
    // A process that has ended says so by its end.
    this.process.stdin.on("error", () => {});
    this.#tell(auth);
  }

  #take(line) {
    if ("ack" in line) this.#heard.emit(`ack ${line.ack}`, line.data);
    else if (line.event === "presence_update") this.#inbox.arrived({ ...line.data, arrived: Date.now() });
    else if ("event" in line) {
      this.others.push([line.event, line.data]);
      this.#heard.emit(`event ${line.event}`, line.data);
    } else {
      if (line.state !== "refused") this.connected = line.state === "connected";
      this.#heard.emit(line.state, line);
    }
  }

  #tell(line) {
    this.process.stdin.write(`${JSON.stringify(line)}\n`);
  }

  /** The next of this kind. Ask before causing it. */
  first(kind, ms = EVENT_MS) {
    const event = new Promise((resolve, reject) => {
      const ended = () => reject(new Error(`${kind}: the device has ended`));
      if (this.ended) ended();
      this.#heard.once("exit", ended);
      this.#heard.once(kind, (line) => {
        this.#heard.off("exit", ended);
        resolve(line);
      });
    });
    const timed = deadline(event, ms, kind).catch((error) => {
      if (this.#errors.length > 0) error.message += `\n${this.#errors.join("\n")}`;
      throw error;
    });
    // It may fail while somebody waits for something else; whoever awaits it still sees the failure.
    timed.catch(() => {});
    return timed;
  }

  /** The next time this event comes. */
  once(name, ms = EVENT_MS) {
    return this.first(`event ${name}`, ms);
  }

  /** The next `presence_update`, in the order of arrival. */
  next(ms = EVENT_MS) {
    return this.#inbox.next(ms);
  }

  get unread() {
    return this.#inbox.unread;
  }

  /** Sends and returns the acknowledgement. */
  emit(name, payload) {
    this.#acks += 1;
    const ack = this.first(`ack ${this.#acks}`);
    this.#tell({ emit: name, data: payload, ack: this.#acks });
    return ack;
  }

  /** Closes as an app does that is left, and returns the local times around it. */
  async close() {
    const from = Date.now();
    this.#tell({ close: true });
    const code = await deadline(this.exited, EVENT_MS, "the device's end");
    assert.equal(code, 0, this.#errors.join("\n"));
    return { from, to: Date.now() };
  }

  /** Ends the process without a word. */
  abandon() {
    this.process.kill("SIGKILL");
  }
}
