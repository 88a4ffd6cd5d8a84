// Every view survives its URL, and every URL becomes some view.

import { describe, expect, it } from "vitest";
import { formatSearch, parseSearch } from "../base/search";
import type { UrlOf } from "../base/view";
import { EXPLORE_START, exploreUrl } from "./explore/url";
import { SETUP_START, type SetupView, setupUrl } from "./setup/url";
import { sqlUrl } from "./sql/url";
import { TRACE_START, traceUrl } from "./trace/url";

function roundTrip<View>(url: UrlOf<View>, view: View): void {
  const text = formatSearch(url.write(view));
  expect(url.read(parseSearch(text)), text).toEqual(view);
}

const TEXTS = [
  "",
  "service = a",
  'x = "a&b=c#d?e%20f+g"',
  "ünï 😀 <script>",
  "a\nb\tc",
  "1h..now",
  "100%",
  "=",
  "&&",
];

describe("URLs", () => {
  it("hold the start of each page in nothing", () => {
    expect(formatSearch(exploreUrl.write(EXPLORE_START))).toBe("");
    expect(formatSearch(traceUrl.write(TRACE_START))).toBe("");
    expect(formatSearch(setupUrl.write(SETUP_START))).toBe("");
    expect(formatSearch(sqlUrl.write({ q: "", limit: 1000 }))).toBe("");
  });

  it("round-trip explore", () => {
    for (const q of TEXTS)
      for (const rows of ["traces", "spans"] as const)
        for (const live of [true, false])
          for (const range of ["1h", "all", "2026-09-21T13:33:20.123456789Z..now", "30m"])
            roundTrip(exploreUrl, { q, rows, live, range, at: live ? "0123456789abcdef" : "" });
  });

  it("round-trip a trace", () => {
    const flipped = Array.from({ length: 200 }, (_, index) => index.toString(16).padStart(16, "0"));
    for (const q of TEXTS)
      for (const zoom of [undefined, [-5, 100], [0, 9e14]] as const)
        for (const level of [undefined, 0, 12])
          roundTrip(traceUrl, { span: "0123456789abcdef", q, only: q !== "", level, flipped, zoom });
  });

  it("round-trip SQL and setup", () => {
    for (const q of TEXTS) {
      roundTrip(sqlUrl, { q, limit: 10_000 });
      roundTrip<SetupView>(setupUrl, { language: "go", service: q === "" ? "my-service" : q });
    }
  });

  it("make a view of whatever someone wrote", () => {
    const search = {
      span: "<x>",
      level: "-1",
      flip: "a,,b",
      zoom: "9..1",
      rows: "x",
      limit: "7",
      language: "cobol",
    };
    expect(traceUrl.read(search)).toEqual({ ...TRACE_START });
    expect(exploreUrl.read(search).rows).toBe("traces");
    expect(sqlUrl.read(search).limit).toBe(1000);
    expect(setupUrl.read(search).language).toBe("env");
  });
});
