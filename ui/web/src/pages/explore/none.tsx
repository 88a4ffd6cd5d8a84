// Why a search found nothing, and the step that finds something again.

import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { listTraces } from "../../api/list";
import { runSql } from "../../api/sql";
import { formatCount } from "../../base/format";
import { rangeText } from "../../base/range";
import { formatAge, formatInstant, nanos, nanosFromMs, type Zone } from "../../base/time";
import { allOf, type Filter, termsOf } from "../../model/filter";
import { filterText } from "../../model/filter-text";
import { Button, buttonClass } from "../../widgets/button";
import { EmptyState } from "../../widgets/states";
import { boundsNow, readFilter } from "./rows";
import type { ExploreView } from "./url";

interface Props {
  view: ExploreView;
  zone: Zone;
  onChange: (change: Partial<ExploreView>) => void;
}

export function Nothing({ view, zone, onChange }: Props) {
  const filter = readFilter(view.q);
  const inRange = useQuery({
    queryKey: ["any-in-range", view.range, zone],
    queryFn: ({ signal }) =>
      listTraces({ ...boundsNow(view.range, zone), filter: undefined, limit: 1, cursor: null }, signal),
    enabled: filter !== undefined,
  });
  if (filter !== undefined && inRange.data === undefined && !inRange.isError)
    return <EmptyState title="No matches" />;
  return filter !== undefined && (inRange.data?.rows.length ?? 0) > 0 ? (
    <NothingMatches filter={filter} view={view} zone={zone} onChange={onChange} />
  ) : (
    <NothingInRange view={view} onChange={onChange} zone={zone} />
  );
}

/** Names the tests without which something would match. */
function NothingMatches({ filter, view, zone, onChange }: Props & { filter: Filter }) {
  const terms = termsOf(filter).slice(0, 6);
  const culprits = useQuery({
    queryKey: ["culprits", view.q, view.range, zone],
    queryFn: async ({ signal }) => {
      const found: Filter[] = [];
      for (const term of terms) {
        const others = allOf(terms.filter((each) => each !== term));
        const request = { ...boundsNow(view.range, zone), filter: others, limit: 1, cursor: null };
        if ((await listTraces(request, signal)).rows.length > 0) found.push(term);
      }
      return found;
    },
    enabled: terms.length > 1,
  });
  const found = terms.length > 1 ? (culprits.data ?? []) : [];
  const without = (term: Filter): void =>
    onChange({ q: filterText(allOf(termsOf(filter).filter((each) => each !== term))) });
  return (
    <EmptyState
      title="Nothing matches this filter"
      actions={
        <>
          {found.map((term) => (
            <Button key={filterText(term)} onClick={() => without(term)}>
              Remove <code>{filterText(term)}</code>
            </Button>
          ))}
          <Button onClick={() => onChange({ q: "" })}>Clear the filter</Button>
        </>
      }
    >
      {found.length > 0
        ? "There are traces in this time range; one of these tests removes them all."
        : "There are traces in this time range, but none with such a span."}
    </EmptyState>
  );
}

const STORED = "SELECT min(start_time) AS first, max(start_time) AS last, count(*) AS traces FROM traces";

/** Says what is stored outside of the range, or points to Setup when nothing ever came. */
function NothingInRange({ view, zone, onChange }: Props) {
  const stored = useQuery({
    queryKey: ["stored"],
    queryFn: ({ signal }) => runSql(STORED, 1, signal),
    refetchInterval: 3000,
  });
  const [row] = stored.data?.rows ?? [];
  const last = typeof row?.[1] === "string" ? Date.parse(row[1]) : Number.NaN;
  if (Number.isNaN(last)) {
    if (!stored.data) return <EmptyState title="Nothing in this time range" />;
    return (
      <EmptyState
        title="No spans have arrived yet"
        actions={
          <Link to="/setup" className={buttonClass("primary")}>
            Set up an exporter
          </Link>
        }
      >
        Point a service's OpenTelemetry exporter at this server, and its traces appear here.
      </EmptyState>
    );
  }
  const at = nanosFromMs(last);
  const around = rangeText(nanos(at - 3_000_000_000_000n), nanos(at + 600_000_000_000n));
  return (
    <EmptyState
      title="Nothing in this time range"
      actions={
        <>
          <Button look="primary" onClick={() => onChange({ range: around })}>
            Jump to the last trace
          </Button>
          <Button onClick={() => onChange({ range: "all" })}>Search all time</Button>
          {view.q !== "" && <Button onClick={() => onChange({ q: "" })}>Clear the filter</Button>}
        </>
      }
    >
      {formatCount(Number(row?.[2] ?? 0))} traces are stored; the last one began {formatInstant(at, zone, 0)},{" "}
      {formatAge(at, nanosFromMs(Date.now()))}.
    </EmptyState>
  );
}
