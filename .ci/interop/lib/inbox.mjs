// Updates in the order of arrival, and whoever waits for the next one.

import { deadline } from "./runner.mjs";

export class Inbox {
  #waiting = [];
  #updates = [];

  arrived(update) {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(update);
    else this.#updates.push(update);
  }

  /** The next one, in the order of arrival. */
  async next(ms) {
    if (this.#updates.length > 0) return this.#updates.shift();
    let waiting;
    const update = new Promise((resolve) => {
      waiting = resolve;
      this.#waiting.push(waiting);
    });
    try {
      return await deadline(update, ms, "a presence_update");
    } catch (error) {
      this.#waiting = this.#waiting.filter((w) => w !== waiting);
      throw error;
    }
  }

  /** Those that came and that nobody has asked for. */
  get unread() {
    return this.#updates;
  }
}
