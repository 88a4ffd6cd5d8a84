import { describe, expect, it } from "vitest";
import type { Filter } from "./filter";
import { parseFilter } from "./filter-text";
import { countMarks, matchFilter, matchText } from "./match";
import { columnsOf, FACTS } from "./testing";

const columns = columnsOf([-1, 0, 0], {
  services: ["checkout", "payment", "cart"],
  names: ["POST /pay", "Charge", "HGET cart"],
  statuses: ["unset", "error", "ok"],
  duration: [100e6, 40e6, 1e6],
  messages: ["", "declined", ""],
  exceptions: ["", "Timeout", "Refused"],
});

function check(text: string, expected: readonly number[], facts = FACTS): void {
  const answer = parseFilter(text);
  if ("error" in answer || !answer.filter) throw new Error(text);
  expect([...matchFilter(columns, facts, answer.filter)]).toEqual(expected);
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

  it("compares nothing with what is not there, as SQL does", () => {
    check("exception_type != Timeout", [0, 0, 1]);
    check("not exception_type = Timeout", [1, 0, 1]);
    check("not exception_type != Timeout", [1, 1, 0]);
    check("exception_type < Zebra", [0, 1, 1]);
    check('exception_type contains ""', [0, 1, 1]);
    check("exception_type exists", [0, 1, 1]);
    check("status_message != refused", [0, 1, 0]);
    check('status_message = ""', [0, 0, 0]);
    const unknown = columnsOf([-1, 0, 0], { duration: [1, Number.NaN, 3] });
    const filter = { field: "duration_ns", op: "!=", value: 3 } as const;
    expect([...matchFilter(unknown, FACTS, filter)]).toEqual([1, 0, 0]);
  });

  it("knows of no root that was not seen", () => {
    const unseen = { ...FACTS, rootService: "", rootName: "" };
    check("root.service != front", [0, 0, 0], unseen);
    check("root.name != front", [0, 0, 0], unseen);
    check("not root.name = front", [1, 1, 1], unseen);
    check("root.name != front", [1, 1, 1], { ...FACTS, rootName: "" });
  });

  it("says of every span that it has a name, also an empty one", () => {
    const nameless = columnsOf([-1], { names: [""] });
    const test = (filter: Filter) => matchFilter(nameless, FACTS, filter);
    expect([...test({ field: "span_name", op: "exists" })]).toEqual([1]);
    expect([...test({ field: "span_name", op: "!=", value: "Charge" })]).toEqual([1]);
  });

  it("finds words in service and name, each of them", () => {
    expect([...matchText(columns, "cart hget")]).toEqual([0, 0, 1]);
    expect([...matchText(columns, "PAY")]).toEqual([1, 1, 0]);
    expect(countMarks(matchText(columns, "nothing"))).toBe(0);
  });
});
