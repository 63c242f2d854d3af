/* How a line is written: for the eye, for the filter, and in a file. */

/** What is shown of one message; more would make the page slow. The file has it all. */
const SHOWN_CHARS = 4096;
const SHOWN_BYTES = 512;
const FILE_SIGNS = { up: '>', down: '<', note: '#', bad: '#' };

const two = (number) => String(number).padStart(2, '0');
/** Each byte in hexadecimal and as ASCII; looked up, as files may have millions. */
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
const ASCII = HEX.map((_, byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.'));

/** The time of day, here. By hand: toLocaleTimeString takes longer than all the rest of a line. */
export function clock(at) {
  const time = new Date(at);
  const ms = String(time.getMilliseconds()).padStart(3, '0');
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.${ms}`;
}

/** Rows of so many bytes, each in hexadecimal and as ASCII. */
function dump(bytes, width) {
  const rows = [];
  for (let start = 0; start < bytes.length; start += width) {
    let hex = '';
    let ascii = '';
    for (const byte of bytes.subarray(start, start + width)) {
      hex += `${HEX[byte]} `;
      ascii += ASCII[byte];
    }
    rows.push(`${hex.padEnd(3 * width)} ${ascii}`);
  }
  return rows.join('\n');
}

/** Control characters, but for tabs and newlines, as escapes. Unicode's signs for them are in few fonts. */
function visible(text) {
  return text.replace(/[\0-\x08\x0b-\x1f\x7f]/g, (c) => (c === '\r' ? '\\r' : `\\x${HEX[c.charCodeAt()]}`));
}

const more = (count, what) => (count > 0 ? `… and ${count.toLocaleString('en')} more ${what}, which Save writes too` : '');

/** What the page shows of a line's data, bytes in rows of `width`. */
export function shown(data, width) {
  if (typeof data === 'string') {
    return visible(data.slice(0, SHOWN_CHARS)) + more(data.length - SHOWN_CHARS, 'characters');
  }
  const rows = dump(data.subarray(0, SHOWN_BYTES), width);
  const size = data.length === 1 ? '1 byte' : `${data.length.toLocaleString('en')} bytes`;
  return [size, rows, more(data.length - SHOWN_BYTES, 'bytes')].filter(Boolean).join('\n');
}

/** Whether a line has these words, which are in lower case. Of bytes: as hexadecimal, or as ASCII. */
export function has({ data }, words) {
  if (typeof data === 'string') return data.toLowerCase().includes(words);
  const bytes = Array.from(data.subarray(0, SHOWN_BYTES));
  const as = (table, between) => bytes.map((byte) => table[byte]).join(between);
  return as(HEX, ' ').includes(words) || as(ASCII, '').toLowerCase().includes(words);
}

/** All of a store, as a text file. */
export function file(store, url) {
  const { up, down } = store.counts;
  const parts = [`# ${url}, saved ${new Date().toISOString()}: ${down} received, ${up} sent`];
  if (store.dropped) parts.push(`; the first ${store.dropped} are not kept`);
  for (let number = store.begin; number < store.end; number += 1) {
    const { at, kind, data } = store.at(number);
    const text = typeof data === 'string' ? data : `${data.length} bytes\n${dump(data, 16)}`;
    // What belongs to one message is indented, so that each line of the file that has a time is one.
    parts.push(`\n${new Date(at).toISOString()} ${FILE_SIGNS[kind]} ${text.replaceAll('\n', '\n    ')}`);
  }
  parts.push('\n');
  return new Blob(parts, { type: 'text/plain;charset=utf-8' });
}
