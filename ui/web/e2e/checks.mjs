// What a person does, as checks. Each gets a fresh page; its name is the sentence that must hold.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { knownTrace, MARKUP, SERVICE, sendTo } from "./telemetry.mjs";

const rows = (page) => page.getByRole("grid").getByRole("row");
const spans = (page) => page.getByRole("treegrid").getByRole("row");
const selectedSpan = (page) => page.locator('[role=treegrid] [aria-selected="true"]');

async function painted(page, selector) {
  return page
    .locator(selector)
    .first()
    .evaluate((canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      let count = 0;
      for (let index = 3; index < data.length; index += 4) if (data[index] > 0) count += 1;
      return count;
    });
}

/** What the page shows of its state, to compare two visits of one URL. */
const shown = (page) =>
  page.evaluate(() => {
    const texts = (selector) => [...document.querySelectorAll(selector)].map((each) => each.textContent);
    return {
      rows: texts('[role="row"]').slice(0, 20),
      selected: texts('[aria-selected="true"]'),
      inputs: [...document.querySelectorAll("input")].map((each) => each.value),
      pressed: texts('[aria-pressed="true"]'),
      editor: texts(".cm-line"),
      heading: texts("h1, h2"),
    };
  });

export const CHECKS = {
  "search finds a service's traces by picking, without knowing the syntax": async ({ page, url, shot }) => {
    await page.goto(`${url}/explore?range=all`);
    await rows(page).nth(1).waitFor();
    await page.getByRole("button", { name: "Service", exact: true }).click();
    await page.getByRole("combobox", { name: "Service: type to find" }).fill(SERVICE);
    await page.getByRole("option", { name: SERVICE }).first().waitFor();
    await shot("explore-picker");
    await page.keyboard.press("Enter");
    await page.waitForURL(/q=service/);
    await page.getByText("POST /e2e/checkout").first().waitFor();
    assert.equal(await page.getByRole("combobox", { name: "Filter" }).inputValue(), `service = ${SERVICE}`);
    await shot("explore");
  },

  "the filter box completes, marks a mistake at its character and finds attributes": async ({
    page,
    url,
    shot,
  }) => {
    await page.goto(`${url}/explore?range=all`);
    const box = page.getByRole("combobox", { name: "Filter" });
    await box.click();
    await box.pressSequentially("duration > fast");
    await page.keyboard.press("Escape");
    await page.getByText("expected a duration").waitFor();
    await page.getByText("(character 12)").waitFor();
    await shot("explore-mistake");
    await box.fill("");
    await box.pressSequentially("serv");
    await page
      .getByRole("option", { name: /^service/ })
      .first()
      .waitFor();
    await shot("explore-completion");
    await box.fill(`payment.provider = acme and duration > 100ms and http.route exists`);
    await page.keyboard.press("Enter");
    await page.getByText("Nothing matches this filter").waitFor();
    await shot("explore-empty");
    await box.fill(`payment.provider = acme and status = error and duration > 100ms`);
    await page.keyboard.press("Enter");
    await page.getByText("POST /e2e/checkout").first().waitFor();
    await page.getByRole("tab", { name: "Spans" }).click();
    await page.getByRole("gridcell", { name: "e2e-payment Charge" }).first().waitFor();
    await shot("explore-spans");
  },

  "the list is walked by keys, and the opened trace stands at the matched span": async ({
    page,
    url,
    known,
  }) => {
    await page.goto(`${url}/explore?range=all&q=payment.provider+=+acme+and+trace+=+${known.traceId}`);
    await page.getByText("POST /e2e/checkout").first().waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await page.waitForURL(new RegExp(`/trace/${known.traceId}`));
    await selectedSpan(page).getByText("Charge").waitFor();
    assert.match(page.url(), new RegExp(`span=${known.failing}`));
    await page.goBack();
    await page.waitForURL(/explore/);
    await page.locator('[role=grid] [aria-selected="true"]').waitFor();
  },

  "a list loads more, newest first, without gaps": async ({ page, url }) => {
    await page.goto(`${url}/explore?range=all&rows=spans`);
    await rows(page).nth(1).waitFor();
    const count = async () => Number(await page.getByRole("grid").getAttribute("aria-rowcount"));
    const before = await count();
    await page.getByRole("grid").focus();
    await page.keyboard.press("End");
    const more = page.getByRole("button", { name: "Load more" });
    if ((await more.count()) === 0) return;
    await more.click();
    await page.waitForFunction(
      (than) => Number(document.querySelector("[role=grid]")?.getAttribute("aria-rowcount")) > than,
      before,
    );
  },

  "a trace shows its spans, and a clicked span its attributes as text": async ({
    page,
    url,
    known,
    shot,
  }) => {
    await page.goto(`${url}/trace/${known.traceId}`);
    await spans(page)
      .nth(known.count - 1)
      .waitFor();
    assert.equal(await spans(page).count(), known.count);
    assert.ok((await painted(page, "[role=treegrid] canvas")) > 1000, "bars are painted");
    assert.ok((await painted(page, "main canvas")) > 200, "the minimap is painted");
    await page.getByText("1 error", { exact: true }).waitFor();
    await spans(page).first().click();
    const details = page.getByRole("complementary", { name: "Span details" });
    await details.getByText("/e2e/checkout", { exact: true }).waitFor();
    await details.getByText(MARKUP, { exact: true }).waitFor();
    await shot("trace-root");
    await page.getByRole("treegrid").focus();
    await page.keyboard.press("e");
    await details.getByText("card refused").first().waitFor();
    await details.getByText("CardRefused: no").waitFor();
    await details.getByText("payment.provider").waitFor();
    await shot("trace");
    const download = page.waitForEvent("download");
    await page.getByRole("link", { name: "Download OTLP" }).click();
    const file = await download;
    assert.equal(file.suggestedFilename(), `trace-${known.traceId}.otlp.json`);
    const groups = JSON.parse(readFileSync(await file.path(), "utf8")).resourceSpans;
    const scopes = groups.flatMap((group) => group.scopeSpans);
    assert.equal(scopes.flatMap((scope) => scope.spans).length, known.count);
    assert.doesNotMatch(await page.title(), /broken/);
    assert.equal(await page.locator('img, [src="x"]').count(), 0);
    await details.getByText("payment.provider").hover();
    await details.getByRole("button", { name: "Search for payment.provider with this value" }).click();
    await page.waitForURL(/explore/);
    await page.getByText("POST /e2e/checkout").first().waitFor();
  },

  "a trace is filtered, collapsed and zoomed, and a reload shows the same": async ({
    page,
    url,
    known,
    shot,
    second,
  }) => {
    await page.goto(`${url}/trace/${known.traceId}?span=${known.failing}`);
    await selectedSpan(page).getByText("Charge").waitFor();
    await page.getByRole("textbox", { name: "Filter this trace" }).fill("select");
    await page.getByText("24 matches").waitFor();
    await shot("trace-filter");
    await page.getByRole("textbox", { name: "Filter this trace" }).fill("payment.provider = acme");
    await page.getByText("1 match", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Only matches" }).click();
    await page.waitForFunction(() => document.querySelectorAll("[role=treegrid] [role=row]").length === 3);
    await page.getByRole("treegrid").focus();
    await page.keyboard.press("z");
    await page.waitForURL(/zoom=/);
    await page.getByText("payment.provider").waitFor();
    await page.waitForTimeout(500);
    const before = await shown(page);
    await page.reload();
    await page.getByText("payment.provider").waitFor();
    await page.getByText("1 match", { exact: true }).waitFor();
    assert.deepEqual(await shown(page), before);
    const other = await second();
    await other.page.goto(page.url());
    await other.page.getByText("payment.provider").waitFor();
    await other.page.getByText("1 match", { exact: true }).waitFor();
    assert.deepEqual(await shown(other.page), before);
    await other.context.close();
  },

  "collapse and expand work by keys": async ({ page, url, known }) => {
    await page.goto(`${url}/trace/${known.traceId}`);
    await spans(page).nth(5).waitFor();
    await page.getByRole("button", { name: "Collapse all" }).click();
    await page.waitForFunction(() => document.querySelectorAll("[role=treegrid] [role=row]").length === 1);
    await page.getByRole("treegrid").focus();
    for (const key of ["Home", "l", "j", "l"]) await page.keyboard.press(key);
    await page.waitForFunction(
      (count) => document.querySelectorAll("[role=treegrid] [role=row]").length === count,
      known.count,
    );
    await page.keyboard.press("h");
    await page.waitForFunction(() => document.querySelectorAll("[role=treegrid] [role=row]").length === 2);
  },

  "live search shows a trace that arrives": async ({ page, url, send }) => {
    await page.goto(`${url}/explore?q=service+=+${SERVICE}`);
    await rows(page).nth(1).waitFor();
    await page.getByRole("button", { name: "Live" }).click();
    await page.waitForURL(/live=1/);
    const { traceId } = await send();
    await page.locator(`[role=grid] a[href*="${traceId}"]`).waitFor();
  },

  "an unknown trace says so": async ({ page, url }) => {
    page.allowed = /404/;
    await page.goto(`${url}/trace/${"e".repeat(32)}`);
    await page.getByText("No such trace").waitFor();
  },

  "SQL runs, shows rows, links trace ids, marks an error and downloads": async ({
    page,
    url,
    known,
    shot,
  }) => {
    page.allowed = /status of 400/;
    await page.goto(`${url}/sql`);
    const editor = page.locator(".cm-content");
    await editor.click();
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.insertText(
      `SELECT trace_id, span_id, service_name, span_name, duration_ns, start_time FROM spans WHERE trace_id = '${known.traceId}' ORDER BY start_time`,
    );
    await page.keyboard.press("ControlOrMeta+Enter");
    await page.getByRole("link", { name: known.traceId }).first().waitFor();
    await page.getByText("27 rows", { exact: true }).waitFor();
    await shot("sql");
    const before = await shown(page);
    await page.reload();
    await page.getByRole("link", { name: known.traceId }).first().waitFor();
    assert.deepEqual(await shown(page), before);
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "CSV" }).click();
    assert.equal((await download).suggestedFilename(), "spanhouse.csv");
    await editor.click();
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.insertText("SELECT service_name,\n  nosuch_column\nFROM spans");
    await page.keyboard.press("ControlOrMeta+Enter");
    await page.getByRole("alert").waitFor();
    await shot("sql-error");
    const marked = page.locator(".cm-fault");
    if ((await marked.count()) === 0)
      throw new Error(`no mark in the text: ${await page.getByRole("alert").textContent()}`);
    assert.match(await marked.first().textContent(), /nosuch_column/);
    await page.getByRole("button", { name: "History" }).click();
    await page.getByRole("button", { name: /nosuch_column/ }).waitFor();
  },

  "every example of the SQL console runs": async ({ page, url }) => {
    await page.goto(`${url}/sql`);
    await page.locator(".cm-content").waitFor();
    await page.getByRole("button", { name: "Examples" }).click();
    const titles = await page.locator("li button b").allTextContents();
    assert.ok(titles.length > 3);
    await page.keyboard.press("Escape");
    for (const title of titles) {
      await page.getByRole("button", { name: "Examples" }).click();
      await page.getByRole("button", { name: title }).click();
      const answered = page.locator("footer").getByText(/^(exact|stored|estimated|unweighted)$/);
      const failed = page.getByRole("alert");
      await page.getByRole("button", { name: "Run" }).and(page.locator(":enabled")).waitFor();
      await answered.or(failed).first().waitFor();
      if ((await failed.count()) > 0) throw new Error(`${title}: ${await failed.first().textContent()}`);
    }
  },

  "setup names this server's addresses in every snippet": async ({ page, url, status, shot }) => {
    await page.goto(`${url}/setup`);
    const http = status.listeners.find((each) => each.name === "otlp-http").address;
    const grpc = status.listeners.find((each) => each.name === "otlp-grpc").address;
    for (const tab of ["Any SDK", "Python", "Node.js", "Java", "Go"]) {
      await page.getByRole("tab", { name: tab }).click();
      await page.getByText(`OTEL_EXPORTER_OTLP_ENDPOINT=http://${http}`).first().waitFor();
    }
    await shot("setup-go");
    await page.getByRole("tab", { name: "OTel Collector" }).click();
    await page.getByText(`endpoint: ${grpc}`).waitFor();
    await page.getByRole("textbox", { name: "Service name" }).fill("shop");
    await page.waitForURL(/service=shop/);
    await page.reload();
    await page.getByText(`endpoint: ${grpc}`).waitFor();
    await page.getByRole("tab", { name: "Any SDK" }).click();
    await page.getByText("OTEL_SERVICE_NAME=shop").waitFor();
    await shot("setup");
    await page.getByRole("link", { name: "Open the newest trace" }).click();
    await page.waitForURL(/trace/);
    await spans(page).first().waitFor();
  },

  "ingest shows what came in": async ({ page, url, shot }) => {
    await page.goto(`${url}/ingest`);
    await page.getByText("Spans received").waitFor();
    await page.getByText("a second now").waitFor();
    await shot("ingest");
  },

  "a sampling policy is refused with its reason, tried, applied, and a dropped trace is its digest": async ({
    page,
    url,
    status,
    shot,
  }) => {
    page.allowed = /status of 40[04]/;
    await page.goto(`${url}/ingest`);
    const budget = page.getByRole("textbox", { name: "Budget" });
    const press = (name) => page.locator("form").getByRole("button", { name, exact: true }).last().click();
    const before = await budget.inputValue();
    await budget.fill("1000 spans");
    await press("Try");
    await page.getByRole("alert").getByText("write a number, a unit and a time").waitFor();
    await budget.fill("100000 spans/s");
    await press("Try");
    await page.getByText("100000 spans/s would keep").waitFor();
    await shot("ingest-sampling");
    await press("Apply");
    await page.getByText("is in force. What is stored keeps its weights.").waitFor();
    try {
      const { traceId, body } = knownTrace();
      const optOut = { key: "sampling.priority", value: { intValue: "0" } };
      for (const { scopeSpans } of body.resourceSpans)
        for (const { spans: list } of scopeSpans)
          for (const span of list) span.attributes = [...(span.attributes ?? []), optOut];
      await sendTo(status, body);
      await page.waitForTimeout(4000);
      await page.goto(`${url}/trace/${traceId}`);
      await page.getByText("Seen, and not stored").waitFor();
      await page.getByText("its client opted out").waitFor();
      await shot("trace-digest");
    } finally {
      await page.goto(`${url}/ingest`);
      await budget.fill(before);
      await press("Apply");
      await page.getByText("is in force. What is stored keeps its weights.").waitFor();
    }
  },

  "the palette opens a pasted trace id, and keys lead everywhere": async ({ page, url, known, shot }) => {
    await page.goto(`${url}/explore?range=all`);
    await rows(page).nth(1).waitFor();
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keyboard" }).waitFor();
    await shot("help");
    await page.keyboard.press("Escape");
    await page.keyboard.press("g");
    await page.keyboard.press("q");
    await page.waitForURL(/sql/);
    await page.locator(".cm-content").waitFor();
    await page.keyboard.press("ControlOrMeta+k");
    await page.getByRole("combobox", { name: "Go to" }).fill(known.traceId);
    await shot("palette");
    await page.keyboard.press("Enter");
    await page.waitForURL(new RegExp(known.traceId));
    await spans(page).nth(3).waitFor();
  },
};

