// A chat in the browser: shows the lines that come, sends those typed, and says how the connection is.
const url = new URL(".", location.href); // the relay listens where this page came from
url.protocol = url.protocol.replace("http", "ws");

const form = document.getElementById("form");
const line = document.getElementById("line");
const log = document.getElementById("log");
const reconnect = document.getElementById("reconnect");
const status = document.getElementById("status");

const MAX_SHOWN = 500; // lines: an open tab must not grow for ever
let socket;

function show(text) {
  // Follow the conversation, unless somebody has scrolled up to read.
  const following = log.scrollHeight - log.scrollTop - log.clientHeight < 20;
  const shown = document.createElement("p");
  shown.textContent = text; // never innerHTML: others wrote it
  shown.dir = "auto";
  if (text.startsWith("* ")) shown.className = "news";
  log.append(shown);
  if (log.childElementCount > MAX_SHOWN) log.firstElementChild.remove();
  if (following) log.scrollTop = log.scrollHeight;
}

function connect() {
  status.textContent = "Connecting …";
  reconnect.hidden = true;
  socket = new WebSocket(url, "ex3");
  socket.onopen = () => { status.textContent = `Connected (${socket.protocol})`; };
  socket.onmessage = ({ data }) => show(data); // one message is one line
  socket.onclose = ({ code, reason }) => {
    // 1006 is all a browser says of a connection that failed or broke.
    status.textContent = `Closed: ${code} ${reason || (code === 1006 ? "connection failed" : "")}`;
    reconnect.hidden = false;
  };
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!line.value || socket.readyState !== WebSocket.OPEN) return; // an unsent line stays where it is
  socket.send(line.value);
  line.value = "";
});

reconnect.addEventListener("click", () => {
  connect();
  line.focus(); // the button goes, the focus needs a place
});

connect();
