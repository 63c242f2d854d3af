// node.js SCENARIO PACKAGE URL FACTS: plays a scenario with a client library in Node, and prints what it tells as JSON.
"use strict";
const [name, library, url, facts] = process.argv.slice(2);

const WebSocket = require("ws");

// With an Origin, as browsers send one.
globalThis.WebSocket = class extends WebSocket {
  constructor(to, protocols) { super(to, protocols, { origin: "http://localhost" }); }
};
require(`./${name}.js`);
if (library === "irc-framework") {
  require(library).Client.setDefaultTransport(require("irc-framework/src/transports/websocket"));
}
globalThis.scenario(require(library), new URL(url), JSON.parse(facts)).then((told) => {
  process.stdout.write(`${JSON.stringify(told)}\n`);
  process.exit();
});
