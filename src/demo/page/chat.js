/* The chat page: one WebSocket, over which each message is one line of the chat, and the view of it. */
'use strict';

const ROOMS = ['lobby', 'tea', 'games'];
const APP = 'wsrelay demo';
const KEY = 'wsrelay-demo-name';
const LINES_KEPT = 500;
const PEOPLE_SHOWN = 100;
/** As many lines as the server repeats to those who join. */
const LAST_LINES = 20;
const SAME_SPEAKER_MS = 5 * 60_000;
const RETRY_MS = { first: 500, most: 15_000 };
/** A guest who takes a name that soon after joining has brought it along. */
const GUEST_MS = 2_000;
const CONNECT_MS = 10_000;
/** A connection that lasts less counts as one more failure: a server that closes at once is not to be hammered. */
const GOOD_MS = 5_000;
const CODES = {
  1000: 'closed', 1001: 'the server went away', 1005: 'closed without a reason', 1006: 'it broke off', 1008: 'refused', 1009: 'a message was too long', 1011: 'the server failed', 1012: 'the server restarts',
  1013: 'try again later',
};

const $ = (id) => document.getElementById(id);
const log = $('log');
const text = $('text');

/* ---- What we know ---- */

let ws = null;
/** The room we want to be in; the one we are in, or '' before the server has said so. */
let wanted = roomInAddress();
let here = '';
/** The name we want; the one we have; the one asked for in the form. */
let wish = '';
let me = '';
let asking = '';
/** The wish that was refused here: it is not repeated until its holder leaves. */
let refused = '';
const people = new Set();
/** What we said and have not seen come back. */
let unsure = [];
let whoAsked = 0;
let quitting = false;
let fails = 0;
let openedAt = 0;
let retryAt = 0;
let ticker = 0;
/** Lines of the past: how many are still to come, and those that came. */
let pastToCome = 0;
let past = [];
/** The last lines said in the room shown, to tell which of the past are new. */
let said = [];
let lastSpoken = { who: '', at: 0 };
let lastJoin = { who: '', at: 0, node: null };
let hinted = false;
let unread = 0;
let below = 0;

/* ---- Storage and address ---- */

function storages() {
  // The name of this tab first: two windows of one browser can be two people.
  return ['sessionStorage', 'localStorage'];
}

function storedName() {
  for (const kind of storages()) {
    try {
      const name = window[kind].getItem(KEY);
      if (name) return name;
    } catch { /* Blocked: the name lasts as long as the page. */ }
  }
  return '';
}

function storeName(name) {
  for (const kind of storages()) {
    try {
      window[kind].setItem(KEY, name);
    } catch { /* As above. */ }
  }
}

