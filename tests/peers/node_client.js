// A client on npm's ws: node_client.js URL [SUBPROTOCOL...] carries out what it reads on stdin and prints what happens.
// Both are one JSON array a line, EVENT or COMMAND first; binary data is {"hex": ...}.
"use strict";
const readline = require("node:readline");
const WebSocket = require("ws");

const [url, ...subprotocols] = process.argv.slice(2);
const client = new WebSocket(url, subprotocols, { handshakeTimeout: 10_000 });

const print = (...event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const pack = (data) => ({ hex: data.toString("hex") });
const unpack = (data) => (typeof data === "string" ? data : Buffer.from(data.hex, "hex"));

client.on("upgrade", ({ headers }) => print("upgrade", headers["sec-websocket-extensions"] ?? null));
client.on("open", () => print("open", client.protocol, client.extensions));
client.on("message", (data, isBinary) => print("message", isBinary ? pack(data) : data.toString()));
client.on("pong", (data) => print("pong", data.toString()));
client.on("ping", () => print("ping"));
client.on("close", (code, reason) => { print("close", code, reason.toString()); process.exit(); });
client.on("error", (error) => print("error", error.message));
client.on("unexpected-response", (_, response) => {
  const parts = [];
  response.on("data", (part) => parts.push(part));
  response.on("end", () => { print("refused", response.statusCode, Buffer.concat(parts).toString()); process.exit(); });
});

const commands = {
  send: (data) => client.send(unpack(data)),
  fragments: (...parts) => parts.forEach((part, n) => client.send(unpack(part), { fin: n === parts.length - 1 })),
  repeat: (text, times) => client.send(text.repeat(times)),
  ping: (data) => client.ping(data),
  close: (code, reason) => client.close(code, reason),
  terminate: () => client.terminate(),
};
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const [name, ...args] = JSON.parse(line);
  commands[name](...args);
});
