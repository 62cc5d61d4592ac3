// Who may log in, which realms exist, and what each of them does differently.

export const USERS = {
  ada: { groups: ['data-science', 'everyone'] },
  bob: { groups: ['everyone'] },
  eve: { groups: [] },
};

// Characters that survive HTTP Basic only when the client form-urlencodes id and secret first
// (RFC 6749 section 2.3.1). All of them are VSCHAR, the only ones RFC 6749 allows in a secret.
export const AWKWARD_SECRET = 'p@ss:w%rd+&=/ ~?';

export const CI_SECRET = 'ci-secret';

// Every option a realm has; a preset, and then a test, overrides some of them.
const DEFAULTS = {
  path: '', // path component of the issuer
  clientId: 'crane-pip',
  clientAuth: 'none', // none | client_secret_basic | client_secret_post
  clientSecret: AWKWARD_SECRET, // used when clientAuth is not none
  redirectPaths: ['/', '/callback'],
  deviceFlow: true,
  accessTokenSeconds: 300,
  refreshTokenSeconds: 1800,
  deviceCodeSeconds: 600,
  rotate: true, // a new refresh token at each refresh
  reuseDetection: true, // a refresh token used twice revokes its grant
  issueRefresh: 'offline', // always | offline (only with scope offline_access) | never
  sendExpiresIn: true,
  sendRefreshExpiresIn: false,
  sendUserCodeUri: true, // verification_uri_complete
  echoScope: false, // answer with the granted OIDC scopes too
  groupsClaim: true,
  jwtType: 'JWT', // the access token's typ header; a Crane server refuses at+jwt
  clockOffsetSeconds: 0, // added to iat and exp of access tokens
  interval: null, // seconds, sent in the device answer
  enforceInterval: false, // slow_down for a poll that comes too early
  slowDown: 0, // the first N polls of each device code get slow_down
};

const PRESETS = {
  keycloak: {
    path: '/realms/crane',
    issueRefresh: 'always',
    sendRefreshExpiresIn: true,
    echoScope: true,
    interval: 1,
  },
  bare: { issueRefresh: 'never', sendUserCodeUri: false },
  fast: { accessTokenSeconds: 2, refreshTokenSeconds: 10, interval: 1 },
  norotate: { rotate: false },
  basiconly: { clientAuth: 'client_secret_basic' },
  postonly: { clientAuth: 'client_secret_post' },
  nodevice: { deviceFlow: false },
};

export function realmOptions({ preset, name = preset, ...overrides }) {
  if (!Object.hasOwn(PRESETS, preset)) {
    throw new Error(`unknown preset ${preset}; there are ${Object.keys(PRESETS).join(', ')}`);
  }
  checkOptions(overrides);
  return { preset, name, ...DEFAULTS, ...PRESETS[preset], ...overrides };
}

export function checkOptions(options) {
  for (const key of Object.keys(options)) {
    if (!Object.hasOwn(DEFAULTS, key)) throw new Error(`unknown realm option ${key}`);
  }
}
