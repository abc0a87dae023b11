// Verdicts of npm jose, which shares no code with the gateway: standard input is {keys: [JWK...], tokens: [{kid, token}...]}, standard
// output a list of "" (good) or why not. Each token is checked with the key of its kid, for that key's algorithm alone.
import { importJWK, jwtVerify } from 'jose';

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const { keys, tokens } = JSON.parse(Buffer.concat(chunks));
const known = new Map();
for (const key of keys) known.set(key.kid, { key: await importJWK(key, key.alg), alg: key.alg });
const verdicts = [];
for (const { kid, token } of tokens) {
  const { key, alg } = known.get(kid);
  verdicts.push(await jwtVerify(token, key, { algorithms: [alg] }).then(() => '', (fault) => fault.code ?? String(fault)));
}
console.log(JSON.stringify(verdicts));
