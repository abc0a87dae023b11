// Chromium says who it is, by everything that a page's script can do: cookie, query, subprotocol, ticket, first message; it brings a
// fresh token in time. And what it sees when it is refused, and when its token ends. TOKENS: name → token, and as `ending` a list of
// tokens that end one after the other.
//
// A scenario is a line: what the page does (`talk` of identity.html), then what it must have seen. Each is run by ws from a page that
// came by http, and by wss from one that came by https: a browser takes the two for different sites.
import { strict as assert } from 'node:assert';
import { createHash, X509Certificate } from 'node:crypto';
import { appendFileSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const { SLUICE_WS, SLUICE_WSS, SLUICE_CERTIFICATE, SLUICE_KEY, PAGE_PORT, SECURE_PAGE_PORT, TOKENS } = process.env;
const { ending, ...tokens } = JSON.parse(TOKENS);
const html = readFileSync(fileURLToPath(new URL('identity.html', import.meta.url)));
const key = new X509Certificate(readFileSync(SLUICE_CERTIFICATE)).publicKey.export({ type: 'spki', format: 'der' });
const pin = createHash('sha256').update(key).digest('base64');

const show = (request, response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end(html);
const servers = [createServer(show), createSecureServer({ cert: readFileSync(SLUICE_CERTIFICATE), key: readFileSync(SLUICE_KEY) }, show)];
servers[0].listen(Number(PAGE_PORT), '127.0.0.1');
servers[1].listen(Number(SECURE_PAGE_PORT), '127.0.0.1');
// The same page at its own origin and at somebody else's.
const HOME = 'localhost', ELSEWHERE = '127.0.0.1';
const PLACES = [
  { gateway: SLUICE_WS, page: (host) => `http://${host}:${PAGE_PORT}/` },
  { gateway: SLUICE_WSS, page: (host) => `https://${host}:${SECURE_PAGE_PORT}/` },
];

// A credential that was made here: tests/support/canary.py wants to hear of it.
function note(credential) {
  if (process.env.SLUICE_CANARIES) appendFileSync(`${process.env.SLUICE_CANARIES}/known/browser.txt`, `${credential.slice(0, 24)}\n`);
  return credential;
}

const seconds = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).exp - Date.now() / 1000;

// The backend's first message is the head that it was sent; what is said to it comes back.
function met(told, user, { protocol = '', path = '/chat' } = {}) {
  assert.equal(told.opened, true, JSON.stringify(told));
  assert.equal(told.protocol, protocol);
  const head = told.messages.find((text) => text.startsWith('[['));  // the gateway may have said something before it
  const [[, line], ...fields] = JSON.parse(head);
  const of = (name) => fields.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
  assert.deepEqual(of('x-user-id'), [user]);
  assert.equal(line, `GET ${path} HTTP/1.1`);
  for (const token of [...Object.values(tokens), ...ending]) assert.ok(!head.includes(token), 'the backend was sent a token');
  return of;
}
// A handshake that is refused: a page is told nothing but that.
function refused(told) {
  assert.deepEqual({ opened: told.opened, messages: told.messages, code: told.code, reason: told.reason, errors: told.errors },
    { opened: false, messages: [], code: 1006, reason: '', errors: 1 });
}
function closed(told, code, reason) {
  assert.deepEqual({ opened: told.opened, code: told.code, clean: told.clean }, { opened: true, code, clean: true }, JSON.stringify(told));
  assert.match(told.reason, reason);
}

const SCENARIOS = [
  ['query', { path: `/chat?room=1&access_token=${tokens.alice}`, until: 'message' }, (told) => met(told, 'alice', { path: '/chat?room=1' })],
  ['cookie', { path: '/chat', cookie: tokens.alice, until: 'message' }, (told) => {
    assert.deepEqual(met(told, 'alice')('cookie'), ['theme=dark']);
  }],
  ['cookie, page of another site', { path: '/chat', cookie: tokens.alice, page: ELSEWHERE, until: 'close' }, refused],
  ['subprotocol', { path: '/chat', protocols: ['bearer', tokens.alice], until: 'message' }, (told) => {
    assert.deepEqual(met(told, 'alice', { protocol: 'bearer' })('sec-websocket-protocol'), []);
  }],
  ['subprotocol beside a real one', { path: '/chat', protocols: ['chat.v2', 'bearer', tokens.alice], until: 'message' }, (told) => {
    assert.deepEqual(met(told, 'alice', { protocol: 'chat.v2' })('sec-websocket-protocol'), ['chat.v2']);
  }],
  ['two carriers: the first one counts', { path: `/chat?access_token=${tokens.bob}`, cookie: tokens.alice, until: 'message' }, (told) => met(told, 'bob')],
  ['the connection works', { path: `/chat?access_token=${tokens.alice}`, say: ['one', 'two'], until: 'message', messages: 3 }, (told) => {
    met(told, 'alice');
    assert.deepEqual(told.messages.slice(1), ['one', 'two']);
  }],
  ['ticket', { path: '/chat?ticket=@ticket@', until: 'message' }, (told) => met(told, 'alice')],
  ['ticket, a second time', { path: '/chat?ticket=@used@', until: 'close' }, refused],
  ['ticket, asked for by a page of another site', { path: '/chat?ticket=@ticket@', page: ELSEWHERE, until: 'close' }, (told, left, asked) => {
    assert.ok(asked.fault, 'its script was shown an answer');
    refused(told);
  }],
  ['first message', { path: '/first', say: [tokens.alice], until: 'message' }, (told) => met(told, 'alice', { path: '/first' })],
  ['first message, as JSON, and what follows it', {
    path: '/first', say: [JSON.stringify({ type: 'auth', token: tokens.bob }), 'one', 'two'], until: 'message', messages: 3,
  }, (told) => {
    met(told, 'bob', { path: '/first' });
    assert.deepEqual(told.messages.slice(1), ['one', 'two']);
  }],
  ['first message that is no token', { path: '/first', say: ['hello'], until: 'close' }, (told) => {
    assert.deepEqual(told.messages, []);
    closed(told, 4401, /./);
  }],
  ['first message that never comes', { path: '/first', until: 'close' }, (told) => {
    assert.deepEqual(told.messages, []);
    closed(told, 4401, /./);
    assert.ok(told.seconds > 0.9 && told.seconds < 8, `closed after ${told.seconds} s`);
  }],
  ['a warning before the end', { path: '/fresh?access_token=@short@', until: 'close' }, (told, left) => {
    met(told, 'alice', { path: '/fresh' });
    assert.deepEqual(told.messages.slice(1), ['{"type":"expiring"}']);
    closed(told, 4401, /^sign in again$/);
    assert.ok(told.seconds > left - 1.5 && told.seconds < left + 5, `closed after ${told.seconds} s, and ${left} s were left`);
  }],
  ['a fresh token over the connection', {
    path: '/fresh?access_token=@short@', say: [JSON.stringify({ type: 'auth', token: tokens.alice })],
    later: { say: 'still here', seconds: 8 }, until: 'message', messages: 3,
  }, (told, left) => {
    assert.ok(left < 7, 'the token that it came with was over');
    met(told, 'alice', { path: '/fresh' });
    const fresh = told.messages.filter((text) => text.startsWith('{')), echo = told.messages[2];
    assert.equal(fresh.length, 1);
    assert.deepEqual({ ...JSON.parse(fresh[0]), expires: 0 }, { type: 'auth', ok: true, expires: 0 });
    assert.equal(echo, 'still here');
    assert.equal(told.code, null);
  }],
  ['a fresh token of somebody else', {
    path: `/fresh?access_token=${tokens.alice}`, say: [JSON.stringify({ type: 'auth', token: tokens.bob })], until: 'message', messages: 2,
  }, (told) => assert.equal(JSON.parse(told.messages.find((text) => text.startsWith('{'))).ok, false)],
  ['no token', { path: '/chat', until: 'close' }, refused],
  ['a bad token', { path: `/chat?access_token=${tokens.alice.slice(0, -6)}AAAAAA`, until: 'close' }, refused],
  ['no token, where refusals can be read', { path: '/soft', until: 'close' }, (told) => closed(told, 4401, /no_token|credential|token/)],
  ['a late token, where refusals can be read', { path: `/soft?access_token=${tokens.late}`, until: 'close' }, (told) => closed(told, 4401, /exp|token/)],
  ['expiry of a live connection', { path: '/chat?access_token=@short@', until: 'close' }, (told, left) => {
    met(told, 'alice');
    closed(told, 4401, /expired/);
    assert.ok(told.seconds > left - 1.5 && told.seconds < left + 5, `closed after ${told.seconds} s, and ${left} s were left`);
  }],
];

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', `--ignore-certificate-errors-spki-list=${pin}`],
});
try {
  for (const { gateway, page: at } of PLACES) {
    for (const [name, { path, page: host = HOME, cookie, ...how }, judge] of SCENARIOS) {
      // A context each: cookies of one scenario are not those of the next.
      const context = await browser.newContext();
      const page = await context.newPage();
      page.setDefaultTimeout(30000);
      if (cookie) {
        await context.addCookies([{ name: 'session', value: cookie, domain: 'localhost', path: '/' },
          { name: 'theme', value: 'dark', domain: 'localhost', path: '/' }]);
      }
      await page.goto(at(host));
      const short = ending.find((token) => seconds(token) > 5), left = seconds(short);
      // What an application does first: its own token for a ticket.
      let asked = null, ticket = '';
      if (/@ticket@|@used@/.test(path)) {
        asked = await page.evaluate(([url, token]) => ask(url, { headers: { Authorization: `Bearer ${token}` } }),
          [`${gateway.replace('ws', 'http')}/tickets`, tokens.alice]);
        if (asked.status === 200) ticket = note(JSON.parse(asked.body).ticket);
      }
      const url = gateway + path.replace('@short@', short).replace(/@ticket@|@used@/, ticket);
      if (path.includes('@used@')) await page.evaluate((what) => talk(what), { url, until: 'message' });
      const told = await page.evaluate((what) => talk(what), { url, ...how });
      try {
        judge(told, left, asked);
      } catch (fault) {
        throw new Error(`${name} (${gateway}): ${fault.message}\n${JSON.stringify(told)}`);
      }
      console.log('ok      ', gateway.split(':')[0], name);
      await context.close();
    }
  }
  console.log(`all     ${SCENARIOS.length} scenarios in Chromium ${browser.version()}`);
} catch (fault) {
  console.log(`FAILED  ${fault.stack}`);
  process.exitCode = 1;
} finally {
  await browser.close();
  servers.forEach((server) => server.close());
}
