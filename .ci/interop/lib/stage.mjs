// The people of a scenario: Bea, who watches and never leaves, Cal, whose moves are markers, and newcomers.
//
// That nothing arrives is shown by order: Cal makes a move after it, and it must be the next thing Bea hears.

import assert from "node:assert/strict";

export class Stage {
  /** Signs up Bea and Cal and connects both; `open` connects a device: address and payload of CONNECT in. */
  static async set(server, open, graceMs) {
    const stage = Object.assign(new Stage(), { server, open, graceMs, count: 0 });
    stage.bea = await stage.signUp("bea");
    stage.cal = await stage.signUp("cal");
    await stage.follow(stage.bea, stage.cal);
    stage.cal.device = await stage.connect(stage.cal);
    stage.bea.device = await stage.connect(stage.bea);
    return stage;
  }

  async signUp(username) {
    const password = `password of ${username}`;
    const body = { username, password };
    const { token, user } = await this.server.call("POST", "/auth/signup", { body, status: 201 });
    return { username, password, token, id: user.id };
  }

  follow(follower, followee) {
    return this.server.call("POST", `/users/${followee.username}/follow`, { token: follower.token });
  }

  /** Somebody new whom Bea follows, not connected. */
  async newcomer() {
    this.count += 1;
    const person = await this.signUp(`newcomer${this.count}`);
    await this.follow(this.bea, person);
    return person;
  }

  connect(person, more = {}) {
    return this.open(this.server.url, { token: person.token, ...more });
  }

  /** Somebody new whom Bea follows and has seen coming online. */
  async arrival() {
    const person = await this.newcomer();
    const device = await this.connect(person);
    await this.hears(person, "online");
    return { person, device };
  }

  /** The next thing Bea hears is that this person is online or offline. */
  async hears(person, status, device = this.bea.device, ms = this.graceMs + 5_000) {
    const update = await device.next(ms);
    const what = `expected ${person.username} ${status}, heard ${JSON.stringify(update)}`;
    assert.equal(update.userId, person.id, what);
    assert.equal(update.username, person.username, what);
    assert.equal(update.status, status, what);
    assert.match(update.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.equal("lastSeen" in update, status === "offline", what);
    return update;
  }

  /** Bea, back with this snapshot, knows that the person is online: from it, or told after it. */
  async agrees({ id, username }, snapshot) {
    if (snapshot.length === 0) await this.hears({ id, username }, "online");
    else assert.deepEqual(snapshot, [{ userId: id, username, status: "online" }]);
    await this.nothingSoFar();
  }

  /** Nothing has come to Bea up to now: Cal goes to the background and comes back, and that is what she hears next. */
  async nothingSoFar(device = this.bea.device) {
    for (const status of ["offline", "online"]) {
      const ack = await this.cal.device.emit("update_presence", { status });
      assert.equal(ack.success, true, JSON.stringify(ack));
      await this.hears(this.cal, status, device);
    }
  }

  /** Nothing comes to Bea from what happened before, not even after the grace: Cal's own, begun later, runs out first. */
  async nothingAfterGrace() {
    await this.cal.device.close();
    await this.hears(this.cal, "offline");
    this.cal.device = await this.connect(this.cal);
    await this.hears(this.cal, "online");
    await this.nothingSoFar();
  }

  /** Reads away whatever an earlier step has left for Bea, and sees that Cal is there. */
  async clear() {
    if (!this.bea.device?.connected) return;
    if (!this.cal.device.connected) this.cal.device = await this.connect(this.cal);
    await this.cal.device.emit("update_presence", { status: "online" });
    const since = Date.now();
    for (const status of ["offline", "online"]) {
      await this.cal.device.emit("update_presence", { status });
      for (;;) {
        const update = await this.bea.device.next();
        const fresh = Date.parse(update.timestamp) >= since;
        if (fresh && update.userId === this.cal.id && update.status === status) break;
      }
    }
  }

  /** What every way of asking says about a person, to Bea, who has a conversation with them. */
  async everySurface(person) {
    const { token } = this.bea;
    const ask = (path) => this.server.call("GET", path, { token });
    const list = await ask("/messages/conversations");
    assert.ok(Array.isArray(list), "the list of conversations is an array");
    const listed = list.find((one) => one.otherUser?.username === person.username);
    assert.ok(listed, `${person.username} is in the list of conversations`);
    const conversation = await ask(`/messages/conversations/${listed.conversationId}`);
    const queried = await this.server.call("POST", "/presence/query", { token, body: { userIds: [person.id] } });
    const answers = {
      presence: await ask(`/users/${person.username}/presence`),
      profile: await ask(`/users/${person.username}`),
      conversations: listed.otherUser,
      conversation: conversation.participants.find((one) => one.userId === person.id),
      query: queried.users[0],
    };
    return Object.entries(answers).map(([surface, { isOnline, lastSeen }]) => ({ surface, isOnline, lastSeen }));
  }
}
