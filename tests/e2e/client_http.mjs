// socket.io 4 and SignalR against one origin: each begins by plain requests and goes on as a WebSocket.
import { strict as assert } from 'node:assert';
import { io } from 'socket.io-client';
import { HttpTransportType, HubConnectionBuilder, LogLevel } from '@microsoft/signalr';
import { fetch, Agent } from 'undici';

const { SLUICE_URL } = process.env;

// A browser keeps cookies, Node does not: what sticks a client of polling to its server is carried by hand.
async function sticky() {
  const answer = await fetch(SLUICE_URL + '/');
  await answer.text();
  const cookie = answer.headers.get('set-cookie');
  assert.ok(cookie, 'the answer sets the cookie');
  return cookie.split(';')[0];
}

async function overSocketIo(transports, upgraded) {
  const cookie = await sticky();
  const client = io(SLUICE_URL, { transports, extraHeaders: { Cookie: cookie }, forceNew: true, reconnection: false });
  await new Promise((done, fail) => { client.once('connect', done); client.once('connect_error', fail); });
  if (upgraded && client.io.engine.transport.name !== 'websocket') {
    await new Promise((done) => client.io.engine.once('upgrade', done));
  }
  const names = new Set();
  for (let i = 0; i < 20; i++) {
    names.add(await new Promise((done) => client.emit('where', (name) => done(name))));
    const value = { i, text: 'ä'.repeat(5000), bytes: Buffer.alloc(2000, i) };
    const back = await client.emitWithAck('echo', value);
    assert.equal(back.text, value.text);
    assert.deepEqual(Buffer.from(back.bytes), value.bytes);
  }
  assert.equal(names.size, 1, 'it stayed with one server');
  assert.equal(client.io.engine.transport.name, upgraded ? 'websocket' : 'polling');
  client.close();
}

for (let i = 0; i < 4; i++) await overSocketIo(['polling', 'websocket'], true);
console.log('ok socket.io: polling, then the upgrade');
await overSocketIo(['polling'], false);
console.log('ok socket.io: polling alone');

const cookie = await sticky();
const hub = new HubConnectionBuilder()
  .withUrl(SLUICE_URL + '/hub', { transport: HttpTransportType.WebSockets, headers: { Cookie: cookie } })
  .configureLogging(LogLevel.None).build();
await hub.start();
for (let i = 0; i < 20; i++) assert.equal(await hub.invoke('Shout', `word ${i}`), `WORD ${i}`);
await hub.stop();
console.log('ok SignalR: negotiate, then the WebSocket');

const agent = new Agent({ connections: 4, pipelining: 4 });
const bodies = await Promise.all(Array.from({ length: 40 }, async (_, i) => {
  const answer = await fetch(SLUICE_URL + '/echo', { method: 'POST', body: String(i).repeat(3000), dispatcher: agent });
  return answer.text();
}));
bodies.forEach((body, i) => assert.equal(body, String(i).repeat(3000)));
await agent.close();
console.log('ok fetch');
process.exit(0);
