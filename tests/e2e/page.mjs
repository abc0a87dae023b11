// A recipe's page in Chromium: PAGE is a folder with the page and the packages that it names, EXPECT a JavaScript expression
// that must come true on the page, TYPE what is typed first, once READY is true.
import { createHash, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { chromium } from 'playwright-core';

const { PAGE, FILE, QUERY = '', CERTIFICATE, READY, TYPE, EXPECT, SHOT } = process.env;
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.css': 'text/css' };
const key = new X509Certificate(await readFile(CERTIFICATE)).publicKey.export({ type: 'spki', format: 'der' });
const pin = createHash('sha256').update(key).digest('base64');

// Any web server would do for the page's own files.
const server = createServer(async (request, response) => {
  const path = normalize(new URL(request.url, 'http://localhost').pathname);
  const body = await readFile(join(PAGE, path)).catch(() => null);
  response.writeHead(body ? 200 : 404, { 'Content-Type': TYPES[extname(path)] ?? 'application/octet-stream' }).end(body);
});
await new Promise((resolve) => server.listen(0, 'localhost', resolve));

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', `--ignore-certificate-errors-spki-list=${pin}`],
});
let page;
const said = [];
try {
  page = await browser.newPage({ viewport: { width: 800, height: 600 } });
  page.on('pageerror', (fault) => said.push(String(fault)));
  page.on('console', (message) => said.push(message.text()));
  await page.goto(`http://localhost:${server.address().port}/${FILE}${QUERY}`);
  if (TYPE) {
    await page.waitForFunction(READY, null, { timeout: 30000 });
    await page.keyboard.type(TYPE);
  }
  await page.waitForFunction(EXPECT, null, { timeout: 30000 });
  await page.screenshot({ path: SHOT });
  console.log('ok      ', FILE);
} catch (fault) {
  await page?.screenshot({ path: SHOT }).catch(() => {});
  console.log(`FAILED  ${fault.stack}\n${await page?.title()}\n${said.join('\n')}`);
  process.exitCode = 1;
} finally {
  await browser.close();
  server.close();
}
