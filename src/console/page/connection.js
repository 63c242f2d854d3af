/* The WebSocket of the path that the page was opened at: one session at a time, and what becomes of it. */

import { explain } from './codes.js';

/** A fragment is for the page alone, and WebSocket's addresses have none. */
export const URL_HERE = location.href.replace(/^http/, 'ws').replace(/#.*$/s, '');

/** What a subprotocol's name is made of (RFC 9110, section 5.6.2). */
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;

/** Whether these can be offered together: names, none twice. */
export function canOffer(protocols) {
  return protocols.every((name) => TOKEN.test(name)) && new Set(protocols).size === protocols.length;
}

/** `on` is told: state(name, words) when that changes, line(kind, data) of all that comes, goes and happens. */
export class Connection {
  #socket = null;
  #on;
  #leaving = false;
  /** What to offer in a session that is to follow this one. */
  #next = null;

  constructor(on) {
    this.#on = on;
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Begins a session, once the one that there is has ended: the lines of two are never mixed. */
  open(protocols) {
    if (this.#socket) {
      this.#next = protocols;
      this.close();
      return;
    }
    const socket = new WebSocket(URL_HERE, protocols);
    this.#socket = socket;
    this.#leaving = false;
    this.#next = null;
    let wasOpen = false;
    socket.binaryType = 'arraybuffer';
    this.#on.state('connecting', 'Connecting…');
    socket.onopen = () => {
      wasOpen = true;
      const words = socket.protocol ? `Connected, subprotocol ${socket.protocol}` : 'Connected';
      this.#on.line('note', words);
      this.#on.state('open', words);
    };
    socket.onmessage = ({ data }) => this.#on.line('down', typeof data === 'string' ? data : new Uint8Array(data));
    socket.onclose = (event) => {
      this.#socket = null;
      this.#closed(event, wasOpen);
      if (this.#next) this.open(this.#next);
    };
  }

  /** Asks the server to end the session, which takes a moment. */
  close() {
    if (!this.#socket) return;
    this.#leaving = true;
    this.#socket.close(1000);
    this.#on.state('closing', 'Closing…');
  }

  send(text) {
    this.#socket.send(text);
    this.#on.line('up', text);
  }

  #closed({ code, reason }, wasOpen) {
    const [name, meaning] = explain(code);
    const why = reason && `: ${reason}`;
    const what = this.#leaving ? 'Closed by you' : wasOpen ? 'Closed' : 'No connection';
    this.#on.line(code === 1000 || code === 1001 ? 'note' : 'bad', `${what}: ${code} ${name} (${meaning})${why}`);
    if (!wasOpen && !this.#leaving) {
      // Browsers keep the status of a refused handshake to themselves.
      this.#on.line('note', 'Why it was refused is in wsrelay’s log; with --refuse close it is also told here.');
    }
    this.#on.state('closed', `${what}: ${code} ${name}${why}`);
  }
}
