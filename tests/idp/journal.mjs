// What was asked of a realm: one entry per request, written on arrival, its status at the end.

import { EventEmitter, once } from 'node:events';

export class Journal {
  #entries = [];

  #changed = new EventEmitter().setMaxListeners(0);

  begin(entry) {
    const recorded = { ...entry, status: null, error: null };
    this.#entries.push(recorded);
    this.#changed.emit('change');
    return recorded;
  }

  end(entry, status) {
    entry.status = status;
    this.#changed.emit('change');
  }

  list({ endpoint, grant } = {}) {
    return this.#entries.filter(
      (entry) => (!endpoint || entry.endpoint === endpoint) && (!grant || entry.grant === grant),
    );
  }

  clear() {
    this.#entries = [];
  }

  /** Waits until `count` matching requests have arrived; false when the time is over first. */
  async wait({ count, milliseconds, ...filter }) {
    const signal = AbortSignal.timeout(milliseconds);
    while (this.list(filter).length < count) {
      try {
        await once(this.#changed, 'change', { signal });
      } catch (error) {
        if (error.name === 'AbortError') return false;
        throw error;
      }
    }
    return true;
  }
}
