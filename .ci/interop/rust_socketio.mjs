// The scenario with rust_socketio.

import assert from "node:assert/strict";
import { play } from "./lib/scenario.mjs";

const device = process.env.INTEROP_RUST;
assert.ok(device, "INTEROP_RUST must name the program built from rust/");
await play("rust_socketio", [device]);
