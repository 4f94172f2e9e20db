// A runner for scenarios: named steps one after the other, each with a deadline, and one plain line at the end.

const STEP_DEADLINE_MS = 60_000;
const counts = { passed: 0, failed: 0, skipped: 0 };

/** Thrown by a step that cannot run here. */
export class Skip extends Error {}

/** Resolves or rejects as `promise` does, or rejects with `what` after `ms`. */
export function deadline(promise, ms, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Asks until `probe` returns something true, and returns that. For what has no event to wait for. */
export async function eventually(what, probe, ms = 5_000) {
  const until = Date.now() + ms;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > until) throw new Error(`${what}: not within ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Runs one step and prints how it went. Returns whether it passed. */
export async function step(name, run) {
  const begun = Date.now();
  try {
    await deadline(run(), STEP_DEADLINE_MS, name);
    counts.passed += 1;
    console.log(`ok      ${name} (${Date.now() - begun} ms)`);
    return true;
  } catch (error) {
    if (error instanceof Skip) {
      counts.skipped += 1;
      console.log(`skipped ${name}: ${error.message}`);
      return true;
    }
    counts.failed += 1;
    console.log(`FAILED  ${name}`);
    console.log(String(error.stack ?? error).replace(/^/gm, "        "));
    return false;
  }
}

/** Prints the closing line and ends the process; sockets left open do not keep it. */
export function finish() {
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  process.exit(counts.failed === 0 && counts.passed > 0 ? 0 : 1);
}
