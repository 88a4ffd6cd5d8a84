// A trace of 50,000 spans: how long until rows show, and how evenly it scrolls. Figures are printed; the run fails
// beyond 1.5 times the goals only when SPANHOUSE_E2E_STRICT is set, since shared machines are noisy.
import { randomBytes } from "node:crypto";
import { largeTrace, sendTo, waitFor } from "./telemetry.mjs";

const COUNT = Number(process.env.SPANHOUSE_E2E_LARGE ?? 50_000);

export async function measureLarge({ page, url, status, shot }) {
  const traceId = process.env.SPANHOUSE_E2E_LARGE_TRACE ?? randomBytes(16).toString("hex");
  if (!process.env.SPANHOUSE_E2E_LARGE_TRACE) {
    for (const request of largeTrace(COUNT, traceId)) await sendTo(status, request);
    await waitFor("the large trace", async () => {
      const answer = await fetch(`${url}/api/sql`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ query: `SELECT count(*) FROM spans WHERE trace_id = '${traceId}'` }),
      });
      return Number((await answer.json()).rows[0][0]) >= COUNT;
    });
  }
  const responded = new Promise((resolve) =>
    page.on(
      "requestfinished",
      (request) => request.url().includes(`/traces/${traceId}`) && resolve(performance.now()),
    ),
  );
  await page.goto(`${url}/trace/${traceId}`);
  const end = await responded;
  await page.locator("[role=treegrid] [role=row]").first().waitFor();
  const firstRow = performance.now() - end;
  const frames = await page.evaluate(async () => {
    const grid = document.querySelector("[role=treegrid]");
    const times = [];
    let last = performance.now();
    for (let frame = 0; frame < 240; frame += 1) {
      grid.scrollTop += frame % 60 === 0 ? 40_000 : 180;
      await new Promise((resolve) => requestAnimationFrame(resolve));
      const now = performance.now();
      times.push(now - last);
      last = now;
    }
    times.sort((left, right) => left - right);
    return { median: times[120], p95: times[228], longest: times[239] };
  });
  const timed = (run) =>
    page.evaluate(async (source) => {
      const started = performance.now();
      document.querySelector(source.selector)?.[source.call]?.();
      await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
      return performance.now() - started;
    }, run);
  const select = await timed({ selector: "[role=treegrid] [role=row]:nth-child(30)", call: "click" });
  await page.waitForTimeout(600);
  const collapse = await timed({ selector: "[role=treegrid] [data-open]", call: "click" });
  await page.waitForTimeout(300);
  const heap = await page.evaluate(() => performance.memory?.usedJSHeapSize ?? 0);
  await shot("trace-large");
  const figures = {
    "end of response to first row": [firstRow, 250],
    "scroll, p95 frame": [frames.p95, 20],
    "scroll, longest frame": [frames.longest, 100],
    select: [select, 50],
    collapse: [collapse, 50],
  };
  for (const [name, [value, goal]] of Object.entries(figures))
    console.log(`  ${name.padEnd(30)} ${value.toFixed(1).padStart(8)} ms, goal ${goal}`);
  console.log(`  ${"heap".padEnd(30)} ${(heap / 1e6).toFixed(1).padStart(8)} MB, goal 100`);
  if (process.env.SPANHOUSE_E2E_STRICT) {
    const over = Object.entries(figures).filter(([, [value, goal]]) => value > goal * 1.5);
    if (over.length > 0)
      throw new Error(`slower than 1.5 times the goal: ${over.map(([name]) => name).join(", ")}`);
  }
}
