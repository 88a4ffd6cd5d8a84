// What sampling keeps, by class, and the policy that says so: read, tried against recent traces, and changed.

import { useQuery } from "@tanstack/react-query";
import { decidedQuery, policyQuery } from "../../api/sampling";
import { formatCompact, formatCount, formatPercent, plural } from "../../base/format";
import { className } from "../../model/decision";
import { budgetOf, CLASSES, type Decided, formatCost, unitOf } from "../../model/policy";
import { ErrorState } from "../../widgets/states";
import { SqlLink } from "../sql/url-link";
import { PolicyForm } from "./policy-form";
import styles from "./sampling.module.css";

/** Weights are right when they add up to what arrived; only chance may keep the two apart. What opted out weighs nothing. */
const AUDIT = `SELECT date_trunc('minute', start_time) AS minute,
       sum(head_count) AS arrived,
       round(sum(adjusted_count)) AS sum_of_weights,
       round(100 * (sum(adjusted_count) / sum(head_count) - 1), 1) AS off_percent,
       count(*) FILTER (WHERE kept) AS kept
FROM traces
WHERE keep_reason NOT IN ('pending', 'opted_out')
GROUP BY 1
ORDER BY 1 DESC
LIMIT 60`;

const EVERY_MS = 2000;

export function Sampling() {
  const policy = useQuery(policyQuery);
  const decided = useQuery(decidedQuery(EVERY_MS));
  const error = policy.error ?? decided.error;
  if (error && !(policy.data && decided.data)) return <ErrorState error={error} />;
  if (!policy.data) return null;
  const budget = budgetOf(policy.data.policy);
  return (
    <div className={styles.panel}>
      <div className={styles.force}>
        <p className={styles.budget}>
          <b>{budget === "" ? "no budget" : budget}</b>
          <span>
            revision {policy.data.revision},{" "}
            {budget === "" ? "every trace is kept" : "whole traces, by chance"}
          </span>
        </p>
        {decided.data && <Counts decided={decided.data} unit={unitOf(budget)} />}
        <p className={styles.audit}>
          <SqlLink sql={AUDIT}>Audit the weights in SQL</SqlLink>
          <span>what kept traces stand for, against the exact count of those that arrived</span>
        </p>
      </div>
      <PolicyForm inForce={policy.data} />
    </div>
  );
}

function Counts({ decided, unit }: { decided: Decided; unit: "spans" | "bytes" }) {
  const { all, cost } = decided;
  return (
    <>
      <table className={styles.classes}>
        <caption>
          {all.seen === 0
            ? "No trace is decided yet since the start."
            : `${formatCount(all.kept)} of ${plural(all.seen, "trace")} kept since the start, ${formatPercent(all.kept / all.seen)}`}
        </caption>
        <thead>
          <tr>
            <th scope="col">Class</th>
            <th scope="col">Seen</th>
            <th scope="col">Kept</th>
            <th scope="col">Share kept</th>
          </tr>
        </thead>
        <tbody>
          {CLASSES.map((word) => {
            const { kept, seen } = decided.byClass.get(word) ?? { kept: 0, seen: 0 };
            return (
              <tr key={word} data-none={seen === 0 || undefined}>
                <th scope="row" title={className(word)}>
                  {word}
                </th>
                <td>{formatCompact(seen)}</td>
                <td>{formatCompact(kept)}</td>
                <td>
                  <Share kept={kept} seen={seen} />
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {cost.seen > 0 && (
        <p className={styles.cost}>
          {formatCost(cost.kept, unit)} kept of {formatCost(cost.seen, unit)},{" "}
          {formatPercent(cost.kept / cost.seen)}
        </p>
      )}
    </>
  );
}

export function Share({ kept, seen }: { kept: number; seen: number }) {
  if (seen === 0) return <span>–</span>;
  const share = kept / seen;
  return (
    <span className={styles.share}>
      <span className={styles.meter} aria-hidden="true">
        <span style={{ width: `${Math.max(share > 0 ? 1.5 : 0, share * 100)}%` }} />
      </span>
      {formatPercent(share)}
    </span>
  );
}
