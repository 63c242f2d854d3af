// An IRC client of one channel: each WebSocket message is a line of IRC, without CR LF.
const url = new URL(".", location.href); // the relay listens where this page came from
url.protocol = url.protocol.replace("http", "ws");
const channel = `#${location.search.slice(1) || "tea"}`;

const form = document.getElementById("form");
const line = document.getElementById("line");
const log = document.getElementById("log");
const reconnect = document.getElementById("reconnect");
const status = document.getElementById("status");

const MAX_SHOWN = 500; // lines: an open tab must not grow for ever
let nick = `guest${Math.floor(Math.random() * 9000) + 1000}`;
let socket;

function show(text, news = true) {
  // Follow the conversation, unless somebody has scrolled up to read.
  const following = log.scrollHeight - log.scrollTop - log.clientHeight < 20;
  const shown = document.createElement("p");
  shown.textContent = text; // never innerHTML: others wrote it
  shown.dir = "auto";
  if (news) shown.className = "news";
  log.append(shown);
  if (log.childElementCount > MAX_SHOWN) log.firstElementChild.remove();
  if (following) log.scrollTop = log.scrollHeight;
}

// The parts of a line: `:source COMMAND middle… :trailing`, after tags that are skipped.
function parse(text) {
  const [, source, command, rest] = /^(?:@\S+ +)?(?::(\S+) +)?(\S+) *(.*)$/.exec(text) ?? [];
  const [middle, ...trailing] = (` ${rest ?? ""}`).split(" :");
  const words = middle.split(" ").filter((each) => each);
  if (trailing.length > 0) words.push(trailing.join(" :"));
  return { who: source?.split("!")[0], command, words };
}

function join() {
  status.textContent = `Connected as ${nick}, in ${channel}`;
}

function hear(text) {
  const { who, command, words } = parse(text);
  switch (command) {
    case "PING": return socket.send(`PONG :${words[0] ?? ""}`);
    case "001":
      nick = words[0];
      return socket.send(`JOIN ${channel}`);
    case "433": // the nick is somebody's
      if (status.textContent.startsWith("Connected")) return show(words.at(-1));
      nick += "_";
      return socket.send(`NICK ${nick}`);
    case "PRIVMSG": return show(`${who}: ${words[1]}`, false);
    case "NOTICE": return show(words[1]);
    case "JOIN":
      if (who === nick) join();
      return show(`${who} joined`);
    case "PART": return show(`${who} left`);
    case "QUIT": return show(`${who} left: ${words[0]}`);
    case "NICK":
      if (who === nick) {
        nick = words[0];
        join();
      }
      return show(`${who} is now ${words[0]}`);
    case "ERROR": return show(words[0]);
    default: return show(words.slice(1).join(" "));
  }
}

function connect() {
  status.textContent = "Connecting …";
  reconnect.hidden = true;
  socket = new WebSocket(url, "text.ircv3.net");
  socket.onopen = () => {
    socket.send(`NICK ${nick}`);
    socket.send(`USER ${nick} 0 * :In a browser`);
  };
  socket.onmessage = ({ data }) => hear(data);
  socket.onclose = ({ code, reason }) => {
    // 1006 is all a browser says of a connection that failed or broke.
    status.textContent = `Closed: ${code} ${reason || (code === 1006 ? "connection failed" : "")}`;
    reconnect.hidden = false;
  };
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!line.value || socket.readyState !== WebSocket.OPEN) return; // an unsent line stays where it is
  if (line.value.startsWith("/")) {
    socket.send(line.value.slice(1));
  } else {
    socket.send(`PRIVMSG ${channel} :${line.value}`);
    show(`${nick}: ${line.value}`, false); // the server does not repeat it to who said it
  }
  line.value = "";
});

reconnect.addEventListener("click", () => {
  connect();
  line.focus(); // the button goes, the focus needs a place
});

connect();
