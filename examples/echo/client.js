// Echo in the browser: what a WebSocket client of a line server needs, and no more.
const url = new URL(".", location.href); // the relay listens where this page came from
url.protocol = url.protocol.replace("http", "ws");

const form = document.getElementById("form");
const line = document.getElementById("line");
const log = document.getElementById("log");
const status = document.getElementById("status");

const socket = new WebSocket(url, "ex1");
socket.onopen = () => { status.textContent = `Connected to ${url}`; };
socket.onclose = ({ code, reason }) => { status.textContent = `Closed: ${code} ${reason}`; };
socket.onmessage = ({ data }) => {
  const shown = document.createElement("p");
  shown.textContent = data; // one message is one line, without its end of line
  log.prepend(shown);
};

form.onsubmit = (event) => {
  event.preventDefault();
  if (socket.readyState !== WebSocket.OPEN) return; // the text stays where it is
  socket.send(line.value);
  line.value = "";
};
