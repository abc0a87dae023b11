// npm ws as a client of the gateway.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import WebSocket from 'ws';
import { assert, base, ca, runAll, scenario, token } from './scenario.mjs';

const authorized = { authorization: `Bearer ${token}` };
const open = async (path, protocols, options = {}) => {
  const socket = new WebSocket(base + path, protocols, { ca, headers: authorized, maxPayload: 64 << 20, ...options });
  await once(socket, 'open');
  return socket;
};
const ask = async (socket, data, options) => {
  const answer = once(socket, 'message');
  socket.send(data, options);
  const [payload, binary] = await answer;
  return binary ? payload : payload.toString();
};
const closed = async (socket) => {
  const [code, reason] = await once(socket, 'close');
  return { code, reason: reason.toString() };
};
const refused = (path, options) => new Promise((resolve, reject) => {
  const socket = new WebSocket(base + path, [], { ca, ...options });
  socket.on('unexpected-response', (_, response) => { resolve(response); response.destroy(); });
  socket.on('open', () => reject(new Error('accepted')));
  socket.on('error', reject);
});

scenario('text and binary', async () => {
  const socket = await open('/chat');
  assert.equal(await ask(socket, 'grüße 😀'), 'grüße 😀');
  const blob = randomBytes(70000);
  assert.deepEqual(await ask(socket, blob), blob);
  assert.equal(await ask(socket, ''), '');
  const end = closed(socket);
  socket.close(1000, 'done');
  assert.deepEqual(await end, { code: 1000, reason: 'done' });
});

scenario('a large message', async () => {
  const socket = await open('/chat', [], { perMessageDeflate: false });
  const blob = randomBytes(12 << 20);
  assert.ok((await ask(socket, blob)).equals(blob));
  socket.terminate();
});

scenario('permessage-deflate passes through', async () => {
  const socket = await open('/chat');
  assert.match(socket.extensions, /permessage-deflate/);
  for (let n = 0; n < 20; n++) assert.equal(await ask(socket, `a compressible text ${n} `.repeat(500)), `a compressible text ${n} `.repeat(500));
  socket.terminate();
});

scenario('no permessage-deflate where text is validated', async () => {
  const socket = await open('/validated');
  assert.equal(socket.extensions, '');
  assert.equal(await ask(socket, 'x'.repeat(5000)), 'x'.repeat(5000));
  socket.terminate();
});

scenario('fragments', async () => {
  const socket = await open('/chat', [], { perMessageDeflate: false });
  const answer = once(socket, 'message');
  socket.send('one ', { fin: false });
  socket.ping('between');
  socket.send('two ', { fin: false });
  socket.send('three', { fin: true });
  assert.equal((await answer)[0].toString(), 'one two three');
  socket.terminate();
});

scenario('a thousand messages in order', async () => {
  const socket = await open('/chat', [], { perMessageDeflate: false });
  const got = [];
  const all = new Promise((resolve) => socket.on('message', (data) => { got.push(Number(data)); if (got.length === 1000) resolve(); }));
  for (let n = 0; n < 1000; n++) socket.send(String(n));
  await all;
  assert.deepEqual(got, [...got.keys()]);
  socket.terminate();
});

scenario('ping and pong both ways', async () => {
  const socket = await open('/chat');
  const pong = once(socket, 'pong');
  socket.ping('from the client');
  assert.equal((await pong)[0].toString(), 'from the client');
  const ping = once(socket, 'ping');
  socket.send('ping me');
  assert.equal((await ping)[0].toString(), 'from the backend');
  socket.terminate();
});

scenario('subprotocol: the choice of the backend', async () => {
  const socket = await open('/chat', ['chat.v1', 'chat.v2']);
  assert.equal(socket.protocol, 'chat.v2');
  socket.terminate();
});

scenario('token by subprotocol', async () => {
  const socket = await open('/chat', ['bearer', token, 'chat.v1'], { headers: {} });
  assert.equal(socket.protocol, 'chat.v1');
  const { headers } = JSON.parse(await ask(socket, 'headers?'));
  assert.equal(headers['sec-websocket-protocol'], 'chat.v1');
  assert.equal(headers['x-user-id'], 'alice');
  socket.terminate();
});

scenario('token by query', async () => {
  const socket = await open(`/chat?a=1&access_token=${token}`, [], { headers: {} });
  const { url, headers } = JSON.parse(await ask(socket, 'headers?'));
  assert.equal(url, '/chat?a=1');
  assert.equal(headers['x-forwarded-proto'], 'https');
  socket.terminate();
});

scenario('close codes of client and backend', async () => {
  for (const code of [1000, 1008, 1011, 3001, 4000, 4999]) {
    const mine = await open('/chat');
    const end = closed(mine);
    mine.close(code, 'mine');
    assert.deepEqual(await end, { code, reason: 'mine' });
    const theirs = await open('/chat');
    const other = closed(theirs);
    theirs.send(`close ${code}`);
    assert.deepEqual(await other, { code, reason: 'as you wish' });
  }
});

scenario('refusals are HTTP statuses', async () => {
  const none = await refused('/chat', {});
  assert.equal(none.statusCode, 401);
  assert.match(none.headers['www-authenticate'], /^Bearer/);
  const bad = await refused('/chat', { headers: { authorization: 'Bearer x.y.z' } });
  assert.equal(bad.statusCode, 401);
  assert.match(bad.headers['www-authenticate'], /invalid_token/);
  assert.equal((await refused('/nowhere', {})).statusCode, 404);
  assert.equal((await refused('/origin', { origin: 'https://evil.example' })).statusCode, 403);
  assert.equal((await refused('/down', {})).statusCode, 503);
});

scenario('refusals that a browser can see', async () => {
  const socket = await open('/soft', [], { headers: {} });
  assert.equal((await closed(socket)).code, 4401);
});

scenario('a message that is too big', async () => {
  const socket = await open('/small', [], { perMessageDeflate: false });
  socket.send(randomBytes(2000));
  assert.equal((await closed(socket)).code, 1009);
});

scenario('text that is no UTF-8', async () => {
  const socket = await open('/validated');
  socket.send(Buffer.from([0xff, 0xfe]), { binary: false });
  assert.equal((await closed(socket)).code, 1007);
});

await runAll();