/** The one spelling of a room's name, or '' for what can't be one. The server has the last word. */
function roomName(typed) {
  const name = typed.trim().replace(/^#/, '').toLowerCase();
  return [...name].length <= 24 && /^[^\s:/*.][^\s:/]*$/.test(name) ? name : '';
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return '';
  }
}

/** From `/room/NAME`, `?room=NAME` or `#NAME`. */
function roomInAddress() {
  const path = location.pathname.match(/^\/room\/([^/]+)\/?$/);
  const query = new URLSearchParams(location.search).get('room');
  return roomName(path ? decode(path[1]) : query ?? decode(location.hash.slice(1))) || ROOMS[0];
}

const pathOf = (room) => '/room/' + encodeURIComponent(room);

/* ---- The connection ---- */

const isOpen = () => ws !== null && ws.readyState === WebSocket.OPEN;

function connect() {
  clearInterval(ticker);
  retryAt = 0;
  quitting = false;
  const socket = new WebSocket((location.protocol === 'https:' ? 'wss:' : 'ws:') + '//' + location.host + '/chat');
  ws = socket;
  const giveUp = setTimeout(() => socket.close(), CONNECT_MS);
  openedAt = 0;
  if (fails === 0) showState('connecting', 'Connecting…');
  else $('retry').hidden = true;
  socket.onopen = () => {
    clearTimeout(giveUp);
    openedAt = Date.now();
    showState('open', 'Connected');
    speak('Connected');
    refused = '';
    socket.send('/join ' + wanted);
  };
  socket.onmessage = (event) => receive(String(event.data));
  socket.onclose = (event) => {
    clearTimeout(giveUp);
    closed(event);
  };
}

function closed(event) {
  const silent = event.code === 1006 && !openedAt;
  const words = silent ? 'the server does not answer' : event.reason || CODES[event.code] || 'closed';
  const reason = `${words} (${event.code})`;
  const what = quitting ? 'You have left' : openedAt ? 'Connection lost' : 'No connection';
  fails = openedAt && Date.now() - openedAt > GOOD_MS ? 1 : fails + 1;
  speak('');
  if (openedAt) news(`${what}: ${reason}`);
  else if (fails === 1) speak(`${what}: ${reason}`);
  me = '';
  asking = '';
  pastToCome = 0;
  people.clear();
  showPeople();
  showMe();
  keepUnsure();
  if (quitting) {
    showState('lost', `${what}: ${reason}`, 'Join again');
    return;
  }
  const longest = Math.min(RETRY_MS.most, RETRY_MS.first * 2 ** (fails - 1));
  retryAt = Date.now() + longest * (0.5 + Math.random() / 2);
  const tick = () => {
    const seconds = Math.ceil((retryAt - Date.now()) / 1000);
    if (seconds <= 0) connect();
    else showState('lost', `${what}: ${reason}. Trying again in ${seconds} s`, 'Try now');
  };
  clearInterval(ticker);
  ticker = setInterval(tick, 250);
  tick();
}

/** Doesn't wait for the next attempt. */
function hurry() {
  if (retryAt) connect();
}

function showState(state, words, button) {
  $('state').dataset.state = state;
  if ($('state-text').textContent !== words) $('state-text').textContent = words;
  const hadFocus = document.activeElement === $('retry');
  $('retry').hidden = !button;
  if (button) $('retry').textContent = button;
  else if (hadFocus) text.focus();
}

/** For screen readers: the state is shown in words that change each second, and said once. */
function speak(words) {
  $('spoken').textContent = words;
}

/* ---- What the server says ---- */

/** What the server says by itself; the first pattern that fits. Nobody can say such a line, not even with /me. */
const NOTICES = [
  [/^welcome /, () => {}],
  [/^you are (\S+) in (\S+)$/, placed],
  [/^here: (.*)$/, peopleListed],
  [/^last (\d+) lines?:$/, (count) => { pastToCome = Number(count); past = []; }],
  [/^(\S+) joined$/, joined],
  [/^(\S+) left( \(too slow\))?$/, left],
  [/^(\S+) is now (\S+)$/, renamed],
  [/^name (.*)$/, nameRefused],
  [/^room (.*)$/, roomRefused],
  [/^help: (.*)$/, (words) => answer(words)],
  [/^line (.*)$/, (why) => { unsure.shift(); answer(`Line ${why}`); }],
];

function receive(line) {
  if (pastToCome > 0) {
    past.push(line);
    pastToCome -= 1;
    if (pastToCome === 0) showPast();
    return;
  }
  if (!line.startsWith('* ')) {
    showSaid(line, true);
    return;
  }
  const notice = line.slice(2);
  for (const [pattern, act] of NOTICES) {
    const match = notice.match(pattern);
    if (match) {
      act(...match.slice(1));
      return;
    }
  }
  if (people.has(notice.split(' ', 1)[0])) showSaid(line, true);
  else answer(notice);
}

function placed(name, room) {
  const isNew = room !== here;
  me = name;
  wanted = room;
  if (isNew) showRoom(room);
  here = room;
  showMe();
  if (asking === name) nameAccepted(name);
  else if (wish && name !== wish && refused !== wish) ws.send('/name ' + wish);
}

function peopleListed(names) {
  people.clear();
  names.split(', ').forEach((name) => people.add(name));
  showPeople();
  if (whoAsked > 0) {
    whoAsked -= 1;
    answer('here: ' + names);
  }
}

function joined(name) {
  people.add(name);
  showPeople();
  lastJoin = { who: name, at: Date.now(), node: news(joinWords(name)) };
  if (name === me && people.size === 1 && !hinted) {
    hinted = true;
    news('You are the first one here. Open this page in a second window to see both sides.', false);
  }
}

const joinWords = (name) => (name === me ? `You joined as ${name}` : `${name} joined`);

function left(name, tooSlow = '') {
  people.delete(name);
  showPeople();
  news(`${name} left${tooSlow}`);
  if (wish && me !== wish && name.toLowerCase() === wish.toLowerCase()) ws.send('/name ' + wish);
}

function renamed(old, name) {
  const mine = old === me;
  people.delete(old);
  people.add(name);
  showPeople();
  if (mine) {
    me = name;
    nameAccepted(name);
  }
  // Who comes is a guest for a moment: one line is enough for both.
  const isArrival = lastJoin.who === old && /^guest-\d+$/.test(old) && Date.now() - lastJoin.at < GUEST_MS;
  if (isArrival && lastJoin.node.isConnected) {
    lastJoin.node.firstChild.textContent = joinWords(name);
  } else {
    news(mine ? `You are now ${name}` : `${old} is now ${name}`);
  }
}

function nameRefused(why) {
  const taken = why.match(/^(\S+) is taken here$/);
  refused = taken ? taken[1] : asking || wish;
  const words = taken ? `The name ${taken[1]} is taken here. Choose another one?` : `A name ${why}`;
  const asked = asking !== '';
  asking = '';
  openNameForm(asked);
  $('name').setAttribute('aria-invalid', 'true');
  note('name-note', words, true);
}

function roomRefused(why) {
  const name = wanted;
  const words = why === 'is full' ? `The room ${name} is full` : `Room ${why}`;
  note('room-note', words, true);
  answer(words);
  if (here) {
    wanted = here;
    history.replaceState(null, '', pathOf(here));
  }
}

/* ---- The messages ---- */

function make(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

function clock(now = new Date()) {
  const node = make('time', '', now.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }));
  node.dateTime = now.toISOString();
  return node;
}

const colour = (name) => 'c' + ([...name].reduce((sum, c) => sum * 31 + c.codePointAt(0), 7) >>> 0) % 6;

const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 48;

function toEnd() {
  log.scrollTop = log.scrollHeight;
  below = 0;
  $('newer').hidden = true;
}

/** Adds to the messages; follows them only if one was at their end. */
function add(node, counts) {
  const follow = atEnd();
  log.append(node);
  while (log.childElementCount > LINES_KEPT) log.firstElementChild.remove();
  if (follow) {
    toEnd();
  } else if (counts) {
    below += 1;
    $('newer').textContent = below === 1 ? '↓ 1 new message' : `↓ ${below} new messages`;
    $('newer').hidden = false;
  }
  if (counts && document.hidden) {
    unread += 1;
    showTitle();
  }
  return node;
}

/** `NAME: text`, or `* NAME does something`; `live` when it was said just now. */
function showSaid(line, live) {
  const action = line.startsWith('* ');
  const match = line.match(action ? /^\* (\S+) (.*)$/s : /^([^\s:]+): (.*)$/s);
  if (!match) {
    answer(line);
    return;
  }
  const [, who, words] = match;
  const own = who === me;
  const sender = make('span', 'who ' + colour(who), who);
  if (own) sender.append(' (you)');
  const at = Date.now();
  if (action) {
    const node = make('p', 'did', sender, ' ' + words);
    node.classList.toggle('own', own);
    lastSpoken = { who: '', at };
    add(node, live && !own);
  } else {
    const meta = make('p', 'meta', sender, ' ');
    if (live) meta.append(clock());
    const body = make('p', 'text', words);
    body.dir = 'auto';
    const node = make('div', 'said', meta, body);
    node.classList.toggle('own', own);
    node.classList.toggle('same', lastSpoken.who === who && at - lastSpoken.at < SAME_SPEAKER_MS);
    lastSpoken = { who, at };
    if (own && live) unsure.shift();
    add(node, live && !own);
  }
  said = [...said, line].slice(-LAST_LINES);
}

/** The server repeats the last lines to everybody who joins, also to us when we come back. */
function showPast() {
  let known = Math.min(past.length, said.length);
  while (known > 0 && !past.slice(0, known).every((line, i) => line === said[said.length - known + i])) known -= 1;
  const fresh = past.slice(known);
  if (fresh.length === 0) return;
  news(said.length ? 'Said while you were away' : 'Said before you came', false);
  fresh.forEach((line) => showSaid(line, false));
}

/** What happens in the room. */
function news(words, timed = true) {
  lastSpoken = { who: '', at: 0 };
  const node = make('p', 'news', make('span', '', words));
  if (timed) node.append(' ', clock());
  return add(node, false);
}

/** What the server tells us alone. */
function answer(words) {
  lastSpoken = { who: '', at: 0 };
  return add(make('p', 'answer', words), false);
}

/* ---- The rest of the view ---- */

function showTitle() {
  document.title = `${unread ? `(${unread}) ` : ''}#${wanted} – ${APP}`;
}

function showRoom(room) {
  log.replaceChildren();
  said = [];
  unsure = [];
  people.clear();
  lastSpoken = { who: '', at: 0 };
  toEnd();
  if (room !== roomInAddress()) history.pushState(null, '', pathOf(room));
  showWhere(room);
}

function showWhere(room) {
  if (!ROOMS.includes(room)) ROOMS.push(room);
  $('room').textContent = room;
  $('link').value = location.origin + pathOf(room);
  $('rooms').replaceChildren(...ROOMS.map((name) => {
    const link = make('a', '', name);
    link.href = pathOf(name);
    if (name === room) link.setAttribute('aria-current', 'page');
    return make('li', '', link);
  }));
  showTitle();
}

let peopleTimer = 0;
function showPeople() {
  // A crowd that comes at once is drawn once.
  peopleTimer ||= setTimeout(() => {
    peopleTimer = 0;
    const names = [...people].sort((a, b) => a.localeCompare(b));
    const items = names.slice(0, PEOPLE_SHOWN).map((name) => make('li', '', name + (name === me ? ' (you)' : '')));
    if (names.length > PEOPLE_SHOWN) items.push(make('li', '', `and ${names.length - PEOPLE_SHOWN} more`));
    $('people').replaceChildren(...items);
    $('count').textContent = names.length ? `(${names.length})` : '';
  }, 30);
}

function showMe() {
  const name = me || wish;
  $('as').replaceChildren(...(name ? ['as ', make('b', '', name)] : []));
}

function note(id, words, bad = false) {
  $(id).textContent = words;
  $(id).classList.toggle('bad', bad);
}

/** What may not have arrived goes back into its field. */
function keepUnsure() {
  if (unsure.length === 0) return;
  text.value = [...unsure, text.value].filter(Boolean).join(' ').slice(0, text.maxLength);
  unsure = [];
  note('say-note', 'This may not have been sent: the connection was lost.', true);
}

/* ---- Going to a room ---- */

function goTo(room) {
  wanted = room;
  refused = '';
  note('room-note', '');
  // The view follows when the server has let us in.
  if (isOpen()) {
    ws.send('/join ' + room);
  } else if (room !== here) {
    here = room;
    showRoom(room);
  }
}

function leaveMenu(focus) {
  const open = document.body.classList.contains('menu-open');
  document.body.classList.remove('menu-open');
  $('menu').setAttribute('aria-expanded', 'false');
  if (open && focus) focus.focus();
}

$('rooms').addEventListener('click', (event) => {
  const link = event.target.closest('a');
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  leaveMenu(log);
  goTo(link.textContent);
});

$('room-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const room = roomName($('other').value);
  if (!room) {
    note('room-note', 'A room’s name is one word of up to 24 letters.', true);
    $('other').focus();
    return;
  }
  $('other').value = '';
  leaveMenu(log);
  goTo(room);
});

window.addEventListener('popstate', () => {
  const room = roomInAddress();
  if (room !== wanted) goTo(room);
});

$('menu').addEventListener('click', () => {
  const open = document.body.classList.toggle('menu-open');
  $('menu').setAttribute('aria-expanded', String(open));
  if (open) $('rooms').querySelector('a').focus();
});

document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') leaveMenu($('menu'));
});

