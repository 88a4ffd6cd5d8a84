// One trace: loads it, or says why it cannot be shown.

import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { ApiError } from "../../api/client";
import { traceQuery } from "../../api/trace";
import { buttonClass } from "../../widgets/button";
import { EmptyState, ErrorState, Progress } from "../../widgets/states";
import { EXPLORE_START, exploreUrl } from "../explore/url";
import { TraceBody } from "./body";
import { TraceDigest } from "./digest";
import styles from "./trace.module.css";

export default function TracePage() {
  const { id } = useParams({ from: "/trace/$id" });
  const traceId = id.trim().toLowerCase();
  const trace = useQuery(traceQuery(traceId));
  if (trace.data && trace.data.columns.count === 0)
    return <TraceDigest key={traceId} facts={trace.data.facts} stats={trace.data.stats} />;
  if (trace.data) return <TraceBody key={traceId} trace={trace.data} />;
  if (trace.error instanceof ApiError && trace.error.code === "not_found") {
    return (
      <main className={styles.page}>
        <EmptyState
          title="No such trace"
          actions={
            <Link
              to="/explore"
              search={exploreUrl.write({ ...EXPLORE_START, range: "all" })}
              className={buttonClass()}
            >
              Explore all time
            </Link>
          }
        >
          {trace.error.message}
        </EmptyState>
      </main>
    );
  }
  return (
    <main className={styles.page}>
      <h1 className="visually-hidden">Trace {traceId}</h1>
      <Progress on={trace.isFetching} />
      {trace.isError && <ErrorState error={trace.error} asked={traceId} retry={() => void trace.refetch()} />}
    </main>
  );
}
