// Two grants that oidc-provider lacks, as a job in CI uses them: token exchange (RFC 8693) and the
// JWT bearer assertion (RFC 7523). The workload's token is signed with the realm's CI key (ES256),
// meant for the issuer, not expired; its subject becomes the access token's user name.

import { verify } from 'node:crypto';

import { errors } from 'oidc-provider';

import { AUDIENCE, RESOURCE_SERVER } from './configuration.mjs';

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

const JWT_TYPES = new Set(['jwt', 'id_token'].map((name) => `urn:ietf:params:oauth:token-type:${name}`));
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

export function addExchange(provider, ciPublicKey) {
  const issue = async (ctx, assertion) => {
    const token = new provider.ClientCredentials({ client: ctx.oidc.client });
    token.resourceServer = new provider.ResourceServer(AUDIENCE, RESOURCE_SERVER);
    token.workload = subjectOf(assertion, ciPublicKey, provider.issuer);
    const value = await token.save();
    return { access_token: value, token_type: 'Bearer', expires_in: token.expiration };
  };

  provider.registerGrantType(TOKEN_EXCHANGE, async (ctx) => {
    const { subject_token: subject, subject_token_type: type } = ctx.oidc.params;
    if (!JWT_TYPES.has(type)) throw new errors.InvalidRequest('subject_token_type is not a JWT');
    ctx.body = { ...(await issue(ctx, subject)), issued_token_type: ACCESS_TOKEN };
  }, ['subject_token', 'subject_token_type', 'requested_token_type', 'audience', 'scope']);

  provider.registerGrantType(JWT_BEARER, async (ctx) => {
    ctx.body = await issue(ctx, ctx.oidc.params.assertion);
  }, ['assertion', 'scope']);
}

function subjectOf(assertion, key, issuer) {
  const [header, payload, signature] = String(assertion).split('.');
  const signed = signature && verify(
    'sha256',
    Buffer.from(`${header}.${payload}`),
    { key, dsaEncoding: 'ieee-p1363' },
    Buffer.from(signature, 'base64url'),
  );
  if (!signed) throw new errors.InvalidGrant('the assertion is not signed by the CI key');
  const { sub, aud, exp } = JSON.parse(Buffer.from(payload, 'base64url'));
  if (![aud].flat().includes(issuer)) throw new errors.InvalidGrant('the assertion has another audience');
  if (!(exp > Date.now() / 1000)) throw new errors.InvalidGrant('the assertion is expired');
  return sub;
}
