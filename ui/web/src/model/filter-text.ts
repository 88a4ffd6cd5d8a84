// The query box's language: text to filter tree and back.
//
//   service = checkout and duration > 500ms and not (http.route exists or span:retry = true)
//
// Words that are not fields are attribute keys; `span:` and `resource:` narrow the scope, `any:` reaches a key that
// is spelled like a field. Quotes make text of anything. Every error names the character where it was found.

import { durationText, parseDuration } from "../base/duration";
import {
  type AttributeTest,
  allOf,
  FIELDS,
  type FieldName,
  type FieldTest,
  type Filter,
  fieldOf,
  type Operator,
  type Scope,
  type Value,
  WORDS,
} from "./filter";
import { type Token, tokens } from "./filter-tokens";

interface FilterError {
  message: string;
  from: number;
  to: number;
}

type FilterAnswer = { filter: Filter | undefined } | { error: FilterError };

class Fault extends Error {
  readonly from: number;
  readonly to: number;
  constructor(message: string, from: number, to: number) {
    super(message);
    this.from = from;
    this.to = to;
  }
}

const DEEPEST = 50;

class Parser {
  private readonly tokens: readonly Token[];
  private readonly end: number;
  private next = 0;
  private depth = 0;

  constructor(text: string) {
    this.tokens = tokens(text).filter((token) => token.kind !== "space");
    this.end = text.trimEnd().length;
  }

  parse(): Filter | undefined {
    if (this.tokens.length === 0) return undefined;
    const filter = this.or();
    const left = this.peek();
    if (left)
      throw this.fault(left.text === ")" ? "this bracket was never opened" : "expected and, or", left);
    return filter;
  }

  private peek(): Token | undefined {
    return this.tokens[this.next];
  }

  private take(): Token | undefined {
    const token = this.tokens[this.next];
    this.next += 1;
    return token;
  }

  private isWord(word: string): boolean {
    const token = this.peek();
    return token?.kind === "word" && token.text.toLowerCase() === word;
  }

  private fault(message: string, token: Token | undefined): Fault {
    return token ? new Fault(message, token.from, token.to) : new Fault(message, this.end, this.end + 1);
  }

  private or(): Filter {
    const terms = [this.and()];
    while (this.isWord("or")) {
      this.take();
      terms.push(this.and());
    }
    return terms.length === 1 && terms[0] ? terms[0] : { or: terms };
  }

  private and(): Filter {
    const terms = [this.not()];
    while (this.isWord("and")) {
      this.take();
      terms.push(this.not());
    }
    return allOf(terms) ?? { and: [] };
  }

  private not(): Filter {
    this.depth += 1;
    if (this.depth > DEEPEST) throw this.fault(`nested deeper than ${DEEPEST} levels`, this.peek());
    try {
      if (!this.isWord("not")) return this.primary();
      this.take();
      return { not: this.not() };
    } finally {
      this.depth -= 1;
    }
  }

  private primary(): Filter {
    const token = this.take();
    if (!token) throw this.fault("expected a field or an attribute", undefined);
    if (token.text === "(" && token.kind === "bracket") {
      const inner = this.or();
      const close = this.take();
      if (close?.text !== ")") throw this.fault("expected )", close);
      return inner;
    }
    if (token.kind === "quoted" || token.kind === "word") return this.test(token);
    throw this.fault("expected a field or an attribute", token);
  }

  private test(subject: Token): Filter {
    const named = subjectOf(subject);
    if ("empty" in named) throw this.fault("expected an attribute's name", subject);
    const token = this.peek();
    const word = token?.kind === "word" ? token.text.toLowerCase() : "";
    if (word === "exists") {
      this.take();
      return { ...named, op: "exists" };
    }
    if (word === "in") {
      this.take();
      return this.list(named);
    }
    if (token?.kind === "operator" || word === "contains") {
      this.take();
      const op = (token?.kind === "operator" ? token.text : "contains") as Operator;
      return this.compare(named, op, this.take());
    }
    if ("field" in named && FIELDS[named.field].kind === "bool") return { ...named, op: "=", value: true };
    throw this.fault("expected =, !=, <, <=, >, >=, contains, in or exists", token);
  }

  private list(named: Subject): Filter {
    const open = this.take();
    if (open?.text !== "(") throw this.fault("expected ( after in", open);
    const tests: Filter[] = [];
    for (;;) {
      tests.push(this.compare(named, "=", this.take()));
      const after = this.take();
      if (after?.text === ")") break;
      if (after?.text !== ",") throw this.fault("expected , or )", after);
    }
    return tests.length === 1 && tests[0] ? tests[0] : { or: tests };
  }

