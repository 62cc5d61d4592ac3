// The tests' side door: POST {"realm", "op", ...} with the bearer secret of the ready line.

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

import { respond } from './quirks.mjs';

const MODELS = { refresh: 'RefreshToken', device: 'DeviceCode', grant: 'Grant', code: 'AuthorizationCode' };

const OPERATIONS = {
  requests: (realm, filter) => realm.journal.list(filter),
  wait: (realm, filter) => realm.journal.wait(filter),
  clear_requests: (realm) => realm.journal.clear(),
  quirk: (realm, { quirk }) => realm.quirks.add(quirk),
  clear_quirks: (realm) => realm.quirks.clear(),
  release: (realm) => realm.quirks.release(),
  configure: (realm, { options }) => realm.configure(options),
  pending_codes: (realm) => realm.store.pendingCodes(),
  revoke_user: (realm, { user }) => realm.store.revokeUser(user),
  expire: (realm, { what }) => realm.store.expire(MODELS[what]),
  reset: (realm) => realm.reset(),
};

export async function startControl(realms) {
  const secret = randomBytes(16).toString('hex');
  const server = createServer(async (req, res) => {
    try {
      if (req.headers.authorization !== `Bearer ${secret}`) throw new Error('wrong secret');
      const { realm, op, ...details } = await readJson(req);
      if (!Object.hasOwn(OPERATIONS, op)) throw new Error(`unknown operation ${op}`);
      const result = await OPERATIONS[op](realms.get(realm), details);
      respond(res, { body: { result: result ?? null } });
    } catch (error) {
      respond(res, { status: 400, body: { error: String(error.message) } });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${server.address().port}/`, secret };
}

async function readJson(req) {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks));
}
