#include "server/demo_page.h"

namespace sluice::server {

std::string_view demo_page() {
  return R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sluice demo</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark; --line: #8884; --a: #1769aa; --b: #a8480b; --bad: #b3261e; --good: #1b7f3b; }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
  h1 { font-size: 1.4rem; margin: 0 0 .25rem; }
  p { margin: .25rem 0 1rem; }
  form, .row { display: flex; flex-wrap: wrap; gap: .5rem; align-items: end; margin: .75rem 0; }
  label { display: flex; flex-direction: column; font-size: .85rem; flex: 1 1 10rem; }
  input, select, button { font: inherit; padding: .4rem .6rem; }
  button { cursor: pointer; }
  #state { font-weight: 600; }
  #state[data-state=open] { color: var(--good); }
  #state[data-state=closed] { color: var(--bad); }
  table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
  th, td { text-align: left; padding: .25rem .5rem; border-bottom: 1px solid var(--line); vertical-align: top; }
  td:last-child { overflow-wrap: anywhere; }
  .echo-a { color: var(--a); font-weight: 600; }
  .echo-b { color: var(--b); font-weight: 600; }
  .close td { color: var(--bad); font-weight: 600; }
</style>
</head>
<body>
<h1>Sluice demo</h1>
<p>Your browser speaks <code>wss://</code> to the gateway; it checks the token and hands each message to the next of two
backends. More than 5 messages a second (10 at once) and it closes the connection.</p>
<form id="connect">
  <label>Route <select id="route"><option value="/demo">/demo: each message to the next backend</option>
    <option value="/echo">/echo: the same bytes back</option>
    <option value="/line">/line: a TCP service that answers lines</option></select></label>
  <label>Token <input id="token" autocomplete="off" spellcheck="false"></label>
  <button id="open">Connect</button>
  <button id="close" type="button" disabled>Close</button>
</form>
<div>State: <span id="state" data-state="idle">not connected</span></div>
<form id="send">
  <label>Message <input id="text" value="hello" autocomplete="off"></label>
  <button id="sendone" disabled>Send</button>
  <button id="flood" type="button" disabled>Send 50 at once</button>
</form>
<table>
  <thead><tr><th>Time</th><th>What</th><th>Backend</th><th>Content</th></tr></thead>
  <tbody id="log"></tbody>
</table>
<script>
'use strict';
const at = (id) => document.getElementById(id);
let socket = null;
at('token').value = location.hash.startsWith('#token=') ? location.hash.slice(7) : '';

function row(what, backend, content, style) {
  const line = document.createElement('tr');
  if (style) line.className = style;
  for (const text of [new Date().toLocaleTimeString(), what, backend, content]) {
    line.appendChild(document.createElement('td')).textContent = text;
  }
  if (backend) line.cells[2].className = backend;
  at('log').prepend(line);
  while (at('log').rows.length > 200) at('log').deleteRow(-1);
}
function state(name, text) {
  at('state').dataset.state = name;
  at('state').textContent = text;
  const open = name === 'open';
  at('open').disabled = name === 'open' || name === 'connecting';
  for (const id of ['close', 'sendone', 'flood']) at(id).disabled = !open;
}
at('connect').addEventListener('submit', (event) => {
  event.preventDefault();
  const token = at('token').value.trim();
  const url = 'wss://' + location.host + at('route').value;
  state('connecting', 'connecting');
  // A browser cannot set headers: the token travels as the second subprotocol, and the gateway answers the first.
  socket = token ? new WebSocket(url, ['bearer', token]) : new WebSocket(url);
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => { state('open', 'connected to ' + at('route').value); row('open', '', url); };
  socket.onmessage = (message) => {
    const text = typeof message.data === 'string' ? message.data : new TextDecoder().decode(message.data);
    let answer = null;
    try { answer = JSON.parse(text); } catch { /* not every route answers JSON */ }
    if (answer && answer.backend) row('message ' + answer.n, answer.backend, answer.text);
    else row('message', '', text);
  };
  socket.onclose = (event) => {
    const why = event.code === 1006 ? '1006 (refused or cut; a browser is not told why)'
                                    : event.code + (event.reason ? ' ' + event.reason : '');
    state('closed', 'closed with code ' + why);
    row('close', '', 'code ' + why, 'close');
  };
});
at('close').addEventListener('click', () => socket.close(1000, 'bye'));
const body = () => at('text').value + (at('route').value === '/line' ? '\n' : '');
at('send').addEventListener('submit', (event) => { event.preventDefault(); if (socket) socket.send(body()); });
at('flood').addEventListener('click', () => { for (let i = 1; i <= 50; i++) socket.send(body().trimEnd() + ' ' + i + (at('route').value === '/line' ? '\n' : '')); });
</script>
</body>
</html>
)html";
}

}  // namespace sluice::server
