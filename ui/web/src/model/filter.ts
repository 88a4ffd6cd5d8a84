// The filter tree as the server takes it, and the few ways in which pages change one.

export type Operator = "=" | "!=" | "<" | "<=" | ">" | ">=" | "contains" | "exists";
export type Scope = "any" | "span" | "resource";
export type Value = string | number | boolean;

export interface FieldTest {
  field: FieldName;
  op: Operator;
  value?: Value;
}

export interface AttributeTest {
  attribute: string;
  scope: Scope;
  op: Operator;
  value?: Value;
}

export type Filter = { and: Filter[] } | { or: Filter[] } | { not: Filter } | FieldTest | AttributeTest;

type FieldKind = "text" | "word" | "duration" | "bool" | "id";

export const FIELDS = {
  service_name: { typed: "service", kind: "text", about: "the service that made the span" },
  span_name: { typed: "operation", kind: "text", about: "the span's name" },
  duration_ns: { typed: "duration", kind: "duration", about: "how long the span lasted" },
  status_code: { typed: "status", kind: "word", about: "ok, error or unset" },
  kind: { typed: "kind", kind: "word", about: "server, client, producer, consumer, internal" },
  trace_duration_ns: { typed: "trace.duration", kind: "duration", about: "how long the whole trace lasted" },
  root_service: { typed: "root.service", kind: "text", about: "the service of the trace's root span" },
  root_name: { typed: "root.operation", kind: "text", about: "the name of the trace's root span" },
  status_message: { typed: "status.message", kind: "text", about: "what the span says about its status" },
  exception_type: { typed: "exception", kind: "text", about: "the type of the exception that left the span" },
  is_root: { typed: "is_root", kind: "bool", about: "the span has no parent" },
  is_entry: { typed: "is_entry", kind: "bool", about: "the span where its service was entered" },
  scope_name: { typed: "scope", kind: "text", about: "the instrumentation library" },
  trace_id: { typed: "trace", kind: "id", about: "32 hex digits" },
  span_id: { typed: "span", kind: "id", about: "16 hex digits" },
} as const satisfies Record<string, { typed: string; kind: FieldKind; about: string }>;

export type FieldName = keyof typeof FIELDS;

export const FIELD_NAMES = Object.keys(FIELDS) as FieldName[];

export const WORDS: Partial<Record<FieldName, readonly string[]>> = {
  status_code: ["error", "ok", "unset"],
  kind: ["server", "client", "producer", "consumer", "internal", "unspecified"],
};

/** Other spellings that people bring along from SQL and from other tools. */
const ALIASES: Record<string, FieldName> = {
  name: "span_name",
  trace_duration: "trace_duration_ns",
  "root.name": "root_name",
  "service.name": "service_name",
};

export function fieldOf(word: string): FieldName | undefined {
  if (Object.hasOwn(FIELDS, word)) return word as FieldName;
  if (Object.hasOwn(ALIASES, word)) return ALIASES[word];
  return FIELD_NAMES.find((name) => FIELDS[name].typed === word);
}

const isFieldTest = (filter: Filter): filter is FieldTest => "field" in filter;

/** The terms that all must hold. */
export function termsOf(filter: Filter | undefined): Filter[] {
  if (!filter) return [];
  return "and" in filter ? filter.and : [filter];
}

export function allOf(terms: readonly Filter[]): Filter | undefined {
  const flat = terms.flatMap((term) => ("and" in term ? term.and : [term]));
  return flat.length > 1 ? { and: flat } : flat[0];
}

export function usesAttributes(filter: Filter): boolean {
  if ("and" in filter) return filter.and.some(usesAttributes);
  if ("or" in filter) return filter.or.some(usesAttributes);
  if ("not" in filter) return usesAttributes(filter.not);
  return "attribute" in filter;
}

/** The value of the one top-level test on this field with this operator, for the pickers. */
export function topLevelValue(filter: Filter | undefined, field: FieldName, op: Operator): Value | undefined {
  const found = termsOf(filter).filter((term) => isFieldTest(term) && term.field === field && term.op === op);
  const [only] = found;
  return found.length === 1 && only && isFieldTest(only) ? only.value : undefined;
}

/** Replaces, adds or (without a value) removes the top-level test on this field with this operator. */
export function withTopLevel(
  filter: Filter | undefined,
  field: FieldName,
  op: Operator,
  value: Value | undefined,
): Filter | undefined {
  const same = (term: Filter): boolean => isFieldTest(term) && term.field === field && term.op === op;
  const terms = termsOf(filter);
  const at = terms.findIndex(same);
  const rest = terms.filter((term) => !same(term));
  if (value !== undefined) rest.splice(at < 0 ? rest.length : at, 0, { field, op, value });
  return allOf(rest);
}
