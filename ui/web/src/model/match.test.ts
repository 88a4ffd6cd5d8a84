import { describe, expect, it } from "vitest";
import { parseFilter } from "./filter-text";
import { countMarks, matchFilter, matchText } from "./match";
import { columnsOf, FACTS } from "./testing";

const columns = columnsOf([-1, 0, 0], {
  services: ["checkout", "payment", "cart"],
  names: ["POST /pay", "Charge", "HGET cart"],
  statuses: ["unset", "error", "ok"],
  duration: [100e6, 40e6, 1e6],
});

function check(text: string, expected: readonly number[]): void {
  const answer = parseFilter(text);
  if ("error" in answer || !answer.filter) throw new Error(text);
  expect([...matchFilter(columns, FACTS, answer.filter)]).toEqual(expected);
}

describe("matching in the browser", () => {
  it("compares fields", () => {
    check("service = payment", [0, 1, 0]);
    check("service != payment", [1, 0, 1]);
    check("duration >= 40ms", [1, 1, 0]);
    check("operation contains CART", [0, 0, 1]);
    check("status = error or status = ok", [0, 1, 1]);
    check("not status = error", [1, 0, 1]);
    check("is_root", [1, 0, 0]);
    check("is_root != true", [0, 1, 1]);
    check("root.service = shop and duration < 2ms", [0, 0, 1]);
  });

  it("finds words in service and name, each of them", () => {
    expect([...matchText(columns, "cart hget")]).toEqual([0, 0, 1]);
    expect([...matchText(columns, "PAY")]).toEqual([1, 1, 0]);
    expect(countMarks(matchText(columns, "nothing"))).toBe(0);
  });
});
