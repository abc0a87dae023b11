// Chromium on the demo's page: connect, send, see the backends alternate, meet the rate limit, see the close code.
import { strict as assert } from 'node:assert';
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const { DEMO_PAGE, DEMO_SHOTS, DEMO_CA } = process.env;
// Trust exactly the demo's key, as a person does who accepts the certificate; nothing else.
const key = new X509Certificate(readFileSync(DEMO_CA)).publicKey.export({ type: 'spki', format: 'der' });
const pin = createHash('sha256').update(key).digest('base64');

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', `--ignore-certificate-errors-spki-list=${pin}`],
});
let page;
try {
  page = await browser.newPage();
  page.setDefaultTimeout(15000);
  const errors = [];
  const elsewhere = [];
  page.on('pageerror', (fault) => errors.push(String(fault)));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('request', (request) => new URL(request.url()).host !== new URL(DEMO_PAGE).host && elsewhere.push(request.url()));

  const answer = await page.goto(DEMO_PAGE);
  assert.equal(answer.status(), 200);
  assert.match(answer.headers()['content-type'], /text\/html/);
  assert.deepEqual(errors, [], 'the page loads without errors');

  const button = (name) => page.getByRole('button', { name });
  const seen = () => page.locator('body').innerText();
  const until = async (what, condition, seconds = 15) => {
    for (const end = Date.now() + seconds * 1000; ;) {
      if (condition(await seen())) return;
      assert.ok(Date.now() < end, `${what}; the page says:\n${await seen()}`);
      await page.waitForTimeout(50);
    }
  };

  await button(/^connect/i).first().click();
  await until('connected', (text) => /State: connected/.test(text));

  const input = page.locator('input[type=text]:not([readonly]), textarea:not([readonly]), input:not([type]):not([readonly])').last();
  for (let n = 0; n < 4; n++) {
    await input.fill(`message number ${n}`);
    await button(/^send$/i).first().click();
    await until(`the answer to message ${n}`, (text) => text.includes(`message number ${n}`));
    await page.waitForTimeout(300);
  }
  const names = await page.locator('#log td:nth-child(3)').allInnerTexts();
  const backends = names.filter((name) => name);  // newest first
  assert.equal(backends.length, 4, `each answer names its backend: ${names}`);
  assert.ok(backends[0] !== backends[1] && backends[0] === backends[2] && backends[1] === backends[3], `alternate: ${backends}`);
  await page.screenshot({ path: `${DEMO_SHOTS}/demo-connected.png`, fullPage: true });

  // Faster than the limit allows: the gateway closes, and the page says with which code.
  await button(/at once/i).click();
  await until('the rate limit closes', (text) => /closed with code (1008|4429)/.test(text));
  await page.screenshot({ path: `${DEMO_SHOTS}/demo-limited.png`, fullPage: true });

  // And once more, closed by hand.
  await button(/^connect/i).click();
  await until('connected again', (text) => /State: connected/.test(text));
  await button(/^close/i).click();
  await until('the close code shows', (text) => /closed with code 1000 bye/.test(text));

  assert.deepEqual(elsewhere, [], 'nothing is loaded from elsewhere');
  assert.deepEqual(errors.filter((text) => !/WebSocket/.test(text)), []);
  console.log('ok      demo page in', await browser.version());
} catch (fault) {
  await page?.screenshot({ path: `${DEMO_SHOTS}/demo-failed.png`, fullPage: true }).catch(() => {});
  console.log(`FAILED  ${fault.stack}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
