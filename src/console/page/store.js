/* All lines that are kept, in their order: the last ones, up to a bound of number and size. */

const MOST_LINES = 200_000;
/** Characters of text or bytes; a character takes up to two. */
const MOST_SIZE = 32 * 1024 * 1024;

/** Entries { at, kind, data }: the time in ms, 'up', 'down', 'note' or 'bad', a string or bytes. Each has a number. */
export class Store {
  #entries = [];
  /** Entries before it are dropped; they are moved out of the way when there are many. */
  #head = 0;
  #size = 0;
  /** The number of the first entry that is kept. */
  begin = 0;
  /** How many were dropped for want of room since the last clearing. */
  dropped = 0;
  /** How many there have been since then. */
  counts = { up: 0, down: 0, note: 0, bad: 0 };

  /** The number that the next entry gets. */
  get end() {
    return this.begin + this.#entries.length - this.#head;
  }

  at(number) {
    return this.#entries[this.#head + number - this.begin];
  }

  add(kind, data) {
    this.#entries.push({ at: Date.now(), kind, data });
    this.#size += data.length;
    this.counts[kind] += 1;
    while (this.end - this.begin > MOST_LINES || (this.#size > MOST_SIZE && this.end - this.begin > 1)) this.#drop();
  }

  clear() {
    this.begin = this.end;
    this.#entries = [];
    this.#head = this.#size = this.dropped = 0;
    this.counts = { up: 0, down: 0, note: 0, bad: 0 };
  }

  #drop() {
    this.#size -= this.#entries[this.#head].data.length;
    this.#entries[this.#head] = undefined;
    this.#head += 1;
    this.begin += 1;
    this.dropped += 1;
    if (this.#head > MOST_LINES / 2) {
      this.#entries.splice(0, this.#head);
      this.#head = 0;
    }
  }
}
