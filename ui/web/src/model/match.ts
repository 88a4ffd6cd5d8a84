// A filter over the columns that the browser holds. Attributes are not among them: those the server must match.
//
// As in the server's SQL nothing compares with what is not there, `!=` neither; only `not` is true of it.

import { at, type SpanColumns, type TraceFacts, word } from "./columns";
import type { FieldTest, Filter, Operator } from "./filter";

type Test = (row: number) => boolean;

function compareNumbers(op: Operator, left: number, right: number): boolean {
  if (op === "=") return left === right;
  if (op === "!=") return left !== right;
  if (op === "<") return left < right;
  if (op === "<=") return left <= right;
  if (op === ">") return left > right;
  return op === ">=" && left >= right;
}

function compareTexts(op: Operator, left: string, right: string): boolean {
  if (op === "=") return left === right;
  if (op === "!=") return left !== right;
  if (op === "contains") return left.toLowerCase().includes(right.toLowerCase());
  if (op === "<") return left < right;
  if (op === "<=") return left <= right;
  if (op === ">") return left > right;
  return op === ">=" && left >= right;
}

function fieldTest(test: FieldTest, columns: SpanColumns, facts: TraceFacts): Test {
  const texts = (read: (row: number) => string, isThere: (row: number) => boolean = () => true): Test => {
    if (test.op === "exists") return isThere;
    const right = String(test.value ?? "");
    return (row) => isThere(row) && compareTexts(test.op, read(row), right);
  };
  // The server has NULL where these are empty here.
  const perhaps = (read: (row: number) => string): Test => texts(read, (row) => read(row) !== "");
  const numbers = (read: (row: number) => number): Test => {
    const isThere = (row: number): boolean => !Number.isNaN(read(row));
    if (test.op === "exists") return isThere;
    const right = Number(test.value);
    return (row) => isThere(row) && compareNumbers(test.op, read(row), right);
  };
  const flags = (read: (row: number) => boolean): Test => {
    if (test.op === "exists") return () => true;
    return (row) => (read(row) === test.value) === (test.op !== "!=");
  };
  switch (test.field) {
    case "service_name":
      return texts((row) => word(columns.service, row));
    case "span_name":
      return texts((row) => word(columns.name, row));
    case "kind":
      return texts((row) => word(columns.kind, row));
    case "status_code":
      return texts((row) => word(columns.status, row));
    case "status_message":
      return perhaps(columns.statusMessage);
    case "exception_type":
      return perhaps(columns.exceptionType);
    case "span_id":
      return texts(columns.spanId);
    case "trace_id":
      return texts(() => facts.traceId);
    case "root_service":
      return perhaps(() => facts.rootService);
    case "root_name":
      // A root that was seen may have no name.
      return texts(
        () => facts.rootName,
        () => facts.rootService !== "",
      );
    case "duration_ns":
      return numbers((row) => at(columns.duration, row));
    case "trace_duration_ns":
      return numbers(() => facts.durationNanos);
    case "is_root":
      return flags((row) => at(columns.parent, row) < 0 && columns.parentId(row) === "");
    case "is_entry":
      return flags((row) => at(columns.isEntry, row) === 1);
    case "scope_name":
      return () => false;
  }
}

function compile(filter: Filter, columns: SpanColumns, facts: TraceFacts): Test {
  if ("and" in filter) {
    const tests = filter.and.map((each) => compile(each, columns, facts));
    return (row) => tests.every((test) => test(row));
  }
  if ("or" in filter) {
    const tests = filter.or.map((each) => compile(each, columns, facts));
    return (row) => tests.some((test) => test(row));
  }
  if ("not" in filter) {
    const test = compile(filter.not, columns, facts);
    return (row) => !test(row);
  }
  return "field" in filter ? fieldTest(filter, columns, facts) : () => false;
}

function mark(columns: SpanColumns, test: Test): Uint8Array {
  const marks = new Uint8Array(columns.count);
  for (let row = 0; row < columns.count; row += 1) if (test(row)) marks[row] = 1;
  return marks;
}

export const matchFilter = (columns: SpanColumns, facts: TraceFacts, filter: Filter): Uint8Array =>
  mark(columns, compile(filter, columns, facts));

/** Plain words: every word must occur in the service, the name, the status message or the span id. */
export function matchText(columns: SpanColumns, text: string): Uint8Array {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const services = columns.service.words.map((each) => each.toLowerCase());
  const names = columns.name.words.map((each) => each.toLowerCase());
  return mark(columns, (row) => {
    const service = services[at(columns.service.codes, row)] ?? "";
    const name = names[at(columns.name.codes, row)] ?? "";
    return words.every(
      (part) =>
        service.includes(part) ||
        name.includes(part) ||
        columns.statusMessage(row).toLowerCase().includes(part) ||
        columns.spanId(row) === part,
    );
  });
}

export function countMarks(marks: Uint8Array): number {
  let count = 0;
  for (const each of marks) count += each;
  return count;
}
