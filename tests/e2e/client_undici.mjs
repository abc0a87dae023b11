// Node's undici as a client of the gateway: the WebSocket of the browsers' API.
import { Agent, WebSocket } from 'undici';
import { assert, base, ca, runAll, scenario, token } from './scenario.mjs';

const dispatcher = new Agent({ connect: { ca } });
const headers = { authorization: `Bearer ${token}` };
const event = (target, name) => new Promise((resolve) => target.addEventListener(name, resolve, { once: true }));
const open = async (path, options = {}) => {
  const socket = new WebSocket(base + path, { dispatcher, headers, ...options });
  socket.binaryType = 'arraybuffer';
  const outcome = await Promise.race([event(socket, 'open'), event(socket, 'error')]);
  assert.equal(outcome.type, 'open', outcome.message);
  return socket;
};
const ask = async (socket, data) => {
  const answer = event(socket, 'message');
  socket.send(data);
  return (await answer).data;
};

scenario('text and binary', async () => {
  const socket = await open('/chat');
  assert.equal(await ask(socket, 'grüße 😀'), 'grüße 😀');
  const blob = crypto.getRandomValues(new Uint8Array(60000));
  assert.deepEqual(new Uint8Array(await ask(socket, blob)), blob);
  const end = event(socket, 'close');
  socket.close(1000, 'done');
  const { code, reason, wasClean } = await end;
  assert.deepEqual({ code, reason, wasClean }, { code: 1000, reason: 'done', wasClean: true });
});

scenario('a message of 4 MiB', async () => {
  const socket = await open('/chat');
  const text = 'x'.repeat(4 << 20);
  assert.equal((await ask(socket, text)).length, text.length);
  socket.close();
});

scenario('subprotocol with a token', async () => {
  const socket = await open('/chat', { protocols: ['bearer', token, 'graphql-transport-ws'], headers: {} });
  assert.equal(socket.protocol, 'graphql-transport-ws');
  socket.close();
});

scenario('subprotocol alone answers the marker', async () => {
  const socket = await open('/chat', { protocols: ['bearer', token], headers: {} });
  assert.equal(socket.protocol, 'bearer');
  assert.equal(await ask(socket, 'x'), 'x');
  socket.close();
});

scenario('close codes pass', async () => {
  for (const code of [3000, 4001, 4999]) {
    const socket = await open('/chat');
    const end = event(socket, 'close');
    socket.send(`close ${code}`);
    assert.equal((await end).code, code);
  }
});

scenario('refusals', async () => {
  const socket = new WebSocket(`${base}/chat`, { dispatcher });
  assert.equal((await Promise.race([event(socket, 'open'), event(socket, 'error')])).type, 'error');
  const soft = await open('/soft', { headers: {} });
  assert.equal((await event(soft, 'close')).code, 4401);
});

scenario('a burst of messages', async () => {
  const socket = await open('/chat');
  const got = [];
  const all = new Promise((resolve) => socket.addEventListener('message', ({ data }) => { got.push(Number(data)); if (got.length === 500) resolve(); }));
  for (let n = 0; n < 500; n++) socket.send(String(n));
  await all;
  assert.deepEqual(got, [...got.keys()]);
  socket.close();
});

await runAll();
