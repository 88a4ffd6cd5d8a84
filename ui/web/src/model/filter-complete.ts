// What may stand at the cursor of a filter's text.

import { FIELDS, type FieldName, fieldOf, type Scope } from "./filter";
import { type Token, tokens } from "./filter-tokens";

interface Place {
  /** What is expected here. */
  wants: "subject" | "operator" | "value" | "joint";
  /** The text that a completion replaces. */
  from: number;
  to: number;
  typed: string;
  /** For operators and values: what they belong to. */
  subject?: { field: FieldName } | { attribute: string; scope: Scope };
}

const JOINTS = new Set(["and", "or"]);

function subjectAt(token: Token): Place["subject"] {
  const scoped = /^(any|span|resource):(.+)$/s.exec(token.value);
  if (scoped) return { scope: scoped[1] as Scope, attribute: scoped[2] ?? "" };
  const field = token.kind === "quoted" ? undefined : fieldOf(token.value);
  return field ? { field } : { scope: "any", attribute: token.value };
}

/** Walks the tokens before the cursor with a small automaton; brackets only nest what may follow. */
export function placeAt(text: string, cursor: number): Place {
  const before = tokens(text.slice(0, cursor)).filter((token) => token.kind !== "space");
  const last = before.at(-1);
  const touching =
    last && last.to === cursor && (last.kind === "word" || last.kind === "quoted" || last.kind === "other")
      ? last
      : undefined;
  const settled = touching ? before.slice(0, -1) : before;

  let wants: Place["wants"] = "subject";
  let subject: Place["subject"];
  let inList = false;
  for (const token of settled) {
    const word = token.kind === "word" ? token.text.toLowerCase() : "";
    if (wants === "subject") {
      if (token.text === "(" || word === "not") continue;
      subject = subjectAt(token);
      wants = subject && "field" in subject && FIELDS[subject.field].kind === "bool" ? "joint" : "operator";
      if (wants === "joint") continue;
    } else if (wants === "operator") {
      if (word === "exists") wants = "joint";
      else if (word === "in") inList = true;
      else if (token.text === "(" || token.kind === "operator" || word === "contains") wants = "value";
    } else if (wants === "value") {
      wants = "joint";
    } else if (JOINTS.has(word)) {
      wants = "subject";
      inList = false;
    } else if (token.text === "," && inList) {
      wants = "value";
    } else if (token.kind === "operator") {
      wants = "value";
    }
  }
  const from = touching ? touching.from : cursor;
  const typed = touching ? touching.text : "";
  return wants === "operator" || wants === "value"
    ? { wants, from, to: cursor, typed, ...(subject ? { subject } : {}) }
    : { wants, from, to: cursor, typed };
}
