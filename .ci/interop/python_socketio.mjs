// The scenario with python-socketio.

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { play } from "./lib/scenario.mjs";

const python = process.env.INTEROP_PYTHON;
assert.ok(python, "INTEROP_PYTHON must name a Python in which python-socketio[client] is installed");
await play("python-socketio", [python, fileURLToPath(new URL("python_socketio.py", import.meta.url))]);
