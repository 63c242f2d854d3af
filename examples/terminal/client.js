// A terminal in the browser, by xterm.js.
import { AttachAddon } from "./packages/@xterm/addon-attach/lib/addon-attach.mjs";
import { Terminal } from "./packages/@xterm/xterm/lib/xterm.mjs";

const url = new URL(".", location.href); // the relay listens where this page came from
url.protocol = url.protocol.replace("http", "ws");

const status = document.getElementById("status");
const enter = document.getElementById("enter");
const reconnect = document.getElementById("reconnect");

// Telnet's size is 80 by 24 where none is said. On a narrow screen the letters are as small as they can be read.
const terminal = new Terminal({
  cols: 80, rows: 24, fontSize: innerWidth < 700 ? 11 : 16, screenReaderMode: true, minimumContrastRatio: 4.5,
  cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
});
terminal.open(document.getElementById("terminal"));
// One key is ours: without it, the keyboard could not leave the terminal.
terminal.attachCustomKeyEventHandler((event) => {
  if (event.key === "F8" && event.type === "keydown") enter.focus();
  return event.key !== "F8";
});

function connect() {
  status.textContent = "Connecting …";
  reconnect.hidden = true;
  terminal.reset();
  const socket = new WebSocket(url);
  const attached = new AttachAddon(socket);
  terminal.loadAddon(attached);
  socket.addEventListener("open", () => {
    status.textContent = "Connected";
    enter.hidden = false;
    terminal.focus();
  });
  socket.addEventListener("close", ({ code, reason }) => {
    // 1006 is all a browser says of a connection that failed or broke.
    status.textContent = `Closed: ${code} ${reason || (code === 1006 ? "connection failed" : "")}`;
    enter.hidden = true;
    reconnect.hidden = false;
    attached.dispose();
  });
}

enter.addEventListener("click", () => terminal.focus());
reconnect.addEventListener("click", connect);

connect();
