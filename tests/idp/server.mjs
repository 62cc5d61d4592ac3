// The identity provider that crane's tests run against.
//
//   stdin   first line: {"realms": [{"preset": "keycloak", ...options}], "host": "127.0.0.1"}
//           the process ends when stdin does, so that a killed test run leaves no orphan
//   stdout  one JSON line once every realm answers, nothing else
//   stderr  everything the provider has to say
//   env     IDP_TLS_CERT and IDP_TLS_KEY: paths of PEM files; both set means https issuers

import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';

// oidc-provider prints its notices with console.info; stdout belongs to the ready line.
console.info = console.error;

const { startControl } = await import('./control.mjs');
const { startRealm } = await import('./realm.mjs');

const lines = createInterface({ input: process.stdin });
lines.once('close', () => process.exit(0));
lines.once('line', (line) => {
  main(JSON.parse(line)).catch((error) => {
    console.error(error);
    process.exit(1);
  });
});

async function main({ realms, host = '127.0.0.1' }) {
  const tls = await readTls();
  const started = await Promise.all(realms.map((options) => startRealm(options, { host, tls })));
  const control = await startControl(new Map(started.map((realm) => [realm.name, realm])));
  const ready = { control, realms: started.map((realm) => realm.description) };
  process.stdout.write(`${JSON.stringify(ready)}\n`);
}

async function readTls() {
  const { IDP_TLS_CERT: cert, IDP_TLS_KEY: key } = process.env;
  if (!cert || !key) return undefined;
  return { cert: await readFile(cert), key: await readFile(key) };
}
