// The storage of one realm. oidc-provider's own memory adapter drops expired entries; this one
// keeps them, so that a client hears "expired" rather than "not found", and lets tests reach in.

import { errors } from 'oidc-provider';

const now = () => Math.floor(Date.now() / 1000);

export class Store {
  #models = new Map();

  constructor(options) {
    this.options = options;
  }

  clear() {
    for (const entries of this.#models.values()) entries.clear();
  }

  entries(model) {
    if (!this.#models.has(model)) this.#models.set(model, new Map());
    return this.#models.get(model);
  }

  adapter = (model) => new Adapter(this, model);

  /** Forgets all that a user granted; answers how many entries went. */
  revokeUser(accountId) {
    let count = 0;
    for (const entries of this.#models.values()) {
      for (const [id, payload] of entries) {
        if (payload.accountId === accountId) {
          entries.delete(id);
          count += 1;
        }
      }
    }
    return count;
  }

  revokeGrant(grantId) {
    for (const [model, entries] of this.#models) {
      for (const [id, payload] of entries) {
        if (payload.grantId === grantId || (model === 'Grant' && id === grantId)) entries.delete(id);
      }
    }
  }

  /** Moves the expiry of every entry of a model into the past; answers how many there were. */
  expire(model) {
    const entries = this.entries(model);
    for (const payload of entries.values()) payload.exp = now() - 1;
    return entries.size;
  }

  /** User codes that wait for somebody's approval, oldest first. */
  pendingCodes() {
    return [...this.entries('DeviceCode').values()]
      .filter((code) => !code.accountId && !code.error && code.exp > now())
      .map((code) => code.userCode);
  }
}

class Adapter {
  constructor(store, model) {
    this.store = store;
    this.model = model;
    this.entries = store.entries(model);
  }

  async upsert(id, payload) {
    this.entries.set(id, { ...payload });
  }

  async find(id) {
    return this.entries.get(id);
  }

  async findByUid(uid) {
    return this.#first((payload) => payload.uid === uid);
  }

  async findByUserCode(userCode) {
    return this.#first((payload) => payload.userCode === userCode);
  }

  async consume(id) {
    if (this.model === 'RefreshToken' && !this.store.options.reuseDetection) return;
    const payload = this.entries.get(id);
    // Two requests may both have found it unused before either got here.
    if (!payload || payload.consumed) {
      if (payload) this.store.revokeGrant(payload.grantId);
      throw new errors.InvalidGrant('used by another request at the same time');
    }
    payload.consumed = now();
  }

  async destroy(id) {
    this.entries.delete(id);
  }

  async revokeByGrantId(grantId) {
    for (const [id, payload] of this.entries) {
      if (payload.grantId === grantId) this.entries.delete(id);
    }
  }

  #first(matches) {
    for (const payload of this.entries.values()) if (matches(payload)) return payload;
    return undefined;
  }
}
