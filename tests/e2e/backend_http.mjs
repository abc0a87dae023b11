// One origin with everything that a web application of today asks of a server: a page, fetch, an event stream, a WebSocket,
// socket.io, and a server's half of SignalR (negotiate, then its JSON protocol over WebSocket).
//   node backend_http.mjs PORT NAME
import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';
import { Server } from 'socket.io';
import { WebSocketServer } from 'ws';

const [port, name] = process.argv.slice(2);
const PAGE = `<!doctype html><meta charset="utf-8"><title>page</title><script>
const seen = {};
async function all() {
  const posted = await fetch('/echo', { method: 'POST', body: 'x'.repeat(100000) });
  seen.fetch = (await posted.text()).length;
  seen.events = await new Promise((done, fail) => {
    const source = new EventSource('/events'); const got = [];
    source.onmessage = (event) => { got.push(event.data); if (got.length === 3) { source.close(); done(got.join()); } };
    source.onerror = () => fail(new Error('events'));
  });
  seen.socket = await new Promise((done, fail) => {
    const socket = new WebSocket(location.origin.replace('http', 'ws') + '/socket');
    socket.onopen = () => socket.send('over the same origin');
    socket.onmessage = (event) => { done(event.data); socket.close(); };
    socket.onerror = () => fail(new Error('socket'));
  });
}
all().then(() => { document.title = 'done'; }, (fault) => { document.title = 'failed: ' + fault; });
</script>`;

const SEPARATOR = '\x1e';
const connections = new Set();

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://x');
  if (pathname === '/') {
    response.setHeader('Content-Type', 'text/html');
    return response.end(PAGE);
  }
  if (pathname === '/echo') return request.pipe(response);
  if (pathname === '/events') {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    let count = 0;
    const timer = setInterval(() => response.write(`data: ${++count}\n\n`), 50);
    return response.on('close', () => clearInterval(timer));
  }
  if (pathname === '/hub/negotiate' && request.method === 'POST') {
    const connectionToken = randomUUID();
    connections.add(connectionToken);
    request.resume();
    response.setHeader('Content-Type', 'application/json');
    return response.end(JSON.stringify({
      negotiateVersion: 1, connectionId: randomUUID(), connectionToken,
      availableTransports: [{ transport: 'WebSockets', transferFormats: ['Text', 'Binary'] }],
    }));
  }
  response.statusCode = 404;
  response.end();
});

const sockets = new WebSocketServer({ noServer: true });
function hub(socket) {
  let greeted = false;
  socket.on('message', (data) => {
    for (const text of data.toString().split(SEPARATOR).filter(Boolean)) {
      const message = JSON.parse(text);
      if (!greeted) {
        greeted = true;
        socket.send('{}' + SEPARATOR);
      } else if (message.type === 1) {
        socket.send(JSON.stringify({ type: 3, invocationId: message.invocationId, result: message.arguments[0].toUpperCase() }) + SEPARATOR);
      }
    }
  });
}
server.on('upgrade', (request, socket, head) => {
  const { pathname, searchParams } = new URL(request.url, 'http://x');
  if (pathname === '/socket') {
    sockets.handleUpgrade(request, socket, head, (one) => one.on('message', (data) => one.send(data.toString())));
  } else if (pathname === '/hub' && connections.has(searchParams.get('id'))) {
    sockets.handleUpgrade(request, socket, head, hub);
  } else if (!pathname.startsWith('/socket.io/')) {
    socket.destroy();
  }
});

const io = new Server(server, { destroyUpgrade: false });
io.on('connection', (client) => {
  client.on('where', (answer) => answer(name, client.conn.transport.name));
  client.on('echo', (value, answer) => answer(value));
});
server.listen(+port, '127.0.0.1');
