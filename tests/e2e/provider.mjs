// An OpenID provider (npm oidc-provider) by HTTPS on loopback. PORT, CERT, KEY: where and as whom; KEYS: the file that its signing keys
// are kept in over restarts (made when it is not there); LOGOUT: where sessions that end are told (Back-Channel Logout), may be missing.
//
// Clients ask for a token with client_credentials and a resource "urn:AUDIENCE:ALGORITHM[:SECONDS]": that is what the access token, a
// JWT (RFC 9068), is for and how it is signed. On its standard input it takes the lines `rotate` (new keys sign, the old ones are
// still shown) and `drop` (only the newest are), and answers `done`.
import { readFileSync, writeFileSync, existsSync } from 'node:fs';
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';
import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

const { PORT, CERT, KEY, KEYS, LOGOUT } = process.env;
const issuer = process.env.ISSUER ?? `https://localhost:${PORT}`;
const ALGORITHMS = ['RS256', 'ES256', 'EdDSA'];

async function made(generation) {
  return Promise.all(ALGORITHMS.map(async (alg) => {
    const { privateKey } = await generateKeyPair(alg, { extractable: true });
    return { ...(await exportJWK(privateKey)), alg, use: 'sig', kid: `${alg}-${generation}` };
  }));
}

let generation = 1;
let keys = existsSync(KEYS) ? JSON.parse(readFileSync(KEYS)) : await made(generation);

// What a resource's name says: urn:AUDIENCE:ALGORITHM[:SECONDS]
function resourceServer(resource) {
  const [, audience, alg, seconds] = resource.split(':');
  return { scope: 'chat', audience, accessTokenTTL: Number(seconds ?? 600), accessTokenFormat: 'jwt', jwt: { sign: { alg } } };
}

function configured() {
  const provider = new Provider(issuer, {
    jwks: { keys },
    clients: [
      { client_id: 'machine', client_secret: 'machine-secret-of-this-test', grant_types: ['client_credentials'], redirect_uris: [], response_types: [] },
      {
        client_id: 'chat', client_secret: 'chat-secret-of-this-test', grant_types: ['authorization_code'], response_types: ['code'],
        redirect_uris: ['https://localhost/callback'], post_logout_redirect_uris: [], id_token_signed_response_alg: 'ES256',
        ...(LOGOUT ? { backchannel_logout_uri: LOGOUT, backchannel_logout_session_required: true } : {}),
      },
    ],
    enabledJWA: { idTokenSigningAlgValues: ALGORITHMS },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        getResourceServerInfo: (context, resource) => resourceServer(resource),
        useGrantedResource: () => true,
      },
    },
    pkce: { required: () => false },
    cookies: { keys: ['of-this-test-alone'] },
    findAccount: (context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    // Whom it tells is on loopback, which its own dispatcher would refuse.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  });
  provider.on('server_error', (context, fault) => console.error('provider:', fault));
  provider.on('backchannel.error', (context, fault) => console.error('logout:', fault));
  return provider.callback();
}

let answer = configured();
writeFileSync(KEYS, JSON.stringify(keys), { mode: 0o600 });
createServer({ cert: readFileSync(CERT), key: readFileSync(KEY) }, (request, response) => answer(request, response)).listen(Number(PORT), '127.0.0.1');

for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'rotate') keys = [...await made(`${++generation}-${Date.now()}`), ...keys];
  if (line === 'drop') keys = keys.slice(0, ALGORITHMS.length);
  answer = configured();
  writeFileSync(KEYS, JSON.stringify(keys), { mode: 0o600 });
  console.log('done');
}
process.exit(0);
