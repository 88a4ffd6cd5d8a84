// Which rows of the trace match what was typed. Fields and words are matched in the browser; attributes by the
// server, with the same filter tree, limited to this trace.

import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { listSpans } from "../../api/list";
import { plusNanos } from "../../base/time";
import { extent, type SpanColumns, type Trace, type TraceFacts } from "../../model/columns";
import { allOf, type Filter, usesAttributes } from "../../model/filter";
import { parseFilter } from "../../model/filter-text";
import { countMarks, matchFilter, matchText } from "../../model/match";

export interface Matching {
  marks: Uint8Array | undefined;
  count: number;
  /** How the text was understood, or what went wrong. */
  note: string;
  searching: boolean;
}

const PAGE = 1000;
const MOST_PAGES = 50;

async function matchedByServer(trace: Trace, filter: Filter, signal: AbortSignal): Promise<Set<string>> {
  const { facts, columns } = trace;
  const [first, last] = extent(columns);
  const found = new Set<string>();
  let cursor: string | null = null;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const inTrace = allOf([{ field: "trace_id", op: "=", value: facts.traceId }, filter]);
    const answer: Awaited<ReturnType<typeof listSpans>> = await listSpans(
      {
        from: plusNanos(facts.start, BigInt(Math.floor(first)) - 1_000_000n),
        to: plusNanos(facts.start, BigInt(Math.ceil(last)) + 1_000_000n),
        filter: inTrace,
        limit: PAGE,
        cursor,
      },
      signal,
    );
    for (const row of answer.rows) found.add(row.span_id);
    cursor = answer.cursor;
    if (cursor === null) break;
  }
  return found;
}

function locally(columns: SpanColumns, facts: TraceFacts, text: string, filter: Filter | undefined) {
  if (text === "") return undefined;
  return filter ? matchFilter(columns, facts, filter) : matchText(columns, text);
}

export function useMatching(trace: Trace | undefined, q: string): Matching {
  const text = q.trim();
  const answer = useMemo(() => parseFilter(text), [text]);
  const filter = "filter" in answer ? answer.filter : undefined;
  const remote = filter !== undefined && usesAttributes(filter);
  const found = useQuery({
    queryKey: ["match", trace?.facts.traceId, text],
    queryFn: ({ signal }) => {
      if (!trace || !filter) return new Set<string>();
      return matchedByServer(trace, filter, signal);
    },
    enabled: remote && trace !== undefined,
    staleTime: 60_000,
    structuralSharing: false,
  });
  return useMemo((): Matching => {
    if (!trace || text === "") return { marks: undefined, count: 0, note: "", searching: false };
    if (remote) {
      if (!found.data)
        return {
          marks: undefined,
          count: 0,
          note: found.error?.message ?? "searching…",
          searching: !found.isError,
        };
      const marks = new Uint8Array(trace.columns.count);
      for (let row = 0; row < marks.length; row += 1)
        if (found.data.has(trace.columns.spanId(row))) marks[row] = 1;
      return { marks, count: countMarks(marks), note: "", searching: false };
    }
    const marks = locally(trace.columns, trace.facts, text, filter);
    return { marks, count: marks ? countMarks(marks) : 0, note: filter ? "" : "as words", searching: false };
  }, [trace, text, filter, remote, found.data, found.error, found.isError]);
}
