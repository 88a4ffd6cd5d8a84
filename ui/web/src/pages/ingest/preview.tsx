// What a policy would have kept of the traces decided last, beside what the one in force would have.

import type { Score } from "../../api/sampling";
import { formatCount, formatPercent, plural } from "../../base/format";
import { className } from "../../model/decision";
import { CLASSES, formatCost, unitOf } from "../../model/policy";
import styles from "./sampling.module.css";

/** No tick is shorter than a hundredth of a second; the first after a start has no length to divide by. */
const peakOf = (score: Score): number | undefined =>
  score.peak_cost_per_second > score.kept_cost * 100 ? undefined : score.peak_cost_per_second;

interface Props {
  now: Score;
  then: Score;
  budget: string;
  /** The form says something else by now. */
  stale: boolean;
}

const total = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0);

export function Preview({ now, then, budget, stale }: Props) {
  const unit = unitOf(budget);
  const seen = total(then.seen);
  if (seen === 0) return <p className={styles.hint}>There is no recent trace to try it on.</p>;
  const [nowPeak, thenPeak] = [peakOf(now), peakOf(then)];
  const cost = (value: number): string => formatCost(value, unit);
  return (
    <table className={styles.preview} data-stale={stale || undefined}>
      <caption>
        Of the last {plural(seen, "decided trace")}, {budget === "" ? "no budget" : budget} would keep{" "}
        {formatCount(total(then.kept))}
        {stale ? " (the form has changed since)" : ""}
      </caption>
      <thead>
        <tr>
          <th scope="col">Class</th>
          <th scope="col">Seen</th>
          <th scope="col">In force keeps</th>
          <th scope="col">This keeps</th>
        </tr>
      </thead>
      <tbody>
        {CLASSES.filter((word) => (then.seen[word] ?? 0) > 0).map((word) => (
          <tr key={word}>
            <th scope="row" title={className(word)}>
              {word}
            </th>
            <td>{formatCount(then.seen[word] ?? 0)}</td>
            <td>{formatCount(now.kept[word] ?? 0)}</td>
            <td>
              <Compared now={now.kept[word] ?? 0} then={then.kept[word] ?? 0} text={formatCount} />
            </td>
          </tr>
        ))}
        <tr>
          <th scope="row" title="What kept traces cost, in the budget's unit">
            cost
          </th>
          <td>{cost(then.offered_cost)}</td>
          <td>{cost(now.kept_cost)}</td>
          <td>
            <Compared now={now.kept_cost} then={then.kept_cost} text={cost} />
          </td>
        </tr>
        <tr>
          <th scope="row" title="The most that one tick kept, as a rate">
            peak a second
          </th>
          <td />
          <td>{nowPeak === undefined ? "–" : cost(nowPeak)}</td>
          <td>
            {thenPeak === undefined ? "–" : <Compared now={nowPeak ?? 0} then={thenPeak} text={cost} />}
          </td>
        </tr>
      </tbody>
    </table>
  );
}

function Compared({ now, then, text }: { now: number; then: number; text: (value: number) => string }) {
  const change = now > 0 ? then / now - 1 : 0;
  const sign = change > 0 ? "+" : "−";
  return (
    <>
      {text(then)}
      {Math.abs(change) >= 0.005 && (
        <small>
          {change > 9.99
            ? `×${formatCount(Math.round(then / now))}`
            : `${sign}${formatPercent(Math.abs(change))}`}
        </small>
      )}
    </>
  );
}
