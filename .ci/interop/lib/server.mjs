// The real binary on a free port and a database of its own, its HTTP API, and its database as `sqlite3` sees it.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { Skip, deadline } from "./runner.mjs";

const BINARY = process.env.LASTSEEN ?? `${process.env.CARGO_TARGET_DIR ?? "target"}/debug/lastseen`;
const running = new Set();

// Whatever way this script ends, no server is left behind.
process.once("exit", () => running.forEach((server) => server.kill("SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));

const START_MS = 20_000;
const STOP_MS = 10_000;

/** The address in a line that the server logs once it listens, else undefined. */
export function addressIn(line) {
  return /listening/i.test(line) ? /http:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0] : undefined;
}

export class Server {
  /** Starts it; `url` of an earlier one asks for the same port. */
  static async start(database, options, url = "http://127.0.0.1:0") {
    const server = new Server();
    server.database = database;
    server.log = [];
    const args = ["serve", "--listen", new URL(url).host, "--database", database, "--log-format", "json", ...options];
    server.process = spawn(BINARY, args, { stdio: ["ignore", "inherit", "pipe"] });
    running.add(server.process);
    server.exited = new Promise((resolve, reject) => {
      server.process.once("error", reject);
      server.process.once("exit", (code, signal) => {
        running.delete(server.process);
        resolve({ code, signal });
      });
    });
    const listening = new Promise((resolve) => {
      createInterface({ input: server.process.stderr }).on("line", (line) => {
        server.log.push(line);
        const address = addressIn(line);
        if (address) resolve(address);
      });
    });
    const ended = server.exited.then(({ code }) => {
      throw new Error(`the server ended with ${code}:\n${server.log.join("\n")}`);
    });
    ended.catch(() => {});
    server.url = await deadline(Promise.race([listening, ended]), START_MS, "the server's address");
    return server;
  }

  /** SIGTERM; asserts a clean exit. */
  async stop() {
    this.process.kill("SIGTERM");
    const { code } = await deadline(this.exited, STOP_MS, "the server's exit");
    assert.equal(code, 0, this.log.slice(-20).join("\n"));
  }

  /** kill -9. */
  async kill() {
    this.process.kill("SIGKILL");
    await deadline(this.exited, STOP_MS, "the server's exit");
  }

  /** One request; asserts the status and the shape, and returns `data`. */
  async call(method, path, { token, body, status = [200, 201] } = {}) {
    const headers = {};
    if (token) headers.authorization = `Bearer ${token}`;
    if (body) headers["content-type"] = "application/json";
    const answer = await fetch(this.url + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    assert.ok([status].flat().includes(answer.status), `${method} ${path}: ${answer.status} ${text}`);
    const parsed = JSON.parse(text);
    assert.equal(parsed.success, answer.ok, text);
    return parsed.data;
  }

  /** Rows of a query as arrays of text, read beside the running server. */
  async sql(query) {
    try {
      const args = ["-readonly", "-batch", "-cmd", ".timeout 2000", this.database, query];
      const { stdout } = await promisify(execFile)("sqlite3", args);
      return stdout.split("\n").filter(Boolean).map((row) => row.split("|"));
    } catch (error) {
      if (error.code === "ENOENT") throw new Skip("there is no sqlite3 here");
      throw error;
    }
  }
}
