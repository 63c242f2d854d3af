// FizzBuzz in the browser: the server talks by itself, the page shows it and answers when asked to.
const url = new URL(".", location.href); // the relay listens where this page came from
url.protocol = url.protocol.replace("http", "ws");

const count = document.getElementById("count");
const before = document.getElementById("before");
const form = document.getElementById("form");
const number = document.getElementById("number");
const status = document.getElementById("status");
const recent = [];

const socket = new WebSocket(url, "ex2");
socket.onopen = () => { status.textContent = `Connected to ${url}`; };
socket.onclose = ({ code, reason }) => { status.textContent = `Closed: ${code} ${reason}`; };
socket.onmessage = ({ data }) => {
  if (data.startsWith("? ")) { // the server did not understand
    status.textContent = `Please ${data.slice(2)}`;
    return;
  }
  before.textContent = recent.join(", ");
  count.textContent = data;
  recent.unshift(data);
  recent.length = Math.min(recent.length, 14);
};

form.onsubmit = (event) => {
  event.preventDefault();
  if (socket.readyState !== WebSocket.OPEN) return; // the number stays where it is
  socket.send(number.value);
  status.textContent = "";
  number.value = "";
};
