// The browser, and what it must never do: log an error, throw, or break the content security policy.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, join } from "node:path";
import { chromium } from "playwright-core";

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

function browserPath() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const folders = ["/usr/bin", ...(process.env.PATH ?? "").split(delimiter)];
  for (const name of ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"])
    for (const folder of folders) if (existsSync(join(folder, name))) return join(folder, name);
  throw new Error("no Chromium found; install it, or name one in CHROMIUM");
}

export const launch = () => chromium.launch({ executablePath: browserPath(), args: FLAGS });

/** A page of 1600 x 1000 whose faults are collected. */
export async function open(browser, theme = "light") {
  const context = await browser.newContext({
    viewport: { width: 1600, height: 1000 },
    colorScheme: theme,
    permissions: ["clipboard-read", "clipboard-write"],
    acceptDownloads: true,
  });
  const page = await context.newPage();
  const faults = [];
  page.allowed = undefined;
  page.on("console", (message) => {
    if (!["error", "warning"].includes(message.type()) || page.allowed?.test(message.text())) return;
    faults.push(`console ${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`exception: ${error.message}`));
  await page.exposeFunction("reportViolation", (text) => faults.push(`policy: ${text}`));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) =>
      window.reportViolation(
        `${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`,
      ),
    );
  });
  return { page, context, faults };
}

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Serious and critical violations; axe runs in a world of its own, beside the page's policy. */
export async function axe(page) {
  await page.evaluate(axeSource);
  return page.evaluate(async () => {
    const { violations } = await window.axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    });
    return violations
      .filter((each) => each.impact === "serious" || each.impact === "critical")
      .map(
        (each) =>
          `${each.id}: ${each.help}; ${each.nodes
            .slice(0, 3)
            .map((node) => `${node.target} ${node.failureSummary?.split("\n")[1] ?? ""}`)
            .join(" | ")}`,
      );
  });
}