$('copy').addEventListener('click', async () => {
  const link = $('link');
  try {
    await navigator.clipboard.writeText(link.value);
    note('copy-note', 'Copied');
  } catch {
    // Pages that were not loaded over TLS or from this computer have no clipboard of their own.
    link.select();
    note('copy-note', document.execCommand('copy') ? 'Copied' : 'Press Ctrl+C to copy');
  }
});

/* ---- One's name ---- */

function openNameForm(focus) {
  if ($('name-form').hidden) {
    $('name-form').hidden = false;
    $('name-open').setAttribute('aria-expanded', 'true');
    $('name').value = wish;
    forgetNameError();
  }
  if (focus) {
    $('name').focus();
    $('name').select();
  }
}

function closeNameForm() {
  const inside = $('name-form').contains(document.activeElement);
  $('name-form').hidden = true;
  $('name-open').setAttribute('aria-expanded', 'false');
  if (inside) text.focus();
}

function forgetNameError() {
  $('name').removeAttribute('aria-invalid');
  note('name-note', '');
}

function nameAccepted(name) {
  asking = '';
  wish = name;
  storeName(name);
  showMe();
  closeNameForm();
}

$('name-open').addEventListener('click', () => {
  if ($('name-form').hidden) openNameForm(true);
  else closeNameForm();
});
$('name-cancel').addEventListener('click', closeNameForm);
$('name').addEventListener('input', forgetNameError);
$('name-form').addEventListener('keydown', (event) => {
  if (event.key === 'Escape') closeNameForm();
});

