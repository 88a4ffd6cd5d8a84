// Attributes as key and value, each with what one wants to do next: search for it, search without it, copy it.
// Values are text and stay text: nothing of a span's content ever becomes markup.

import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import type { Json } from "../../api/shapes";
import { rangeText } from "../../base/range";
import { type Nanos, nanos, nanosFromMs } from "../../base/time";
import type { Filter, Scope, Value } from "../../model/filter";
import { filterText } from "../../model/filter-text";
import { Button } from "../../widgets/button";
import { CopyButton } from "../../widgets/copy";
import { EXPLORE_START, exploreUrl } from "../explore/url";
import styles from "./details.module.css";

interface Props {
  attributes: Readonly<Record<string, Json>>;
  /** Without a scope (events, links) there is nothing to search by. */
  scope: Exclude<Scope, "any"> | undefined;
  at: Nanos;
}

const HOUR = 3_600_000_000_000n;
const MANY = 14;

/** The last hour when the span is in it, else the hour around the span. */
function rangeAround(at: Nanos): string {
  const now = nanosFromMs(Date.now());
  return now - at < HOUR && now > at
    ? EXPLORE_START.range
    : rangeText(nanos(at - HOUR / 2n), nanos(at + HOUR / 2n));
}

const look = (value: Json): string =>
  typeof value === "number"
    ? "number"
    : typeof value === "boolean" || value === null
      ? "word"
      : typeof value === "string"
        ? "text"
        : "json";

const textOf = (value: Json): string => (typeof value === "string" ? value : JSON.stringify(value));
const shownText = (value: Json): string =>
  typeof value === "object" && value !== null
    ? JSON.stringify(value, undefined, 1).replace(/\n\s*/g, " ")
    : textOf(value);

/** Statements and stack traces get the whole width below their key. */
const isLong = (value: Json): boolean =>
  typeof value === "string" && (value.includes("\n") || value.length > 90);

const comparable = (value: Json): value is Value =>
  typeof value !== "object" || value === null ? value !== null : false;

export function AttributeTable({ attributes, scope, at }: Props) {
  const [word, setWord] = useState("");
  const navigate = useNavigate();
  const entries = Object.entries(attributes).sort(([left], [right]) => (left < right ? -1 : 1));
  const needle = word.toLowerCase();
  const shown = entries.filter(([key, value]) => `${key} ${textOf(value)}`.toLowerCase().includes(needle));
  const search = (filter: Filter): void => {
    const view = { ...EXPLORE_START, q: filterText(filter), range: rangeAround(at) };
    void navigate({ to: "/explore", search: exploreUrl.write(view) });
  };
  if (entries.length === 0) return <p className={styles.quiet}>none</p>;
  return (
    <>
      {entries.length > MANY && (
        <input
          className={styles.find}
          placeholder="Find a key or a value"
          aria-label="Find a key or a value"
          value={word}
          onChange={(event) => setWord(event.target.value)}
        />
      )}
      <dl className={styles.attributes}>
        {shown.map(([key, value]) => (
          <div key={key} data-long={isLong(value) || undefined}>
            <dt title={key}>{key}</dt>
            <dd data-look={look(value)}>
              <span className={styles.value}>{shownText(value)}</span>
              <span className={styles.actions}>
                {scope !== undefined && comparable(value) && (
                  <>
                    <Button
                      small
                      look="quiet"
                      icon="plus"
                      aria-label={`Search for ${key} with this value`}
                      title="Search for this value"
                      onClick={() => search({ attribute: key, scope, op: "=", value })}
                    />
                    <Button
                      small
                      look="quiet"
                      icon="minus"
                      aria-label={`Search for ${key} with another value`}
                      title="Exclude this value"
                      onClick={() => search({ not: { attribute: key, scope, op: "=", value } })}
                    />
                  </>
                )}
                <CopyButton text={textOf(value)} label={`Copy the value of ${key}`} />
              </span>
            </dd>
          </div>
        ))}
      </dl>
    </>
  );
}
