import { describe, expect, it } from "vitest";
import { type Filter, topLevelValue, withTopLevel } from "./filter";
import { placeAt } from "./filter-complete";
import { filterText, parseFilter } from "./filter-text";
import { tokens } from "./filter-tokens";

function read(text: string): Filter | undefined {
  const answer = parseFilter(text);
  if ("error" in answer) throw new Error(`${text}: ${answer.error.message}`);
  return answer.filter;
}

function fault(text: string): { message: string; from: number; to: number } {
  const answer = parseFilter(text);
  if ("filter" in answer) throw new Error(`${text} was understood`);
  return answer.error;
}

describe("reading a filter", () => {
  const check = (text: string, expected: Filter | undefined): void => expect(read(text)).toEqual(expected);

  it("takes fields in the words of the box", () => {
    check("", undefined);
    check("service = checkout", { field: "service_name", op: "=", value: "checkout" });
    check('operation = "GET /"', { field: "span_name", op: "=", value: "GET /" });
    check("duration > 1.5s", { field: "duration_ns", op: ">", value: 1.5e9 });
    check("trace.duration<=250ms", { field: "trace_duration_ns", op: "<=", value: 250e6 });
    check("status = Error", { field: "status_code", op: "=", value: "error" });
    check("is_entry", { field: "is_entry", op: "=", value: true });
    check("is_root = false", { field: "is_root", op: "=", value: false });
  });

  it("takes every other word for an attribute", () => {
    check("http.route exists", { attribute: "http.route", scope: "any", op: "exists" });
    check("http.response.status_code >= 500", {
      attribute: "http.response.status_code",
      scope: "any",
      op: ">=",
      value: 500,
    });
    check('code = "500"', { attribute: "code", scope: "any", op: "=", value: "500" });
    check("retry = true", { attribute: "retry", scope: "any", op: "=", value: true });
    check("resource:host.name contains node", {
      attribute: "host.name",
      scope: "resource",
      op: "contains",
      value: "node",
    });
    check("span:status = 1", { attribute: "status", scope: "span", op: "=", value: 1 });
    check('span:"odd key" = x', { attribute: "odd key", scope: "span", op: "=", value: "x" });
    check("big = 9007199254740993", { attribute: "big", scope: "any", op: "=", value: "9007199254740993" });
    check("zip = 00501", { attribute: "zip", scope: "any", op: "=", value: "00501" });
  });

  it("nests and, or, not and in", () => {
    check("a = 1 and b = 2 or not (c exists)", {
      or: [
        {
          and: [
            { attribute: "a", scope: "any", op: "=", value: 1 },
            { attribute: "b", scope: "any", op: "=", value: 2 },
          ],
        },
        { not: { attribute: "c", scope: "any", op: "exists" } },
      ],
    });
    check("status in (error, ok)", {
      or: [
        { field: "status_code", op: "=", value: "error" },
        { field: "status_code", op: "=", value: "ok" },
      ],
    });
  });
});

describe("faults are marked at the character", () => {
  const check = (text: string, from: number, message: string): void => {
    const found = fault(text);
    expect(found.from, text).toBe(from);
    expect(found.message, text).toContain(message);
  };

  it("names what was expected", () => {
    check("service", 7, "expected =");
    check("service =", 9, "expected a value");
    check("service = a b", 12, "expected and, or");
    check("duration > fast", 11, "expected a duration");
    check("status = broken", 9, "one of error");
    check("(service = a", 12, "expected )");
    check("service = a)", 11, "never opened");
    check("trace = 12", 8, "32 hex digits");
    check("service = a and", 15, "expected a field");
    check('service = "open', 10, "expected a value");
    check("status in (error ok)", 17, "expected , or )");
  });

  it("refuses to nest without end instead of overflowing", () => {
    expect(fault("(".repeat(10_000)).message).toContain("nested deeper");
    expect(fault("not ".repeat(10_000)).message).toContain("nested deeper");
  });
});

