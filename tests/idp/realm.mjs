// One realm: a port, an issuer, a Provider, and what lies in front of it.

import { generateKeyPair } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { promisify } from 'node:util';

import Provider from 'oidc-provider';

import { Store } from './adapter.mjs';
import { AUDIENCE, CI_CLIENT, CI_JWT_CLIENT, configuration, endpointOf } from './configuration.mjs';
import { addExchange } from './exchange.mjs';
import { Journal } from './journal.mjs';
import { Polls, refuse, shape } from './policy.mjs';
import { CI_SECRET, checkOptions, realmOptions } from './presets.mjs';
import { Quirks } from './quirks.mjs';

const generate = promisify(generateKeyPair);

export async function startRealm(given, { host, tls }) {
  const options = realmOptions(given);
  const server = tls ? createTlsServer(tls) : createServer();
  server.keepAliveTimeout = 1000;
  // The issuer holds the port: listen first, then build the Provider.
  server.listen(0, '127.0.0.1');
  const [signing, ci] = await Promise.all([
    generate('rsa', { modulusLength: 2048 }),
    generate('ec', { namedCurve: 'P-256' }),
    once(server, 'listening'),
  ]);
  const origin = `${tls ? 'https' : 'http'}://${host}:${server.address().port}`;
  return new Realm(options, { server, origin, signing, ci });
}

class Realm {
  constructor(options, { server, origin, signing, ci }) {
    this.name = options.name;
    this.options = options;
    this.initial = { ...options };
    this.store = new Store(options);
    this.journal = new Journal();
    this.quirks = new Quirks();
    this.polls = new Polls(options);
    this.issuer = origin + options.path;
    this.ciKey = { ...ci.privateKey.export({ format: 'jwk' }), alg: 'ES256', kid: 'ci' };

    const provider = new Provider(this.issuer, configuration(options, {
      adapter: this.store.adapter,
      jwks: { keys: [{ ...signing.privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig', kid: this.name }] },
      ciPublicKey: { ...ci.publicKey.export({ format: 'jwk' }), alg: 'ES256', kid: 'ci' },
    }));
    addExchange(provider, ci.publicKey);
    provider.on('server_error', (ctx, error) => console.error(`[${this.name}]`, error));
    provider.use((ctx, next) => this.#afterwards(ctx, next));
    this.callback = provider.callback();
    server.on('request', (req, res) => {
      this.#handle(req, res).catch((error) => {
        console.error(`[${this.name}]`, error);
        res.destroy();
      });
    });
  }

  get description() {
    const confidential = this.options.clientAuth !== 'none';
    return {
      name: this.name,
      issuer: this.issuer,
      audience: AUDIENCE,
      client_id: this.options.clientId,
      client_secret: confidential ? this.options.clientSecret : null,
      client_auth: this.options.clientAuth,
      device_flow: this.options.deviceFlow,
      ci_client_id: confidential ? this.options.clientId : CI_CLIENT,
      ci_client_secret: confidential ? this.options.clientSecret : CI_SECRET,
      ci_jwt_client_id: confidential ? null : CI_JWT_CLIENT,
      ci_jwt_key: confidential ? null : this.ciKey,
    };
  }

  configure(changes) {
    checkOptions(changes);
    Object.assign(this.options, changes);
  }

  reset() {
    Object.assign(this.options, this.initial);
    this.store.clear();
    this.quirks.clear();
    this.journal.clear();
    this.polls.clear();
  }

  async #handle(req, res) {
    const path = this.#enter(req);
    if (path === undefined) {
      res.writeHead(404).end();
      return;
    }
    // The whole body is read here, since quirks depend on it; the provider takes it from req.body.
    req.body = await readBody(req);
    const params = Object.fromEntries(new URLSearchParams(req.method === 'POST' ? req.body : req.url.split('?')[1]));
    const request = {
      method: req.method,
      path,
      endpoint: endpointOf(path),
      grant: params.grant_type ?? null,
      auth: authOf(req, params),
      params,
      user_agent: req.headers['user-agent'] ?? null,
    };
    const entry = this.journal.begin(request);
    res.once('close', () => {
      entry.error ??= res.oauthError ?? null;
      this.journal.end(entry, res.writableFinished ? res.statusCode : 0);
    });

    const taken = this.quirks.take(request);
    if (await this.quirks.before(taken, req, res)) return;
    if (refuse(this.options, this.polls, request, res)) return;
    req.crane = { request, entry, taken };
    await this.callback(req, res);
  }

  /** Takes the issuer's path off the URL, and understands RFC 8414's form of the metadata URL. */
  #enter(req) {
    const { path: prefix } = this.options;
    const metadata = '/.well-known/oauth-authorization-server';
    if (prefix && req.url === metadata + prefix) req.url = prefix + metadata;
    if (!req.url.startsWith(prefix)) return undefined;
    req.originalUrl = req.url;
    req.url = req.url.slice(prefix.length) || '/';
    return req.url.split('?')[0];
  }

  async #afterwards(ctx, next) {
    const { request, entry, taken } = ctx.req.crane;
    await next();
    entry.error = ctx.body?.error ?? null;
    shape(this.options, request.endpoint, ctx);
    await this.quirks.after(taken, ctx);
  }
}

async function readBody(req) {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

function authOf(req, params) {
  if (req.headers.authorization?.startsWith('Basic ')) return 'client_secret_basic';
  if (params.client_secret !== undefined) return 'client_secret_post';
  if (params.client_assertion !== undefined) return 'private_key_jwt';
  return 'none';
}
