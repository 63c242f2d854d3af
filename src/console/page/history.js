/* What was sent, to be brought back by the arrow keys, as in a shell. */

const MOST = 500;

export class History {
  #lines = [];
  /** Which of them is in the field; their number for none. */
  #at = 0;
  /** What was being written when the first was brought back. */
  #draft = '';

  add(line) {
    if (line && line !== this.#lines.at(-1)) this.#lines.push(line);
    if (this.#lines.length > MOST) this.#lines.shift();
    this.#at = this.#lines.length;
  }

  /** The line before or after (-1, 1) the one in the field; undefined if there is none. */
  go(step, field) {
    const next = this.#at + step;
    if (next < 0 || next > this.#lines.length) return undefined;
    if (this.#at === this.#lines.length) this.#draft = field;
    this.#at = next;
    return next === this.#lines.length ? this.#draft : this.#lines[next];
  }
}
