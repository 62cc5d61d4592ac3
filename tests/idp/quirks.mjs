// Faults and oddities that a test switches on while a realm runs.
//
// A quirk: {kind, endpoint, grant, times, ...details}. It applies to requests of its endpoint
// (and grant type, if given), `times` times (null: until cleared). Kinds:
//   respond      answers instead of the provider: {status, headers, body}; a body that is not a
//                string is sent as JSON
//   delay        waits {ms} before the provider sees the request
//   hold_request waits for release() before the provider sees the request
//   hold_answer  waits for release() after the provider has acted
//   drop_request closes the connection before the provider sees the request
//   drop_answer  closes the connection after the provider has acted
//   patch        changes a JSON answer: {set: {...}, unset: [...]}
//   truncate     sends half of a JSON answer

import { setTimeout as sleep } from 'node:timers/promises';

const KINDS = new Set([
  'respond', 'delay', 'hold_request', 'hold_answer', 'drop_request', 'drop_answer', 'patch', 'truncate',
]);

const FINAL = new Set(['respond', 'drop_request']);

export class Quirks {
  #active = [];

  #gate = withResolvers();

  add(quirk) {
    if (!KINDS.has(quirk.kind)) throw new Error(`unknown quirk ${quirk.kind}`);
    this.#active.push({ endpoint: 'token', grant: null, times: 1, ...quirk });
  }

  /**
   * The quirks for this request; each counts it as one of its times. Of those that keep the
   * request from the provider only the oldest acts, so that they play one after the other.
   */
  take({ endpoint, grant }) {
    const matching = this.#active.filter(
      (quirk) => quirk.endpoint === endpoint && (!quirk.grant || quirk.grant === grant),
    );
    const first = matching.findIndex((quirk) => FINAL.has(quirk.kind));
    const taken = matching.filter((quirk, index) => index === first || !FINAL.has(quirk.kind));
    for (const quirk of taken) if (quirk.times !== null) quirk.times -= 1;
    this.#active = this.#active.filter((quirk) => quirk.times !== 0);
    return taken;
  }

  clear() {
    this.#active = [];
    this.release();
  }

  release() {
    this.#active = this.#active.filter((quirk) => !quirk.kind.startsWith('hold_'));
    this.#gate.resolve();
    this.#gate = withResolvers();
  }

  /** Plays the quirks that come before the provider; true when the request has been dealt with. */
  async before(taken, req, res) {
    for (const quirk of taken) {
      if (quirk.kind === 'delay') await sleep(quirk.ms);
      if (quirk.kind === 'hold_request') await this.#gate.promise;
      if (quirk.kind === 'drop_request') {
        req.socket.destroy();
        return true;
      }
      if (quirk.kind === 'respond') {
        respond(res, quirk);
        return true;
      }
    }
    return false;
  }

  /** Plays the quirks that come after the provider has acted. */
  async after(taken, ctx) {
    for (const quirk of taken) {
      if (quirk.kind === 'hold_answer') await this.#gate.promise;
      if (quirk.kind === 'patch') patch(ctx, quirk);
      if (quirk.kind === 'truncate') truncate(ctx);
      if (quirk.kind === 'drop_answer') {
        ctx.respond = false;
        ctx.req.socket.destroy();
      }
    }
  }
}

function withResolvers() {
  const gate = {};
  gate.promise = new Promise((resolve) => { gate.resolve = resolve; });
  return gate;
}

export function respond(res, { status = 200, headers = {}, body = '' }) {
  res.oauthError = body.error ?? null;
  const json = typeof body !== 'string';
  const type = json ? 'application/json' : 'text/html; charset=utf-8';
  res.writeHead(status, { 'content-type': type, 'cache-control': 'no-store', ...headers });
  res.end(json ? JSON.stringify(body) : body);
}

function patch(ctx, { set = {}, unset = [] }) {
  const body = { ...ctx.body, ...set };
  for (const key of unset) delete body[key];
  ctx.body = body;
}

function truncate(ctx) {
  const whole = JSON.stringify(ctx.body);
  ctx.body = whole.slice(0, whole.length / 2);
  ctx.type = 'json';
}
