// What some real providers do and oidc-provider does not: intervals and slow_down in the device
// flow, refresh_expires_in, one client authentication method only.

import { respond } from './quirks.mjs';

const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
const AUTHENTICATED = new Set(['token', 'revocation', 'introspection', 'device_authorization']);

/** Keeps count of the polls of each device code. */
export class Polls {
  #polls = new Map();

  constructor(options) {
    this.options = options;
  }

  clear() {
    this.#polls.clear();
  }

  /** Records a poll and says whether it came too early. */
  tooEarly(deviceCode) {
    const { interval, enforceInterval, slowDown } = this.options;
    const poll = this.#polls.get(deviceCode) ?? { count: 0, last: -Infinity, seconds: interval ?? 5 };
    this.#polls.set(deviceCode, poll);
    const elapsed = Date.now() - poll.last;
    // A tenth of leeway: the client's clock starts when our answer arrives.
    const early = enforceInterval && elapsed < poll.seconds * 900;
    poll.count += 1;
    poll.last = Date.now();
    if (early) poll.seconds += 5;
    return early || poll.count <= slowDown;
  }
}

/** Answers a request that this realm's rules refuse; true when it did. */
export function refuse(options, polls, { endpoint, grant, params, auth }, res) {
  if (AUTHENTICATED.has(endpoint) && wrongAuth(options, auth)) {
    respond(res, {
      status: 401,
      headers: { 'www-authenticate': `Basic realm="${options.name}"` },
      body: { error: 'invalid_client', error_description: `only ${options.clientAuth} is allowed` },
    });
    return true;
  }
  if (endpoint === 'token' && grant === DEVICE_GRANT && polls.tooEarly(params.device_code)) {
    respond(res, { status: 400, body: { error: 'slow_down' } });
    return true;
  }
  return false;
}

function wrongAuth({ clientAuth }, auth) {
  return clientAuth !== 'none' && clientAuth !== auth;
}

/** Adds to and takes from a successful answer what the realm's options say. */
export function shape(options, endpoint, ctx) {
  if (ctx.status !== 200) return;
  if (endpoint === 'device_authorization') shapeDevice(options, ctx.body);
  if (endpoint === 'token') shapeToken(options, ctx);
}

function shapeDevice({ interval, sendUserCodeUri }, body) {
  if (interval !== null) body.interval = interval;
  if (!sendUserCodeUri) delete body.verification_uri_complete;
}

function shapeToken(options, ctx) {
  const { body } = ctx;
  const { RefreshToken, DeviceCode, AuthorizationCode } = ctx.oidc.entities;
  if (!options.sendExpiresIn) delete body.expires_in;
  if (options.sendRefreshExpiresIn && body.refresh_token) {
    body.refresh_expires_in = options.refreshTokenSeconds;
  }
  const source = RefreshToken ?? DeviceCode ?? AuthorizationCode;
  if (options.echoScope && source) body.scope = source.scope;
}
