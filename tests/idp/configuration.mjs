// A realm's options as oidc-provider's configuration. Callbacks read the options at each call,
// so that a test can change a lifetime while the realm runs.

import { randomBytes } from 'node:crypto';

import { errors } from 'oidc-provider';

import { CI_SECRET, USERS } from './presets.mjs';

export const AUDIENCE = 'https://crane.example/';
export const RESOURCE_SERVER = {
  scope: 'crane', audience: AUDIENCE, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } },
};
export const CI_CLIENT = 'crane-ci';
export const CI_JWT_CLIENT = 'crane-ci-jwt';

const ABORT = '<button type="submit" form="op.deviceConfirmForm" name="abort" value="yes">Abort</button>';
const WORKLOAD_GRANTS = ['token-exchange', 'jwt-bearer'].map((name) => `urn:ietf:params:oauth:grant-type:${name}`);
const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

// The routes are oidc-provider's own, named here because the request log goes by them.
const ROUTES = {
  authorization: '/auth',
  code_verification: '/device',
  device_authorization: '/device/auth',
  introspection: '/token/introspection',
  jwks: '/jwks',
  revocation: '/token/revocation',
  token: '/token',
  userinfo: '/me',
};

const ENDPOINTS = new Map([
  ...Object.entries(ROUTES).map(([name, path]) => [path, name]),
  ['/.well-known/openid-configuration', 'discovery'],
  ['/.well-known/oauth-authorization-server', 'discovery'],
]);

export function endpointOf(path) {
  return ENDPOINTS.get(path) ?? 'page';
}

export function configuration(options, { adapter, jwks, ciPublicKey }) {
  return {
    adapter,
    jwks,
    clients: clients(options, ciPublicKey),
    clientAuthMethods: clientAuthMethods(options),
    clockTolerance: 0,
    // Realms share a host, and cookies know no ports.
    cookies: {
      keys: [randomBytes(16).toString('hex')],
      names: {
        session: `session_${options.name}`,
        interaction: `interaction_${options.name}`,
        resume: `resume_${options.name}`,
      },
    },
    scopes: ['openid', 'offline_access', 'profile'],
    claims: { profile: ['preferred_username'], openid: ['sub', 'groups'] },
    features: features(options),
    formats: { customizers: { jwt: (ctx, token, jwt) => dressToken(options, token, jwt) } },
    pkce: { required: () => true },
    routes: ROUTES,
    ttl: lifetimes(options),
    clientBasedCORS: () => false,
    expiresWithSession: () => false,
    findAccount: (ctx, sub) => account(sub),
    issueRefreshToken: (ctx, client, source) => issuesRefresh(options, client, source),
    renderError: (ctx, out) => {
      ctx.type = 'html';
      ctx.body = `<!DOCTYPE html><title>error</title><pre>${out.error}</pre>`;
    },
    rotateRefreshToken: () => options.rotate,
  };
}

function clients(options, ciPublicKey) {
  const confidential = options.clientAuth !== 'none';
  const hosts = ['127.0.0.1', '[::1]', 'localhost'];
  const interactive = {
    client_id: options.clientId,
    client_name: 'crane',
    application_type: 'native',
    token_endpoint_auth_method: options.clientAuth,
    grant_types: [
      'authorization_code',
      'refresh_token',
      ...WORKLOAD_GRANTS,
      ...(options.deviceFlow ? [DEVICE_GRANT] : []),
      ...(confidential ? ['client_credentials'] : []),
    ],
    // A native client may use any port of a loopback address (RFC 8252 section 7.3).
    redirect_uris: hosts.flatMap((host) => options.redirectPaths.map((path) => `http://${host}${path}`)),
    ...(confidential ? { client_secret: options.clientSecret } : {}),
  };
  if (confidential) return [interactive];
  const service = { grant_types: ['client_credentials', ...WORKLOAD_GRANTS], redirect_uris: [], response_types: [] };
  return [
    interactive,
    { ...service, client_id: CI_CLIENT, client_secret: CI_SECRET },
    {
      ...service,
      client_id: CI_JWT_CLIENT,
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'ES256',
      jwks: { keys: [ciPublicKey] },
    },
  ];
}

function clientAuthMethods({ clientAuth }) {
  if (clientAuth !== 'none') return [clientAuth];
  return ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'];
}

function features(options) {
  return {
    clientCredentials: { enabled: true },
    dPoP: { enabled: false },
    introspection: { enabled: true, allowedPolicy: (ctx, client, token) => client.clientId === token.clientId },
    pushedAuthorizationRequests: { enabled: false },
    revocation: { enabled: true, allowedPolicy: (ctx, client, token) => client.clientId === token.clientId },
    rpInitiatedLogout: { enabled: false },
    deviceFlow: {
      enabled: options.deviceFlow,
      userCodeInputSource: (ctx, form) => page(ctx, 'Enter your code', form + submit('Input')),
      userCodeConfirmSource: (ctx, form, client, device, code) => page(ctx, `Is it ${code}?`, form + submit('Confirm') + ABORT),
      successSource: (ctx) => page(ctx, 'Signed in', ''),
    },
    // Only a token for a named resource is a JWT; the one resource is there by default.
    resourceIndicators: {
      enabled: true,
      defaultResource: () => AUDIENCE,
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx, indicator) => {
        if (indicator !== AUDIENCE) throw new errors.InvalidTarget();
        return RESOURCE_SERVER;
      },
    },
  };
}

function lifetimes(options) {
  const day = 24 * 3600;
  return {
    AccessToken: () => options.accessTokenSeconds,
    ClientCredentials: () => options.accessTokenSeconds,
    DeviceCode: () => options.deviceCodeSeconds,
    RefreshToken: () => options.refreshTokenSeconds,
    AuthorizationCode: 60,
    Grant: day,
    IdToken: 3600,
    Interaction: 3600,
    Session: day,
  };
}

function account(sub) {
  if (!Object.hasOwn(USERS, sub)) return undefined;
  const { groups } = USERS[sub];
  return { accountId: sub, claims: () => ({ sub, preferred_username: sub, groups }) };
}

function issuesRefresh({ issueRefresh }, client, source) {
  if (issueRefresh === 'never' || !client.grantTypeAllowed('refresh_token')) return false;
  return issueRefresh === 'always' || source.scopes.has('offline_access');
}

/** Makes an access token that a Crane server accepts: typ JWT, a user name and groups. */
function dressToken(options, token, jwt) {
  const { accountId, clientId } = token;
  jwt.header = { typ: options.jwtType };
  jwt.payload.azp = clientId;
  jwt.payload.preferred_username = accountId ?? token.workload ?? `service-account-${clientId}`;
  if (options.groupsClaim) jwt.payload.groups = USERS[accountId]?.groups ?? [];
  jwt.payload.iat += options.clockOffsetSeconds;
  jwt.payload.exp += options.clockOffsetSeconds;
}

function submit(name) {
  return `<button type="submit" form="op.device${name}Form">Continue</button>`;
}

function page(ctx, title, form) {
  ctx.type = 'html';
  ctx.body = `<!DOCTYPE html><title>${title}</title><h1>${title}</h1>${form}`;
}
