/* The last lines of the store on the page: drawn once a frame at most, however many come. */

import { clock, has, shown } from './text.js';

/** Rows in the page; the browser gets slow with tens of thousands. */
const MOST_ROWS = 2000;
/** Characters in them. */
const MOST_SIZE = 300_000;
/** Drawing takes one part in so many of the time, and leaves the rest to the keys and the lines. */
const SHARE = 3;
const SIGNS = { up: ['↑', 'sent'], down: ['↓', 'received'], note: ['•', 'note'], bad: ['✕', 'note'] };
/** Within so many pixels of its end, the log goes on to follow it. */
const NEAR = 24;

export class View {
  #log;
  #store;
  #template;
  /** Called after each drawing. */
  #drawn;
  #frame = 0;
  /** The number of the first entry that is not drawn yet. */
  #next = 0;
  /** Whether what is drawn is to be drawn anew. */
  #stale = false;
  /** Whether the log's end is in sight. Who has scrolled away reads something, which must not move. */
  #following = true;
  #paused = false;
  #words = '';
  /** The characters of each row. */
  #sizes = [];
  #notBefore = 0;

  constructor(log, template, store, drawn) {
    this.#log = log;
    this.#template = template;
    this.#store = store;
    this.#drawn = drawn;
    log.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#following && this.#toEnd()).observe(log);
  }

  get paused() {
    return this.#paused;
  }

  /** How many lines have come since it stopped drawing them. */
  get waiting() {
    return this.#store.end - Math.max(this.#next, this.#store.begin);
  }

  get rows() {
    return this.#sizes.length;
  }

  /** Something is new. In a page that is hidden, it is drawn when that is seen again. */
  changed() {
    this.#frame ||= requestAnimationFrame((now) => {
      this.#frame = 0;
      if (now < this.#notBefore) this.changed();
      else this.#draw();
    });
  }

  pause(paused) {
    if (paused) this.#draw();
    this.#paused = paused;
    this.follow();
  }

  /** Goes to the end, after a look back. */
  follow() {
    this.#following = true;
    this.changed();
  }

  filter(words) {
    this.#words = words.toLowerCase();
    this.#stale = true;
    this.follow();
  }

  /** The store was cleared. */
  cleared() {
    this.#next = this.#store.end;
    this.#stale = true;
    this.follow();
  }

  #draw() {
    const began = performance.now();
    const end = this.#paused || !this.#following ? this.#next : this.#store.end;
    const { rows, sizes, full } = this.#last(this.#stale ? 0 : this.#next, end);
    if (this.#stale || full) {
      this.#log.replaceChildren(...rows);
      this.#sizes = sizes;
    } else {
      this.#log.append(...rows);
      this.#sizes.push(...sizes);
      this.#trim();
    }
    this.#next = end;
    this.#stale = false;
    if (this.#following) this.#toEnd();
    this.#drawn();
    const now = performance.now();
    this.#notBefore = now + (SHARE - 1) * (now - began);
  }

  /** Rows for the last entries of a range that the filter lets through, as many as there may be. */
  #last(from, end) {
    const rows = [];
    const sizes = [];
    let size = 0;
    const width = this.#log.clientWidth > 700 ? 16 : 8;
    const begin = Math.max(from, this.#store.begin);
    let number = end - 1;
    for (; number >= begin && rows.length < MOST_ROWS && size < MOST_SIZE; number -= 1) {
      const entry = this.#store.at(number);
      if (this.#words && !has(entry, this.#words)) continue;
      const text = shown(entry.data, width);
      rows.push(this.#row(entry, text));
      sizes.push(text.length);
      size += text.length;
    }
    return { rows: rows.reverse(), sizes: sizes.reverse(), full: number >= begin };
  }

  #trim() {
    let size = this.#sizes.reduce((sum, one) => sum + one, 0);
    let gone = 0;
    while (this.rows - gone > MOST_ROWS || (size > MOST_SIZE && this.rows - gone > 1)) {
      size -= this.#sizes[gone];
      gone += 1;
      this.#log.firstElementChild.remove();
    }
    this.#sizes.splice(0, gone);
  }

  /** Whatever the backend says is only ever the text of a text node. */
  #row({ at, kind, data }, words) {
    const row = this.#template.content.firstElementChild.cloneNode(true);
    const [time, sign, text] = row.children;
    row.classList.add(kind);
    time.textContent = clock(at);
    time.dateTime = new Date(at).toISOString();
    sign.textContent = SIGNS[kind][0];
    sign.setAttribute('aria-label', SIGNS[kind][1]);
    text.textContent = words;
    if (typeof data !== 'string') row.classList.add('bytes');
    return row;
  }

  #scrolled() {
    const left = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight;
    this.#following = left < NEAR;
    this.changed();
  }

  #toEnd() {
    this.#log.scrollTop = this.#log.scrollHeight;
  }
}