describe("writing a filter", () => {
  it("reads back to the same tree", () => {
    for (const text of [
      "service = checkout and duration > 500ms and http.route exists",
      'operation = "GET /api/{id}" or not (status = error and is_entry = true)',
      'resource:"k8s.pod name" != "it\'s \\"quoted\\""',
      'a = "true" and b = true and c = "1" and d = 1 and e = "and"',
      "any:service = x and span:duration > 3",
      "not (a = 1 or b = 2) and (c = 3 or d = 4)",
      "duration > 1234567ns and duration < 1500us",
      "x contains 500 and y = -0.25",
    ]) {
      const filter = read(text);
      expect(read(filterText(filter)), filterText(filter)).toEqual(filter);
    }
  });

  it("survives random trees", () => {
    let seed = 42;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    const values = [
      "a",
      "a b",
      'q"\\',
      "true",
      "12",
      "00",
      "",
      "and",
      "(",
      "ünï",
      "<b>",
      1,
      -2.5,
      1e21,
      true,
      false,
    ];
    const keys = ["k", "http.route", "service", "odd key", 'q"', "not", "span:x", "12"];
    const tree = (depth: number): Filter => {
      const kind = depth === 0 ? 3 + random(2) : random(5);
      if (kind === 0) return { and: [tree(depth - 1), { field: "is_root", op: "=", value: true }] };
      if (kind === 1) return { or: [tree(depth - 1), tree(depth - 1)] };
      if (kind === 2) return { not: tree(depth - 1) };
      if (kind === 3) return { field: "duration_ns", op: ">", value: random(1e9) };
      const scope = (["any", "span", "resource"] as const)[random(3)] ?? "any";
      return {
        attribute: keys[random(keys.length)] ?? "k",
        scope,
        op: "=",
        value: values[random(values.length)] ?? "",
      };
    };
    const flat = (filter: Filter): Filter => {
      if ("and" in filter)
        return { and: filter.and.map(flat).flatMap((each) => ("and" in each ? each.and : [each])) };
      if ("or" in filter) return { or: filter.or.map(flat) };
      return "not" in filter ? { not: flat(filter.not) } : filter;
    };
    for (let round = 0; round < 500; round += 1) {
      const filter = tree(3);
      expect(read(filterText(filter)), filterText(filter)).toEqual(flat(filter));
    }
  });
});

describe("pickers", () => {
  it("replace, add and remove one top-level test and leave the rest", () => {
    const filter = read("service = cart and http.route exists");
    expect(topLevelValue(filter, "service_name", "=")).toBe("cart");
    expect(filterText(withTopLevel(filter, "service_name", "=", "ad"))).toBe(
      "service = ad and http.route exists",
    );
    expect(filterText(withTopLevel(filter, "service_name", "=", undefined))).toBe("http.route exists");
    expect(filterText(withTopLevel(filter, "duration_ns", ">", 1e9))).toBe(
      "service = cart and http.route exists and duration > 1s",
    );
  });

  it("keep an or together when a test is added", () => {
    expect(filterText(withTopLevel(read("a = 1 or b = 2"), "status_code", "=", "error"))).toBe(
      "(a = 1 or b = 2) and status = error",
    );
  });
});

describe("completion", () => {
  const check = (text: string, wants: string, typed: string): void => {
    const place = placeAt(text, text.length);
    expect([place.wants, place.typed], text).toEqual([wants, typed]);
  };

  it("knows what may stand at the cursor", () => {
    check("", "subject", "");
    check("ser", "subject", "ser");
    check("service ", "operator", "");
    check("service = ", "value", "");
    check("service = che", "value", "che");
    check("service = checkout ", "joint", "");
    check("service = checkout and ", "subject", "");
    check("service = checkout and not (http", "subject", "http");
    check("http.route exists ", "joint", "");
    check("status in (error, ", "value", "");
    check("is_root ", "joint", "");
    expect(placeAt("http.route = ", 13).subject).toEqual({ scope: "any", attribute: "http.route" });
  });
});

describe("tokens", () => {
  it("cover the text without gaps, whatever it is", () => {
    for (const text of ['a="b', "`'\"", "a\u0000b 😀 >=<", 'span:"x', ""]) {
      const found = tokens(text);
      expect(found.map((token) => text.slice(token.from, token.to)).join("")).toBe(text);
    }
  });
});
