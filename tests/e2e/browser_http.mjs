// Chromium on a page whose fetch, EventSource and WebSocket all go through the gateway to one origin.
import { strict as assert } from 'node:assert';
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const { SLUICE_URL, SLUICE_CERTIFICATE } = process.env;
const key = new X509Certificate(readFileSync(SLUICE_CERTIFICATE)).publicKey.export({ type: 'spki', format: 'der' });
const pin = createHash('sha256').update(key).digest('base64');
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', `--ignore-certificate-errors-spki-list=${pin}`],
});
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(60000);
  const answer = await page.goto(SLUICE_URL + '/');
  assert.equal(answer.status(), 200);
  await page.waitForFunction(() => document.title !== 'page');
  assert.equal(await page.title(), 'done');
  assert.deepEqual(await page.evaluate(() => seen), { fetch: 100000, events: '1,2,3', socket: 'over the same origin' });
  console.log('ok one origin');
} finally {
  await browser.close();
}
