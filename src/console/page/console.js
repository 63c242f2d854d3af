/* The console: what the buttons and keys do, and what is told besides the lines themselves. */

import { Connection, URL_HERE, canOffer } from './connection.js';
import { History } from './history.js';
import { Store } from './store.js';
import { file } from './text.js';
import { View } from './view.js';

/** What comes is told to screen readers soon, and then no more often than this. */
const TELL_SOON_MS = 400;
const TELL_AGAIN_MS = 5000;
const TOLD_CHARS = 200;
const MOST_FIELD_ROWS = 6;

const $ = (id) => document.getElementById(id);
const field = $('line');
/** On a phone a focused field brings up the keyboard, which hides half of the page. */
const keyboard = !matchMedia('(pointer: coarse)').matches;
const history = new History();
const store = new Store();
const view = new View($('log'), $('row'), store, showCounts);
const connection = new Connection({ state: showState, line: addLine });

/* ---- Lines ---- */

function addLine(kind, data) {
  store.add(kind, data);
  view.changed();
  if (kind === 'down') tellLine(data);
}

const number = (count) => count.toLocaleString('en');

function showCounts() {
  const { up, down } = store.counts;
  const { waiting } = view;
  const parts = [`${number(down)} received`, `${number(up)} sent`];
  if ($('filter').value) parts.push(`${number(view.rows)} shown`);
  if (view.paused) parts.push('paused');
  if (store.dropped) parts.push(`the first ${number(store.dropped)} not kept`);
  $('count').textContent = parts.join(', ');
  $('newer').hidden = waiting === 0;
  $('newer').textContent = waiting === 1 ? '↓ 1 newer line' : `↓ ${number(waiting)} newer lines`;
}

/* ---- For screen readers ---- */

let untold = 0;
let lastLine = '';
let toldAt = 0;
let tellTimer = 0;

/** A new node each time, so that the same words are told again. */
function speak(words) {
  $('spoken').replaceChildren(words);
}

/** One line is read; of many, only how many they are: a log that talks without end helps nobody. */
function tellLine(data) {
  untold += 1;
  lastLine = data;
  tellTimer ||= setTimeout(tellLines, Math.max(TELL_SOON_MS, toldAt + TELL_AGAIN_MS - Date.now()));
}

function tellLines() {
  tellTimer = 0;
  toldAt = Date.now();
  const isText = typeof lastLine === 'string';
  if (!view.paused) {
    if (untold > 1) speak(`${untold} lines received`);
    else speak(isText ? lastLine.slice(0, TOLD_CHARS) : `${lastLine.length} bytes received`);
  }
  untold = 0;
}

/* ---- The connection ---- */

function showState(state, words) {
  const focus = document.activeElement;
  $('state').dataset.state = state;
  $('state').textContent = words;
  $('connect').textContent = state === 'idle' ? 'Connect' : 'Reconnect';
  $('close').disabled = state === 'closed' || state === 'closing';
  if (state !== 'closing') speak(words);
  if (state === 'open') note('');
  // Where the focus would be lost, or is of no more use.
  if (state === 'open' && $('connect-form').contains(focus) && keyboard) field.focus();
  else if (focus === $('close') && $('close').disabled) $('connect').focus();
}

$('connect-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const names = $('protocols').value.split(',').map((name) => name.trim()).filter(Boolean);
  if (canOffer(names)) {
    connection.open(names);
  } else {
    showProtocolError('Each name once, of letters, digits and !#$%&\'*+-.^_`|~');
    $('protocols').focus();
  }
});

$('protocols').addEventListener('input', () => showProtocolError(''));

function showProtocolError(words) {
  $('protocols').setAttribute('aria-invalid', String(words !== ''));
  $('protocols-note').classList.toggle('bad', words !== '');
  $('protocols-note').textContent = words || 'Optional; several with commas';
}

$('close').addEventListener('click', () => connection.close());

/* ---- Sending ---- */

function note(words) {
  $('send-note').textContent = words;
}

function fitField() {
  field.rows = Math.min(field.value.split('\n').length, MOST_FIELD_ROWS);
}

function write(text) {
  field.value = text;
  fitField();
}

$('send-form').addEventListener('submit', (event) => {
  event.preventDefault();
  field.focus();
  if (!connection.isOpen) {
    note('Not sent: there is no connection. Your text stays here.');
    return;
  }
  connection.send(field.value);
  history.add(field.value);
  write('');
  view.follow();
});

field.addEventListener('input', () => {
  fitField();
  note('');
});

field.addEventListener('keydown', (event) => {
  if (event.isComposing || event.shiftKey || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === 'Enter') {
    event.preventDefault();
    $('send-form').requestSubmit();
  } else if (event.key === 'ArrowUp' && !field.value.slice(0, field.selectionStart).includes('\n')) {
    recall(event, -1);
  } else if (event.key === 'ArrowDown' && !field.value.slice(field.selectionEnd).includes('\n')) {
    recall(event, 1);
  }
});

function recall(event, step) {
  const line = history.go(step, field.value);
  if (line === undefined) return;
  event.preventDefault();
  write(line);
}

/* ---- What is shown ---- */

$('filter').addEventListener('input', () => view.filter($('filter').value));

$('pause').addEventListener('click', () => pause(!view.paused));

function pause(paused) {
  view.pause(paused);
  $('pause').setAttribute('aria-pressed', String(paused));
}

$('newer').addEventListener('click', () => {
  // It is about to go.
  $('log').focus();
  pause(false);
});

$('clear').addEventListener('click', () => {
  store.clear();
  view.cleared();
});

$('save').addEventListener('click', () => {
  const link = document.createElement('a');
  const when = new Date().toISOString().slice(0, 19);
  link.href = URL.createObjectURL(file(store, URL_HERE));
  link.download = `wsrelay-${location.host}${location.pathname}-${when}.txt`.replace(/[^\w.-]+/g, '-');
  link.click();
  // Some browsers fetch it only after a while.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
});

/* ---- Start ---- */

$('url').textContent = URL_HERE;
document.title = `${location.pathname} – wsrelay console`;
showCounts();
if (keyboard) $('connect').focus();
