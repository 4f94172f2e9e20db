// What every client that is a process of its own goes through: the front end's way from sign-up to a restart.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KNOCKS, absent } from "./absent.mjs";
import { ChildDevice } from "./child.mjs";
import { finish, step } from "./runner.mjs";
import { Server } from "./server.mjs";
import { Stage } from "./stage.mjs";
import { GRACE_MS, instant, near } from "./times.mjs";

const PING_INTERVAL_MS = 1_000;
const PING_TIMEOUT_MS = 4_000;
/** A client that answered no ping would be gone before. */
const IDLE_MS = 2 * PING_INTERVAL_MS + PING_TIMEOUT_MS;
const OPTIONS = [
  ...["--offline-grace", `${GRACE_MS}ms`, "--transition-gap", "0s", "--presence-rate", "0"],
  ...["--ping-interval", `${PING_INTERVAL_MS}ms`, "--ping-timeout", `${PING_TIMEOUT_MS}ms`],
];
const MODES = { default: "default transports", polling: "polling only", websocket: "websocket only" };

/** Puts the client that `command` starts through the scenario in each mode, and ends the process. */
export async function play(client, command) {
  for (const [mode, name] of Object.entries(MODES)) {
    const folder = await mkdtemp(join(tmpdir(), "lastseen-interop-"));
    try {
      await scenario(`${client}, ${name}`, command, mode, join(folder, "x.db"));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  finish();
}

async function scenario(title, command, mode, database) {
  let server;
  let stage;
  const check = (name, run) => step(`${title}: ${name}`, async () => {
    await stage?.clear();
    await run();
  });

  const ready = await check("sign up, follow, connect with a token; the snapshot holds who is online", async () => {
    server = await Server.start(database, OPTIONS);
    stage = await Stage.set(server, (url, auth) => ChildDevice.open(command, url, mode, auth), GRACE_MS);
    const { cal } = stage;
    assert.deepEqual(stage.bea.device.snapshot, [{ userId: cal.id, username: "cal", status: "online" }]);
    assert.deepEqual(cal.device.snapshot, []);
  });
  if (!ready) return;
  const { bea, cal } = stage;
  let quiet;

  await check("online, background and foreground at once, with acks", async () => {
    const { person, device } = await stage.arrival();
    for (const status of ["offline", "online"]) {
      const since = Date.now();
      const ack = await device.emit("update_presence", { status });
      assert.equal(ack.success, true, JSON.stringify(ack));
      const update = await stage.hears(person, status);
      instant(update, since);
      if (status === "offline") near(update.lastSeen, since);
    }
    await device.close();
    await stage.hears(person, "offline");
  });

  await check("offline after the grace, last seen when it closed", async () => {
    const { person, device } = await stage.arrival();
    const { from, to } = await device.close();
    const update = await stage.hears(person, "offline");
    near(update.lastSeen, from, to);
    const waited = update.arrived - Date.parse(update.lastSeen);
    assert.ok(waited > GRACE_MS - 200, `arrived only ${waited} ms after lastSeen`);
    const answer = await server.call("GET", `/users/${person.username}/presence`, { token: bea.token });
    assert.equal(answer.isOnline, false);
    assert.equal(answer.lastSeen, update.lastSeen);
    quiet = { ...person, lastSeen: update.lastSeen };
  });

  await check("a second device makes no event, nor does closing one of two", async () => {
    const { person, device } = await stage.arrival();
    const second = await stage.connect(person);
    await stage.nothingSoFar();
    await device.close();
    await stage.nothingAfterGrace();
    await second.close();
    await stage.hears(person, "offline");
  });

  await check("an app that is killed is offline after the grace", async () => {
    const { person, device } = await stage.arrival();
    const killed = Date.now();
    device.abandon();
    await device.exited;
    const update = await stage.hears(person, "offline", bea.device, PING_INTERVAL_MS + PING_TIMEOUT_MS + 5_000);
    // By polling it is the client's last word that counts, which may be as old as a ping.
    near(update.lastSeen, killed - PING_INTERVAL_MS - PING_TIMEOUT_MS, killed);
  });

  await check("watch and unwatch, with acks", async () => {
    const { person, device } = await stage.arrival();
    const watcher = await stage.connect(await stage.signUp("dee"));
    assert.deepEqual(watcher.snapshot, []);
    const ack = await watcher.emit("watch", { usernames: [person.username, "nobody.of.this.name", cal.username] });
    assert.equal(ack.success, true, JSON.stringify(ack));
    assert.deepEqual(
      ack.data.users.sort((a, b) => b.userId - a.userId),
      [person, cal].map(({ id, username }) => ({ userId: id, username, status: "online" })),
    );
    for (const status of ["offline", "online"]) {
      await device.emit("update_presence", { status });
      await stage.hears(person, status, watcher);
      await stage.hears(person, status);
    }
    const unwatched = await watcher.emit("unwatch", { userIds: [person.id] });
    assert.equal(unwatched.success, true, JSON.stringify(unwatched));
    await device.emit("update_presence", { status: "offline" });
    await stage.hears(person, "offline");
    await stage.nothingSoFar(watcher);
    await watcher.close();
    await device.close();
  });

  await check("bad events fail with a code and change nothing", async () => {
    const bad = [
      ["update_presence", { userId: cal.id, status: "offline" }],
      ["update_presence", { status: "away" }],
      ["watch", 7],
      ["no_such_event", {}],
    ];
    for (const [name, payload] of bad) {
      const ack = await bea.device.emit(name, payload);
      assert.equal(ack.success, false, name);
      assert.match(ack.error.code, /^[a-z_]+$/);
    }
    await stage.nothingSoFar();
    assert.equal((await bea.device.emit("heartbeat", {})).success, true);
  });

  await check("bad tokens are refused", async () => {
    for (const auth of [{ token: "nonsense" }, {}]) {
      assert.match(await ChildDevice.refusal(command, server.url, mode, auth), /unauthorized/);
    }
  });

  await check("sign-out takes effect at once and disconnects for good", async () => {
    const { person, device } = await stage.arrival();
    const revoked = device.once("error");
    const disconnected = device.first("disconnected");
    const since = Date.now();
    await server.call("POST", "/auth/signout", { token: person.token });
    const update = await stage.hears(person, "offline");
    instant(update, since);
    near(update.lastSeen, since);
    assert.equal((await revoked).code, "revoked");
    await disconnected;
    await stage.nothingAfterGrace();
    assert.ok(!device.connected);
    device.abandon();
  });

  await check("an idle client answers pings and stays", async () => {
    const left = await bea.device.first("disconnected", IDLE_MS).then(() => true, () => false);
    assert.ok(!left && bea.device.connected && cal.device.connected);
    await stage.nothingSoFar();
  });

  await check("a restart: told, and both come back by themselves to the same presence", async () => {
    const people = [bea, cal];
    const told = people.map(({ device }) => device.once("server_shutdown", 15_000));
    const back = people.map(({ device }) => device.once("presence_snapshot", 30_000));
    await server.stop();
    for (const { reconnectAfterMs } of await Promise.all(told)) {
      assert.ok(Number.isInteger(reconnectAfterMs) && reconnectAfterMs >= 0, `${reconnectAfterMs}`);
    }
    await absent(server.url, KNOCKS);
    server = await Server.start(database, OPTIONS, server.url);
    stage.server = server;
    const [{ users }] = await Promise.all(back);
    await stage.agrees(cal, users);
    const ask = ({ username }) => server.call("GET", `/users/${username}/presence`, { token: bea.token });
    for (const person of people) assert.equal((await ask(person)).isOnline, true, person.username);
    const { isOnline, lastSeen } = await ask(quiet);
    assert.deepEqual({ isOnline, lastSeen }, { isOnline: false, lastSeen: quiet.lastSeen });
  });

  await check("after it: somebody new comes and goes, and a client that leaves is offline", async () => {
    const { person, device } = await stage.arrival();
    assert.equal((await device.emit("watch", { userIds: [cal.id] })).success, true);
    const { from, to } = await cal.device.close();
    for (const one of [bea.device, device]) near((await stage.hears(cal, "offline", one)).lastSeen, from, to);
    await device.close();
    await stage.hears(person, "offline");
    await bea.device.close();
    await server.stop();
  });
}
