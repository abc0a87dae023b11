// What every client script shares: its arguments, and scenarios that are run one after another.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

export const base = process.env.SLUICE_URL; // wss://localhost:PORT
export const token = process.env.SLUICE_TOKEN;
export const ca = readFileSync(process.env.SLUICE_CA);
export { assert };

const scenarios = [];
export const scenario = (name, run) => scenarios.push([name, run]);

export async function runAll() {
  let failed = 0;
  for (const [name, run] of scenarios) {
    let timer;
    try {
      const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error('no end within 20 s')), 20000);
      });
      await Promise.race([run(), late]);
      console.log(`ok      ${name}`);
    } catch (fault) {
      failed++;
      console.log(`FAILED  ${name}: ${fault.stack}`);
    } finally {
      clearTimeout(timer);
    }
  }
  process.exit(failed ? 1 : 0);
}
