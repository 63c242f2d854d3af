// node.js SCENARIO PACKAGE URL FACTS: plays a scenario with a client library in Node, and prints what it tells as JSON.
"use strict";
const [name, library, url, facts] = process.argv.slice(2);

globalThis.WebSocket = require("ws");
require(`./${name}.js`);
if (library === "irc-framework") {
  require(library).Client.setDefaultTransport(require("irc-framework/src/transports/websocket"));
}
globalThis.scenario(require(library), new URL(url), JSON.parse(facts)).then((told) => {
  process.stdout.write(`${JSON.stringify(told)}\n`);
  process.exit();
});
