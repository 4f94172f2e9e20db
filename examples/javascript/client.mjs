// Who is online, in a few lines: npm install socket.io-client; node client.mjs http://127.0.0.1:8080 TOKEN
import { io } from "socket.io-client";

const [url, token] = process.argv.slice(2);
const socket = io(url, { auth: { token } });

socket.on("presence_snapshot", ({ users }) => console.log("online now:", users.map((user) => user.username)));
socket.on("presence_update", ({ username, status, lastSeen }) => console.log(username, status, lastSeen ?? ""));
socket.on("connect_error", (error) => console.error("not connected:", error.message));
