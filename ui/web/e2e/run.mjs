// Drives a real server by a real browser.
//
//   SPANHOUSE_URL=http://127.0.0.1:7317 SPANHOUSE_SHOTS=/tmp/shots npm run e2e [-- part of a check's name]
//
// SPANHOUSE_SHOTS is a folder for screenshots; SPANHOUSE_E2E_LARGE the size of the large trace, 0 leaves it out;
// CHROMIUM another browser. Ends with 1 when a check fails.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { axe, launch, open } from "./browser.mjs";
import { CHECKS, firstSpan, PLACES } from "./checks.mjs";
import { measureLarge } from "./large.mjs";
import { knownTrace, sendTo, waitFor } from "./telemetry.mjs";

const url = process.env.SPANHOUSE_URL?.replace(/\/$/, "");
if (!url) {
  console.error("set SPANHOUSE_URL to the address of a running server, http://127.0.0.1:7317 for instance");
  process.exit(2);
}
const shots = process.env.SPANHOUSE_SHOTS;
if (shots) mkdirSync(shots, { recursive: true });
const wanted = process.argv.slice(2).join(" ");

const status = await waitFor("the server", async () => {
  const answer = await fetch(`${url}/api/spanhouse/status`);
  return answer.ok ? answer.json() : undefined;
});
const known = knownTrace();
const browser = await launch();
let failed = 0;

async function check(name, theme, run) {
  if (!name.includes(wanted)) return;
  const { page, context, faults } = await open(browser, theme);
  page.setDefaultTimeout(15_000);
  const started = Date.now();
  const shot = async (title) => {
    if (shots) await page.screenshot({ path: join(shots, `${title}-${theme}.png`) });
  };
  try {
    await run({ page, url, known, status, shot, second: () => open(browser, theme), send });
    if (faults.length > 0) throw new Error(faults.join("\n"));
    console.log(`ok      ${name} (${Date.now() - started} ms)`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${String(error.stack ?? error).replace(/^/gm, "        ")}`);
    for (const fault of faults) console.log(`        ${fault}`);
    await shot(`failed-${name.replace(/\W+/g, "-").slice(0, 60)}`).catch(() => undefined);
  } finally {
    await context.close();
  }
}

async function send(trace = knownTrace()) {
  await sendTo(status, trace.body);
  await waitFor(
    "the trace that was sent",
    async () => (await fetch(`${url}/api/spanhouse/traces/${trace.traceId}`)).ok,
  );
  return trace;
}

const isEmpty = status.ingest.spans === 0 && status.tables.every((table) => table.rows === 0);
if (isEmpty) await check("setup waits for the first span and leads to it", "dark", firstSpan);
else console.log("skipped setup waits for the first span: this server has spans already");
await send(known);
for (const [name, run] of Object.entries(CHECKS)) await check(name, "light", run);
for (const theme of ["light", "dark"]) {
  for (const [place, go] of Object.entries(PLACES)) {
    await check(`axe finds nothing serious: ${place}, ${theme}`, theme, async (given) => {
      await go(given.page, given);
      const found = await axe(given.page);
      await given.shot(`axe-${place}`);
      if (found.length > 0) throw new Error(found.join("\n"));
    });
  }
}
if (process.env.SPANHOUSE_E2E_LARGE !== "0")
  await check("a large trace opens, scrolls, selects and collapses", "light", measureLarge);

await browser.close();
console.log(failed === 0 ? "all checks passed" : `${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