$('name-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const name = $('name').value.trim().replace(/\s+/g, '-');
  if (!name) {
    $('name').setAttribute('aria-invalid', 'true');
    note('name-note', 'Type the name that the others will see.', true);
    $('name').focus();
  } else if (isOpen()) {
    asking = name;
    ws.send('/name ' + name);
  } else {
    nameAccepted(name);
  }
});

/* ---- Talking ---- */

$('say-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const line = text.value.trimEnd();
  text.focus();
  if (!line) return;
  if (!isOpen()) {
    note('say-note', 'Not sent: there is no connection. Your text stays here.', true);
    return;
  }
  ws.send(line);
  text.value = '';
  note('say-note', '');
  if (!line.startsWith('/')) unsure.push(line);
  else if (/^\/quit\b/i.test(line)) quitting = true;
  else if (/^\/who\b/i.test(line)) whoAsked += 1;
});

text.addEventListener('input', () => note('say-note', ''));
$('retry').addEventListener('click', connect);

$('newer').addEventListener('click', () => {
  toEnd();
  text.focus();
});

/* ---- Staying at the end, coming back ---- */

let stuck = true;
log.addEventListener('scroll', () => {
  stuck = atEnd();
  if (stuck) toEnd();
}, { passive: true });
new ResizeObserver(() => { if (stuck) toEnd(); }).observe(log);

window.addEventListener('online', hurry);
window.addEventListener('pageshow', hurry);
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return;
  unread = 0;
  showTitle();
  hurry();
});

/* ---- Start ---- */

if (/^(localhost|127\.[\d.]+|\[::1\])$/.test(location.hostname)) note('copy-note', 'Works on this computer');
wish = storedName();
showWhere(wanted);
showMe();
connect();
// On a phone a focused field brings up the keyboard, which hides half of the page.
const keyboard = !matchMedia('(pointer: coarse)').matches;
if (!wish) openNameForm(keyboard);
else if (keyboard) text.focus();
