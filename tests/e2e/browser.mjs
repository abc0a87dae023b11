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
  assert.ok(answer.headers()['content-security-policy'], 'a strict CSP');
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
  await until('connected', (text) => /connected|open/i.test(text));

  const input = page.locator('input[type=text]:not([readonly]), textarea:not([readonly]), input:not([type]):not([readonly])').last();
  for (let n = 0; n < 4; n++) {
    await input.fill(`message number ${n}`);
    await button(/^send$/i).first().click();
    await until(`the answer to message ${n}`, (text) => text.includes(`message number ${n}`));
    await page.waitForTimeout(300);
  }
  const names = new Set((await seen()).match(/\b(?:backend|echo|server)[-_ ]?[a-z0-9]+\b/gi)?.map((name) => name.toLowerCase()));
  assert.ok(names.size >= 2, `two backends answer; seen: ${[...names]}\n${await seen()}`);
  await page.screenshot({ path: `${DEMO_SHOTS}/demo-connected.png`, fullPage: true });

  // Faster than the limit allows: a button of the page that sends many, or many sends by hand.
  const burst = button(/burst|flood|many|fast/i).first();
  if (await burst.count()) await burst.click();
  else for (let n = 0; n < 40; n++) { await input.fill(`fast ${n}`); await button(/^send$/i).first().click(); }
  await until('the rate limit shows', (text) => /limit|delay|slow|4429|1008/i.test(text));

  if (await button(/disconnect|close/i).first().isEnabled()) await button(/disconnect|close/i).first().click();
  await until('the close code shows', (text) => /\b(1000|1005|1008|4\d\d\d)\b/.test(text));
  await page.screenshot({ path: `${DEMO_SHOTS}/demo-closed.png`, fullPage: true });

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
