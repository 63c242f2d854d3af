// A MUD in the browser. With the subprotocol gmcp.mudstandards.org, binary messages are the game's text, without
// telnet's commands, and text messages are GMCP: `Package.Name {json}`.
const url = new URL(".", location.href); // the relay listens where this page came from
url.protocol = url.protocol.replace("http", "ws");

const find = (id) => document.getElementById(id);
const [line, log, reconnect, status] = ["line", "log", "reconnect", "status"].map(find);

const MAX_SHOWN = 1000; // lines: an open tab must not grow for ever
const encoder = new TextEncoder();
let socket, decoder, open, style;

// The colours of ANSI, which go on until they are changed: `style` has the classes of what comes.
function paint(codes) {
  for (const code of (codes || "0").split(";").map(Number)) {
    if (code === 0) style = { colour: "", bold: false };
    else if (code === 1) style.bold = true;
    else if (code === 22) style.bold = false;
    else if (code === 39) style.colour = "";
    else if (code >= 30 && code <= 37) style.colour = `c${code - 30}`;
    else if (code >= 90 && code <= 97) style.colour = `c${code - 90}`;
  }
}

// Text goes to the end of the open line; an end of line closes it.
function show(text) {
  const following = log.scrollHeight - log.scrollTop - log.clientHeight < 20;
  for (const part of text.split(/(\x1b\[[\d;]*[A-Za-z]|\r?\n|\n\r)/)) {
    if (/^[\r\n]+$/.test(part)) {
      open ??= log.appendChild(document.createElement("p"));
      open = null;
    } else if (part.startsWith("\x1b[")) {
      if (part.endsWith("m")) paint(part.slice(2, -1));
    } else if (part) {
      open ??= log.appendChild(document.createElement("p"));
      const shown = document.createElement("span");
      shown.textContent = part; // never innerHTML: others wrote it
      shown.className = `${style.colour} ${style.bold ? "bold" : ""}`.trim();
      open.append(shown);
    }
  }
  while (log.childElementCount > MAX_SHOWN) log.firstElementChild.remove();
  if (following) log.scrollTop = log.scrollHeight;
}

function send(text) {
  if (socket.readyState !== WebSocket.OPEN) return false;
  socket.send(encoder.encode(text)); // binary: a line for the game
  show(line.type === "password" ? "\n" : `${text}\n`);
  return true;
}

// What GMCP says. A package that is not here is none of ours.
const packages = {
  "Room.Info": ({ name, exits }) => {
    find("room").textContent = name;
    find("exits").replaceChildren(...exits.map((exit) => {
      const button = document.createElement("button");
      button.textContent = exit;
      button.onclick = () => { send(exit); };
      return button;
    }));
  },
  "Char.Vitals": ({ hp, maxhp }) => {
    Object.assign(find("hp"), { max: maxhp, value: hp });
    find("points").textContent = `${hp} of ${maxhp}`;
    find("health").hidden = false;
  },
  // The relay's own: whether the game shows what is typed. It does not while it asks for a password.
  "Client.Echo": (echo) => {
    line.type = echo ? "password" : "text";
    find("asked").textContent = echo ? "Your password" : "Your command";
  },
};

function gmcp(text) {
  const [, name, value] = /^(\S+)\s*([^]*)$/.exec(text);
  try {
    packages[name]?.(JSON.parse(value));
  } catch (error) {
    console.warn(`GMCP ${name}: ${error.message}`);
  }
}

function connect() {
  status.textContent = "Connecting …";
  reconnect.hidden = true;
  decoder = new TextDecoder();
  open = null;
  paint("0");
  packages["Client.Echo"](false);
  socket = new WebSocket(url, "gmcp.mudstandards.org");
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    status.textContent = "Connected";
    socket.send('Core.Hello {"client":"wsrelay example","version":"1"}');
    socket.send('Core.Supports.Set ["Room 1","Char 1"]');
  };
  socket.onmessage = ({ data }) => {
    if (typeof data === "string") gmcp(data);
    else show(decoder.decode(data, { stream: true }));
  };
  socket.onclose = ({ code, reason }) => {
    // 1006 is all a browser says of a connection that failed or broke.
    status.textContent = `Closed: ${code} ${reason || (code === 1006 ? "connection failed" : "")}`;
    reconnect.hidden = false;
  };
}

find("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (send(line.value)) line.value = ""; // an empty line is one, too
});

reconnect.addEventListener("click", () => {
  connect();
  line.focus(); // the button goes, the focus needs a place
});

connect();
