// A desktop in the browser, by noVNC.
import RFB from "./packages/@novnc/novnc/core/rfb.js";

const url = new URL(".", location.href); // the relay listens where this page came from
url.search = location.search; // ?token=NAME chooses one of several desktops, where the relay has a file of them
url.protocol = url.protocol.replace("http", "ws");

const screen = document.getElementById("screen");
const status = document.getElementById("status");
const enter = document.getElementById("enter");
const reconnect = document.getElementById("reconnect");
let desktop;

function connect() {
  status.textContent = "Connecting …";
  reconnect.hidden = true;
  // noVNC says only whether the end was clean, so the socket is made here, and its close event says why.
  const socket = new WebSocket(url, "binary");
  let why = "connection failed";
  socket.addEventListener("close", ({ code, reason }) => {
    why = `${code} ${reason || (code === 1006 ? "connection failed" : "")}`;
  });
  desktop = new RFB(screen, socket);
  desktop.scaleViewport = true;
  desktop.addEventListener("connect", () => {
    status.textContent = "Connected";
    enter.hidden = false;
    if (document.activeElement === document.body) desktop.focus();
  });
  desktop.addEventListener("securityfailure", ({ detail }) => { why = detail.reason ?? "not allowed"; });
  desktop.addEventListener("disconnect", () => {
    status.textContent = `Closed: ${why}`;
    enter.hidden = true;
    reconnect.hidden = false;
  });
}

// One key is ours: without it, the keyboard could not leave the desktop.
addEventListener("keydown", (event) => {
  if (event.key !== "F8" || !screen.contains(document.activeElement)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  enter.focus();
}, true);

enter.addEventListener("click", () => desktop.focus());
reconnect.addEventListener("click", connect);

connect();