  private compare(named: Subject, op: Operator, token: Token | undefined): Filter {
    if (!token || (token.kind !== "word" && token.kind !== "quoted"))
      throw this.fault(`expected a value after ${op}`, token);
    if ("attribute" in named)
      return { ...named, op, value: op === "contains" ? token.value : attributeValue(token) };
    return { ...named, op, value: this.fieldValue(named.field, op, token) };
  }

  private fieldValue(field: FieldName, op: Operator, token: Token): Value {
    const { kind, typed } = FIELDS[field];
    if (kind === "duration") {
      if (op === "contains") throw this.fault("a duration compares with =, <, >", token);
      const value = parseDuration(token.value);
      if (value === undefined) throw this.fault("expected a duration such as 500ms or 1.5s", token);
      return value;
    }
    if (kind === "bool") {
      const word = token.value.toLowerCase();
      if (word !== "true" && word !== "false") throw this.fault(`${typed} is true or false`, token);
      return word === "true";
    }
    if (kind === "id") {
      const digits = field === "trace_id" ? 32 : 16;
      const id = token.value.toLowerCase();
      if (op !== "contains" && !new RegExp(`^[0-9a-f]{${digits}}$`).test(id))
        throw this.fault(`${typed} takes ${digits} hex digits`, token);
      return id;
    }
    if (kind === "word" && op !== "contains") {
      const word = token.value.toLowerCase();
      const known = WORDS[field] ?? [];
      if (!known.includes(word) && !/^\d+$/.test(word))
        throw this.fault(`${typed} is one of ${known.join(", ")}`, token);
      return word;
    }
    return token.value;
  }
}

type Subject = { field: FieldName } | { attribute: string; scope: Scope };

function subjectOf(token: Token): Subject | { empty: true } {
  if (token.kind === "quoted")
    return token.value === "" ? { empty: true } : { attribute: token.value, scope: "any" };
  const scoped = /^(any|span|resource):(.*)$/s.exec(token.value);
  if (scoped) return scoped[2] ? { attribute: scoped[2], scope: scoped[1] as Scope } : { empty: true };
  const field = fieldOf(token.value);
  return field ? { field } : { attribute: token.value, scope: "any" };
}

function attributeValue(token: Token): Value {
  if (token.kind === "quoted") return token.value;
  if (token.value === "true" || token.value === "false") return token.value === "true";
  if (/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(token.value)) {
    const value = Number(token.value);
    // An integer that a number cannot hold stays text; the server reads the digits.
    const isFloat = /[.eE]/.test(token.value);
    if (Number.isFinite(value) && (isFloat || Number.isSafeInteger(value))) return value;
  }
  return token.value;
}

export function parseFilter(text: string): FilterAnswer {
  try {
    return { filter: new Parser(text).parse() };
  } catch (fault) {
    if (fault instanceof Fault) return { error: { message: fault.message, from: fault.from, to: fault.to } };
    throw fault;
  }
}

const RESERVED = new Set(["and", "or", "not", "in", "exists", "contains", "true", "false"]);
const bare = (text: string): boolean => /^[^\s"'`()=!<>,]+$/.test(text) && !RESERVED.has(text.toLowerCase());
const quote = (text: string): string => `"${text.replace(/[\\"]/g, (sign) => `\\${sign}`)}"`;

function subjectText(test: FieldTest | AttributeTest): string {
  if ("field" in test) return FIELDS[test.field].typed;
  const needsScope =
    test.scope !== "any" || fieldOf(test.attribute) || /^(any|span|resource):/.test(test.attribute);
  const scoped = needsScope ? `${test.scope}:` : "";
  if (bare(test.attribute)) return scoped + test.attribute;
  return scoped === "" ? quote(test.attribute) : `${scoped}${quote(test.attribute)}`;
}

function valueText(test: FieldTest | AttributeTest): string {
  const { value } = test;
  if ("field" in test && FIELDS[test.field].kind === "duration") return durationText(Number(value));
  if (typeof value !== "string") return String(value);
  const looksTyped =
    "attribute" in test && test.op !== "contains" && typeof attributeValue(word(value)) !== "string";
  return bare(value) && !looksTyped ? value : quote(value);
}

const word = (value: string): Token => ({ kind: "word", text: value, value, from: 0, to: 0 });

/** The text that reads back to the same tree. */
export function filterText(filter: Filter | undefined): string {
  return filter ? text(filter, 0) : "";
}

function text(filter: Filter, level: number): string {
  if ("and" in filter) {
    const joined = filter.and.map((term) => text(term, 2)).join(" and ");
    return level > 1 ? `(${joined})` : joined;
  }
  if ("or" in filter) {
    const joined = filter.or.map((term) => text(term, 1)).join(" or ");
    return level > 0 ? `(${joined})` : joined;
  }
  if ("not" in filter) return `not ${text(filter.not, 3)}`;
  const subject = subjectText(filter);
  return filter.op === "exists" ? `${subject} exists` : `${subject} ${filter.op} ${valueText(filter)}`;
}
