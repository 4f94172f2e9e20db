// The front end's scenario with the stock JavaScript client, against the real binary, over each way it can connect.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KNOCKS, absent } from "./lib/absent.mjs";
import { Device, dial, refusal } from "./lib/device.mjs";
import { deadline, eventually, finish, step } from "./lib/runner.mjs";
import { Server } from "./lib/server.mjs";
import { Stage } from "./lib/stage.mjs";
import { GRACE_MS, NEAR_MS, instant, near } from "./lib/times.mjs";

/** The server renews its proof of life every 5 s. */
const PROOF_MS = 6_000;
const OPTIONS = ["--offline-grace", "1s", "--transition-gap", "0s", "--presence-rate", "0"];

const MODES = [
  ["default transports", undefined],
  ["polling only", ["polling"]],
  ["websocket only", ["websocket"]],
];

async function scenario(mode, transports, folder) {
  const database = join(folder, "x.db");
  let server;
  let stage;
  const check = (name, run) => step(`${mode}: ${name}`, async () => {
    await stage?.clear();
    await run();
  });

  const ready = await check("sign up, follow, connect; the snapshot holds who is online", async () => {
    server = await Server.start(database, OPTIONS);
    stage = await Stage.set(server, (url, auth) => Device.open(url, transports, auth), GRACE_MS);
    const [only, ...rest] = stage.bea.device.snapshot;
    assert.deepEqual(rest, []);
    assert.equal(only.userId, stage.cal.id);
    assert.equal(only.username, "cal");
    assert.equal(only.status, "online");
    assert.deepEqual(stage.cal.device.snapshot, []);
  });
  if (!ready) return;
  const { bea, cal } = stage;

  await check("online once; a second device makes no event, nor does closing one of two", async () => {
    const ann = await stage.newcomer();
    // As a follower and a partner Bea is in the audience twice, and must be told once.
    await server.call("POST", "/messages/conversations", { token: bea.token, body: { participants: [ann.username] } });
    const phone = await stage.connect(ann, { deviceId: "phone", deviceType: "ios" });
    await stage.hears(ann, "online");
    assert.ok(phone.snapshot.some((one) => one.userId === bea.id), "partners see each other");
    const laptop = await stage.connect(ann, { deviceId: "laptop", deviceType: "web" });
    await stage.nothingSoFar();
    await laptop.close();
    await stage.nothingAfterGrace();
    assert.ok(!phone.unread.some((update) => update.userId === ann.id), "never told of itself");
    await phone.close();
    await stage.hears(ann, "offline");
  });

  await check("offline after the grace, last seen when it closed; every answer says the same", async () => {
    const ann = await stage.newcomer();
    await server.call("POST", "/messages/conversations", { token: bea.token, body: { participants: [ann.username] } });
    const device = await stage.connect(ann);
    await stage.hears(ann, "online");
    for (const { surface, isOnline } of await stage.everySurface(ann)) assert.equal(isOnline, true, surface);
    const { from, to } = await device.close();
    const update = await stage.hears(ann, "offline");
    near(update.lastSeen, from, to);
    const waited = update.arrived - Date.parse(update.lastSeen);
    assert.ok(waited > GRACE_MS - 200, `arrived only ${waited} ms after lastSeen`);
    for (const { surface, isOnline, lastSeen } of await stage.everySurface(ann)) {
      assert.deepEqual({ isOnline, lastSeen }, { isOnline: false, lastSeen: update.lastSeen }, surface);
    }
    const query = `SELECT is_online, last_seen FROM users WHERE id = ${ann.id}`;
    const expected = `0|${Date.parse(update.lastSeen)}`;
    await eventually("the database follows", async () => (await server.sql(query))[0].join("|") === expected, 2_000);
  });

  await check("a reload within the grace makes no event", async () => {
    const { person, device } = await stage.arrival();
    await device.close();
    const reloaded = await stage.connect(person);
    await stage.nothingAfterGrace();
    const { isOnline } = await server.call("GET", `/users/${person.username}/presence`, { token: bea.token });
    assert.equal(isOnline, true);
    await reloaded.close();
    await stage.hears(person, "offline");
  });

  await check("update_presence takes effect at once", async () => {
    const { person, device } = await stage.arrival();
    for (const status of ["offline", "online", "offline"]) {
      const since = Date.now();
      const ack = await device.emit("update_presence", { status });
      assert.equal(ack.success, true);
      assert.ok("data" in ack, "an ack has data");
      const update = await stage.hears(person, status);
      instant(update, since);
      if (status === "offline") near(update.lastSeen, since);
    }
    await device.close();
    await stage.nothingAfterGrace();
  });

  await check("bad events fail with a code and change nothing", async () => {
    const { person, device } = await stage.arrival();
    const heartbeat = await device.emit("heartbeat", {});
    assert.equal(heartbeat.success, true);
    const other = await device.emit("update_presence", { userId: cal.id, status: "offline" });
    assert.equal(other.success, false);
    assert.equal(other.error.code, "forbidden");
    for (const [name, payload] of [["no_such_event", {}], ["update_presence", { status: "away" }], ["watch", 7]]) {
      const ack = await device.emit(name, payload);
      assert.equal(ack.success, false, name);
      assert.match(ack.error.code, /^[a-z_]+$/);
      assert.equal(typeof ack.error.message, "string");
    }
    await stage.nothingSoFar();
    assert.ok(device.socket.connected);
    await device.emit("update_presence", { userId: person.id, status: "offline" });
    await stage.hears(person, "offline");
    await device.close();
  });

  await check("sign-out takes effect at once and disconnects", async () => {
    const { person, device } = await stage.arrival();
    const disconnected = device.once("disconnect");
    const since = Date.now();
    await server.call("POST", "/auth/signout", { token: person.token });
    const update = await stage.hears(person, "offline");
    instant(update, since);
    near(update.lastSeen, since);
    assert.equal(await disconnected, "io server disconnect");
    const error = device.others.find(([name]) => name === "error");
    assert.equal(error?.[1].code, "revoked");
    await stage.nothingAfterGrace();
    await server.call("GET", "/users/me", { token: person.token, status: 401 });
    assert.equal(await refusal(server.url, transports, { token: person.token }), "unauthorized");
    const { username, password } = person;
    const { token } = await server.call("POST", "/auth/signin", { body: { username, password }, status: 200 });
    const again = await stage.connect({ ...person, token });
    await stage.hears(person, "online");
    await again.emit("update_presence", { status: "offline" });
    await stage.hears(person, "offline");
    await again.close();
  });

  await check("bad tokens and other namespaces are refused", async () => {
    assert.equal(await refusal(server.url, transports, { token: "nonsense" }), "unauthorized");
    assert.equal(await refusal(server.url, transports, {}), "unauthorized");
    assert.equal(await refusal(`${server.url}/other`, transports, { token: bea.token }), "Invalid namespace");
  });

  await check("a stranger watches, is told of changes, and of none after unwatch", async () => {
    const { person, device } = await stage.arrival();
    const dee = await stage.signUp("dee");
    const watcher = await stage.connect(dee);
    assert.deepEqual(watcher.snapshot, []);
    const ack = await watcher.emit("watch", { usernames: [person.username, "nobody.of.this.name", cal.username] });
    assert.equal(ack.success, true, JSON.stringify(ack));
    const seen = ack.data.users.map(({ userId, username, status }) => ({ userId, username, status }));
    assert.deepEqual(
      seen.sort((a, b) => b.userId - a.userId),
      [person, cal].map(({ id, username }) => ({ userId: id, username, status: "online" })),
    );
    for (const status of ["offline", "online"]) {
      await device.emit("update_presence", { status });
      await stage.hears(person, status, watcher);
      await stage.hears(person, status);
    }
    assert.equal((await watcher.emit("unwatch", { userIds: [person.id] })).success, true);
    await device.emit("update_presence", { status: "offline" });
    await stage.hears(person, "offline");
    await stage.nothingSoFar(watcher);
    await watcher.close();
    await device.close();
  });

  await check("a restart: told, closed without a DISCONNECT, and both come back by themselves to the same", async () => {
    const people = [bea, cal];
    const { person: quiet, device } = await stage.arrival();
    await device.close();
    const { lastSeen: before } = await stage.hears(quiet, "offline");
    const told = people.map(({ device }) => device.once("server_shutdown", 15_000));
    const disconnected = people.map(({ device }) => device.once("disconnect", 15_000));
    const back = people.map(({ device }) => device.once("presence_snapshot", 30_000));
    await server.stop();
    for (const { reconnectAfterMs } of await Promise.all(told)) {
      assert.ok(Number.isInteger(reconnectAfterMs) && reconnectAfterMs >= 0, `${reconnectAfterMs}`);
    }
    for (const reason of await Promise.all(disconnected)) {
      assert.ok(!/^io /.test(reason), `the client would not come back after: ${reason}`);
    }
    await absent(server.url, KNOCKS);
    server = await Server.start(database, OPTIONS, server.url);
    stage.server = server;
    const [{ users }] = await Promise.all(back);
    await stage.agrees(cal, users);
    const ask = ({ username }) => server.call("GET", `/users/${username}/presence`, { token: bea.token });
    for (const person of people) assert.equal((await ask(person)).isOnline, true, person.username);
    const { isOnline, lastSeen } = await ask(quiet);
    assert.deepEqual({ isOnline, lastSeen }, { isOnline: false, lastSeen: before });
  });

  await check("sessions of the stopped server ended as shutdown", async () => {
    const rows = await server.sql("SELECT end_reason, count(*) FROM sessions GROUP BY 1 ORDER BY 1");
    const counts = Object.fromEntries(rows);
    assert.ok(counts.shutdown >= 2, JSON.stringify(counts));
    assert.ok(!("crash" in counts) && counts.client > 0 && counts.signout > 0, JSON.stringify(counts));
  });

  await check("kill -9 with people online: nobody is left online, last seen at the last proof of life", async () => {
    const ann = await stage.newcomer();
    const device = await stage.connect(ann);
    await stage.hears(ann, "online");
    // Longer than the database takes to follow.
    await stage.nothingAfterGrace();
    for (const one of [device, bea.device, cal.device]) one.abandon();
    const killed = Date.now();
    await server.kill();
    server = await Server.start(database, OPTIONS, server.url);
    stage.server = server;
    for (const { username } of [ann, bea]) {
      const { isOnline, lastSeen } = await server.call("GET", `/users/${username}/presence`, { token: bea.token });
      assert.equal(isOnline, false, username);
      const at = Date.parse(lastSeen);
      assert.ok(at >= killed - PROOF_MS && at <= killed + NEAR_MS, `${username}: ${lastSeen}, killed ${killed}`);
    }
  });

  await check("the killed server's sessions ended as crash", async () => {
    const [[online]] = await server.sql("SELECT count(*) FROM users WHERE is_online <> 0");
    assert.equal(online, "0");
    const rows = await server.sql("SELECT coalesce(end_reason, 'open'), count(*) FROM sessions GROUP BY 1 ORDER BY 1");
    const counts = Object.fromEntries(rows);
    assert.ok(counts.crash >= 2 && !("open" in counts), JSON.stringify(counts));
    const [[integrity]] = await server.sql("PRAGMA integrity_check");
    assert.equal(integrity, "ok");
  });

  await check("people come back after the crash", async () => {
    const socket = dial(server.url, transports, { token: bea.token });
    const snapshot = new Promise((resolve) => socket.once("presence_snapshot", resolve));
    assert.deepEqual((await deadline(snapshot, 5_000, "a snapshot")).users, []);
    socket.disconnect();
    await server.stop();
  });
}

for (const [mode, transports] of MODES) {
  const folder = await mkdtemp(join(tmpdir(), "lastseen-interop-"));
  try {
    await scenario(mode, transports, folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
finish();
