// Publish and subscribe in the browser: two sessions, as Redis takes no other commands where somebody is subscribed.
const url = new URL(".", location.href); // the relay listens where this page came from
url.protocol = url.protocol.replace("http", "ws");
const channel = `chat:${location.search.slice(1) || "news"}`;

const line = document.getElementById("line");
const log = document.getElementById("log");
const reconnect = document.getElementById("reconnect");
const status = document.getElementById("status");
document.getElementById("channel").textContent = channel;

const MAX_SHOWN = 500; // lines: an open tab must not grow for ever
const sizes = new TextEncoder();
let publisher, subscriber;

function show(text, news) {
  const following = log.scrollHeight - log.scrollTop - log.clientHeight < 20;
  const shown = document.createElement("p");
  shown.textContent = text; // never innerHTML: others wrote it
  shown.dir = "auto";
  if (news) shown.className = "news";
  log.append(shown);
  if (log.childElementCount > MAX_SHOWN) log.firstElementChild.remove();
  if (following) log.scrollTop = log.scrollHeight;
}

// A reader of RESP2, one line at a time: reply(value) gets each reply; arrays and what they hold are arrays.
function reader(reply) {
  const arrays = []; // those not yet full: { values, left }
  let bulk = null; // a string of `size` bytes that may go over several lines: { size, text }

  function take(value) {
    while (arrays.length > 0) {
      const array = arrays.at(-1);
      array.values.push(value);
      if (--array.left > 0) return;
      value = arrays.pop().values;
    }
    reply(value);
  }

  return (text) => {
    if (bulk) {
      bulk.text = bulk.text === null ? text : `${bulk.text}\n${text}`;
      if (sizes.encode(bulk.text).length < bulk.size) return;
      const whole = bulk.text;
      bulk = null;
      take(whole);
      return;
    }
    const rest = text.slice(1);
    switch (text[0]) {
      case "*": return rest > 0 ? arrays.push({ values: [], left: Number(rest) }) : take([]);
      case "$": return rest >= 0 ? (bulk = { size: Number(rest), text: null }) : take(null);
      case ":": return take(Number(rest));
      case "-": return take(new Error(rest));
      default: return take(rest);
    }
  };
}

// A word of an inline command.
const word = (text) => `"${text.replace(/["\\]/g, "\\$&")}"`;

function open(onreply) {
  const socket = new WebSocket(url);
  const read = reader(onreply);
  socket.onmessage = ({ data }) => read(data);
  socket.onclose = ({ code, reason }) => {
    if (!reconnect.hidden) return; // the other one has said it
    // 1006 is all a browser says of a connection that failed or broke.
    status.textContent = `Closed: ${code} ${reason || (code === 1006 ? "connection failed" : "")}`;
    reconnect.hidden = false;
    publisher.close();
    subscriber.close();
  };
  return socket;
}

function connect() {
  status.textContent = "Connecting …";
  reconnect.hidden = true;
  publisher = open((reply) => {
    if (reply instanceof Error) show(reply.message, true);
    else show(`${reply} heard it`, true);
  });
  subscriber = open((reply) => {
    const [kind, , text] = reply;
    if (reply instanceof Error) show(reply.message, true);
    else if (kind === "subscribe") status.textContent = `Connected, subscribed to ${channel}`;
    else if (kind === "message") show(text);
  });
  subscriber.onopen = () => subscriber.send(`SUBSCRIBE ${word(channel)}`);
}

document.getElementById("publish").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!line.value || publisher.readyState !== WebSocket.OPEN) return; // an unsent line stays where it is
  publisher.send(`PUBLISH ${word(channel)} ${word(line.value)}`);
  line.value = "";
});

reconnect.addEventListener("click", () => {
  connect();
  line.focus(); // the button goes, the focus needs a place
});

connect();
