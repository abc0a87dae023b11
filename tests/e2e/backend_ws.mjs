// An echo backend by npm ws: node backend_ws.mjs PORT. Compresses when asked; chooses the subprotocol it knows best.
import { WebSocketServer } from 'ws';

const known = ['chat.v2', 'chat.v1', 'graphql-transport-ws'];
const server = new WebSocketServer({
  host: '127.0.0.1',
  port: Number(process.argv[2]),
  maxPayload: 64 << 20,
  perMessageDeflate: { threshold: 0 },
  handleProtocols: (offered) => known.find((name) => offered.has(name)) ?? false,
});

server.on('connection', (socket, request) => {
  socket.on('error', () => {});
  socket.on('message', (data, binary) => {
    const text = binary ? '' : data.toString();
    if (text === 'headers?') socket.send(JSON.stringify({ url: request.url, headers: request.headers }));
    else if (text.startsWith('close ')) socket.close(Number(text.split(' ')[1]), 'as you wish');
    else if (text === 'ping me') socket.ping('from the backend');
    else socket.send(data, { binary });
  });
});
server.on('listening', () => console.log('ready'));
