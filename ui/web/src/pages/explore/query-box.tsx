// The filter box: text in, the text that is asked for out. What is typed is a draft until Enter.

import { useQuery } from "@tanstack/react-query";
import { type RefObject, useEffect, useState } from "react";
import { attributesQuery, operationsQuery, servicesQuery } from "../../api/catalogue";
import { formatCompact } from "../../base/format";
import { spansNoun } from "../../model/basis";
import { FIELD_NAMES, FIELDS, topLevelValue, WORDS } from "../../model/filter";
import { placeAt } from "../../model/filter-complete";
import { parseFilter } from "../../model/filter-text";
import { tokens } from "../../model/filter-tokens";
import { Button } from "../../widgets/button";
import { MarkedInput, type Piece, type Suggestion } from "../../widgets/marked-input";

interface Props {
  value: string;
  bounds: { from: string; to: string };
  input: RefObject<HTMLInputElement | null>;
  onSubmit: (text: string) => void;
  /** A whole trace id was pasted. */
  onTraceId: (traceId: string) => void;
}

const bareWord = (text: string): boolean => /^[^\s"'`()=!<>,]+$/.test(text);
const quoted = (text: string): string =>
  bareWord(text) ? text : `"${text.replace(/[\\"]/g, (sign) => `\\${sign}`)}"`;

function piecesOf(text: string): Piece[] {
  let expectsValue = false;
  return tokens(text).map((token): Piece => {
    const word = token.text.toLowerCase();
    if (token.kind === "space" || token.kind === "bracket" || token.kind === "other")
      return { text: text.slice(token.from, token.to), look: "plain" };
    if (token.kind === "operator") {
      expectsValue = true;
      return { text: text.slice(token.from, token.to), look: "operator" };
    }
    if (token.kind === "word" && ["and", "or", "not", "in", "exists", "contains"].includes(word)) {
      expectsValue = word === "in" || word === "contains";
      return { text: token.text, look: "joint" };
    }
    const look = expectsValue ? (/^[\d.-]+\p{L}*$/u.test(token.text) ? "number" : "value") : "subject";
    expectsValue = false;
    return { text: token.text, look };
  });
}

/** A value as the filter reads it back with the type that it has in the store. */
function valueText(value: string, type: string): string {
  if (type === "int" || type === "float" || type === "bool") return value;
  return /^(-?[\d.]+([eE][+-]?\d+)?|true|false)$/.test(value) ? `"${value}"` : quoted(value);
}

function useSuggestions(
  text: string,
  cursor: number,
  bounds: Props["bounds"],
): (at: number) => ReturnType<typeof pick> {
  const place = placeAt(text, cursor);
  const answer = parseFilter(text);
  const service = "filter" in answer ? topLevelValue(answer.filter, "service_name", "=") : undefined;
  const field = place.subject && "field" in place.subject ? place.subject.field : undefined;
  const key = place.subject && "attribute" in place.subject ? place.subject.attribute : undefined;
  const services = useQuery({
    ...servicesQuery(bounds),
    enabled: field === "service_name" || field === "root_service",
  });
  const operations = useQuery({
    ...operationsQuery(typeof service === "string" ? service : undefined, bounds),
    enabled: field === "span_name" || field === "root_name",
  });
  // One question for all keys: the server counts spans for it, and narrowing by what is typed needs no server.
  const attributes = useQuery({
    ...attributesQuery(bounds),
    enabled: place.wants === "subject" || (place.wants === "value" && key !== undefined),
    placeholderData: (previous) => previous,
  });

  const pick = (at: number): { from: number; to: number; list: readonly Suggestion[] } => {
    const here = placeAt(text, at);
    const typed = here.typed.toLowerCase();
    const fits = (label: string): boolean => label.toLowerCase().includes(typed.replace(/^"/, ""));
    let list: Suggestion[] = [];
    if (here.wants === "subject") {
      const fields = FIELD_NAMES.map((name) => ({
        insert: FIELDS[name].typed,
        label: FIELDS[name].typed,
        note: FIELDS[name].about,
      }));
      const scope = /^(any|span|resource):/.exec(here.typed)?.[0] ?? "";
      const keys = (attributes.data?.attributes ?? []).map((fact) => {
        const name = `${scope}${bareWord(fact.key) ? fact.key : quoted(fact.key)}`;
        return {
          insert: name,
          label: name,
          note: `${fact.scope} ${fact.type}, ${formatCompact(fact.spans)} ${spansNoun(attributes.data?.stats?.basis)}`,
        };
      });
      const unique = new Map(
        [...fields, ...keys].filter((each) => fits(each.label)).map((each) => [each.insert, each]),
      );
      // What begins as typed stands before what only contains it; within each, the order stays.
      const begins = (each: Suggestion): number => (each.label.toLowerCase().startsWith(typed) ? 0 : 1);
      list = [...unique.values()].sort((left, right) => begins(left) - begins(right));
    } else if (here.wants === "operator") {
      const numeric = field === "duration_ns" || field === "trace_duration_ns";
      const operators = numeric ? [">", "<", ">=", "<="] : ["=", "!=", "contains", "exists", "in", ">", "<"];
      list = operators.filter(fits).map((each) => ({ insert: each, label: each }));
    } else if (here.wants === "value") {
      list = values().filter((each) => fits(each.label));
    } else {
      list = ["and", "or"].filter(fits).map((each) => ({ insert: each, label: each }));
    }
    const whole = list.some((each) => each.insert === here.typed) && list.length === 1;
    return { from: here.from, to: here.to, list: whole ? [] : list.slice(0, 60) };
  };

  const values = (): Suggestion[] => {
    if (field === "service_name" || field === "root_service")
      return (services.data?.services ?? []).map((each) => ({
        insert: quoted(each.name),
        label: each.name,
        note: `${formatCompact(each.spans)} ${spansNoun(services.data?.stats?.basis)}`,
      }));
    if (field === "span_name" || field === "root_name")
      return (operations.data?.operations ?? []).map((each) => ({
        insert: quoted(each.name),
        label: each.name,
        note: each.kind,
      }));
    if (field === "duration_ns" || field === "trace_duration_ns")
      return ["10ms", "100ms", "500ms", "1s", "5s"].map((each) => ({ insert: each, label: each }));
    if (field) return (WORDS[field] ?? []).map((each) => ({ insert: each, label: each }));
    const facts = (attributes.data?.attributes ?? []).filter(
      (each) => each.key === key && each.type !== "json",
    );
    const texts = facts.flatMap((fact) => fact.values.map((value) => valueText(value, fact.type)));
    return [...new Set(texts)].map((each) => ({ insert: each, label: each }));
  };
  return pick;
}

export function QueryBox({ value, bounds, input, onSubmit, onTraceId }: Props) {
  const [text, setText] = useState(value);
  const [cursor, setCursor] = useState(0);
  useEffect(() => setText(value), [value]);
  const suggest = useSuggestions(text, cursor, bounds);
  const answer = parseFilter(text);
  const mistake = "error" in answer ? answer.error : undefined;
  const change = (next: string): void => {
    const id = /^\s*(?:[0-9a-f]{2}-)?([0-9a-f]{32})(?:-[0-9a-f]{16}-[0-9a-f]{2})?\s*$/i.exec(next)?.[1];
    if (id && next.length - text.length > 8) onTraceId(id.toLowerCase());
    else setText(next);
  };
  return (
    <MarkedInput
      label="Filter"
      placeholder="Filter: service = checkout and duration > 500ms and http.route exists"
      value={text}
      pieces={piecesOf(text)}
      mistake={mistake}
      suggest={suggest}
      onCursor={setCursor}
      input={input}
      onChange={change}
      onSubmit={() => {
        if (!mistake) onSubmit(text.trim());
      }}
    >
      {text !== "" && (
        <Button
          look="quiet"
          small
          icon="close"
          aria-label="Clear the filter"
          onClick={() => {
            setText("");
            onSubmit("");
            input.current?.focus();
          }}
        />
      )}
      {text.trim() !== value && !mistake && (
        <Button look="primary" small onClick={() => onSubmit(text.trim())} aria-label="Search">
          ↵
        </Button>
      )}
    </MarkedInput>
  );
}
