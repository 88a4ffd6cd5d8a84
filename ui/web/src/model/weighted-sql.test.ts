import { describe, expect, it } from "vitest";
import { estimating } from "./weighted-sql";

describe("a statement is rewritten to estimate", () => {
  const check = (sql: string, expected: string | undefined): void => expect(estimating(sql)).toBe(expected);

  it("where its aggregates have a weighted form", () => {
    check("SELECT count(*) FROM spans", "SELECT estimate_count() FROM spans");
    check("select COUNT( 1 ) n from spans", "select estimate_count() n from spans");
    check(
      "SELECT a, sum(b + max(c, d)) AS s, avg(e) FROM spans ORDER BY s",
      "SELECT a, estimate_sum(b + max(c, d)) AS s, estimate_mean(e) FROM spans ORDER BY s",
    );
    check(
      "SELECT approx_percentile_cont(duration_ns, 0.99), median(x)",
      "SELECT estimate_quantile(duration_ns, 0.99), estimate_quantile(x, 0.5)",
    );
    check(
      "SELECT count(*) FILTER (WHERE status_code = 'error') AS errors FROM spans",
      "SELECT estimate_count() FILTER (WHERE status_code = 'error') AS errors FROM spans",
    );
    check("SELECT 1 FROM spans ORDER BY count(*) DESC", "SELECT 1 FROM spans ORDER BY estimate_count() DESC");
  });

  it("with the figure alone within an expression", () => {
    check(
      "SELECT round(avg(x) / 1e6, 1) FROM spans HAVING count(*) > 10 AND 5 < count(*)",
      "SELECT round(estimate_mean(x)['estimate'] / 1e6, 1) FROM spans HAVING estimate_count()['estimate'] > 10 AND 5 < estimate_count()['estimate']",
    );
    check(
      "SELECT count(*) FILTER (WHERE a) * 100 FROM spans",
      "SELECT estimate_count() FILTER (WHERE a)['estimate'] * 100 FROM spans",
    );
    check("SELECT count(*) / sum(x)", "SELECT estimate_count()['estimate'] / estimate_sum(x)['estimate']");
  });

  it("but not in text, names, comments, windows, or where there is no weighted form", () => {
    check("SELECT 'count(*)', \"count(*)\" -- count(*)\n/* sum(x) */ FROM spans", undefined);
    check("SELECT count(DISTINCT trace_id), count(x), max(y), count", undefined);
    check("SELECT sum(x) OVER (ORDER BY y), percentile_cont(0.5) WITHIN GROUP (ORDER BY x)", undefined);
    check("SELECT count(*", undefined);
  });
});