/** Only where nothing was ever sent: the newcomer's minute. */
export async function firstSpan({ page, url, status, shot }) {
  await page.goto(`${url}/`);
  await page.getByText("No spans have arrived yet").waitFor();
  await page.getByRole("link", { name: "Set up an exporter" }).click();
  await page.getByText("Waiting for the first span").waitFor();
  await shot("setup-waiting");
  const { traceId, body } = knownTrace();
  await sendTo(status, body);
  await page.getByRole("link", { name: "Open the newest trace" }).click();
  await page.waitForURL(new RegExp(traceId));
  await spans(page).nth(3).waitFor();
}

/** Pages and open dialogs that axe reads, in both themes. */
export const PLACES = {
  explore: async (page, { url }) => {
    await page.goto(`${url}/explore?range=all&q=service+=+${SERVICE}`);
    await page.getByText("POST /e2e/checkout").first().waitFor();
  },
  "explore-spans": async (page, { url }) => {
    await page.goto(`${url}/explore?range=all&rows=spans`);
    await rows(page).nth(1).waitFor();
  },
  "explore-picker": async (page, { url }) => {
    await page.goto(`${url}/explore?range=all`);
    await page.getByRole("button", { name: "Status", exact: true }).click();
    await page.getByRole("option", { name: "error" }).waitFor();
  },
  "explore-time": async (page, { url }) => {
    await page.goto(`${url}/explore?range=all`);
    await rows(page).nth(1).waitFor();
    await page.keyboard.press("t");
    await page.getByRole("textbox", { name: "Time range" }).waitFor();
  },
  trace: async (page, { url, known }) => {
    await page.goto(`${url}/trace/${known.traceId}?span=${known.failing}`);
    await page.getByText("payment.provider").waitFor();
  },
  "trace-filter": async (page, { url, known }) => {
    await page.goto(`${url}/trace/${known.traceId}?q=status+=+error`);
    await page.getByText("1 match", { exact: true }).waitFor();
  },
  sql: async (page, { url }) => {
    await page.goto(
      `${url}/sql?q=SELECT+trace_id,+service_name,+status_message,+duration_ns+FROM+spans+LIMIT+50`,
    );
    await page.getByText(/^50 rows$/).waitFor();
    await page.locator(".cm-content").waitFor();
    await page.getByRole("gridcell").nth(3).click();
  },
  setup: async (page, { url }) => {
    await page.goto(`${url}/setup`);
    await page.getByText("Open the newest trace").waitFor();
  },
  ingest: async (page, { url }) => {
    await page.goto(`${url}/ingest`);
    await page.getByText("Listeners").waitFor();
  },
  "ingest-sampling": async (page, { url }) => {
    await page.goto(`${url}/ingest`);
    await page.getByText("What is wanted more").click();
    await page.locator("form").getByRole("button", { name: "Try", exact: true }).last().click();
    await page.getByText("would keep").waitFor();
  },
  "sql-estimates": async (page, { url }) => {
    await page.goto(`${url}/sql?q=SELECT+service_name,+estimate_count()+AS+spans+FROM+spans+GROUP+BY+1`);
    await page.locator(".cm-content").waitFor();
    await page.getByRole("gridcell").nth(1).click();
  },
  help: async (page, { url }) => {
    await page.goto(`${url}/setup`);
    await page.getByText("Open the newest trace").waitFor();
    await page.keyboard.press("?");
    await page.getByRole("dialog").waitFor();
  },
};
