// The policy as a form. What is typed is a draft: it can be tried against recent traces before it is put in force.

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useEffect, useId, useState } from "react";
import { applyPolicy, type PolicyInForce, policyQuery, previewPolicy } from "../../api/sampling";
import {
  budgetOf,
  FIELDS,
  type Field,
  type Policy,
  samePolicy,
  unitOf,
  valueAt,
  withValue,
} from "../../model/policy";
import { Button } from "../../widgets/button";
import { ErrorState } from "../../widgets/states";
import { Preview } from "./preview";
import styles from "./sampling.module.css";

export function PolicyForm({ inForce }: { inForce: PolicyInForce }) {
  const [draft, setDraft] = useState<Policy | undefined>();
  const client = useQueryClient();
  const budgetId = useId();
  const policy = draft ?? inForce.policy;
  const budget = budgetOf(policy);
  const changed = draft !== undefined && !samePolicy(draft as never, inForce.policy);
  const trial = useMutation({
    mutationFn: async (tried: Policy) => {
      const then = await previewPolicy(tried);
      return { now: then.in_force, then, tried };
    },
  });
  const change = useMutation({
    mutationFn: applyPolicy,
    onSuccess: (applied) => {
      client.setQueryData(policyQuery.queryKey, applied);
      setDraft(undefined);
      trial.reset();
    },
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: another revision may have been put in force from elsewhere
  useEffect(() => trial.reset(), [inForce.revision]);

  const edit = (path: readonly string[], value: string | number | undefined): void => {
    setDraft(withValue(policy, path, value));
    change.reset();
  };
  // Recent traces were weighed in the unit of the budget that decided them.
  const otherUnit = unitOf(budget) !== unitOf(budgetOf(inForce.policy));
  const error = change.error ?? trial.error;
  return (
    <form
      className={styles.form}
      onSubmit={(event) => {
        event.preventDefault();
        if (!otherUnit) trial.mutate(policy);
      }}
    >
      <label htmlFor={budgetId}>Budget</label>
      <div className={styles.line}>
        <input
          id={budgetId}
          value={budget}
          placeholder="none: keep everything"
          spellCheck={false}
          autoComplete="off"
          onChange={(event) => edit(["budget"], event.target.value === "" ? undefined : event.target.value)}
        />
        <button type="submit" className="visually-hidden" tabIndex={-1}>
          Try
        </button>
        <Button
          disabled={otherUnit || trial.isPending}
          title={
            otherUnit
              ? "Recent traces were weighed in the other unit, so this budget cannot be tried against them"
              : "What this would have kept of the traces decided last; nothing changes"
          }
          onClick={() => trial.mutate(policy)}
        >
          Try
        </Button>
        <Button
          look="primary"
          disabled={!changed || change.isPending}
          title="In force from the next tick; what is dropped then cannot be had back"
          onClick={() => change.mutate(policy)}
        >
          Apply
        </Button>
        {changed && (
          <Button
            look="quiet"
            onClick={() => {
              setDraft(undefined);
              trial.reset();
              change.reset();
            }}
          >
            Undo
          </Button>
        )}
      </div>
      <p className={styles.hint}>
        <code>2000 spans/s</code> or <code>50 GiB/day</code>; empty keeps every trace.
        {otherUnit &&
          " Recent traces were weighed in the other unit, so this budget cannot be tried, only applied."}
      </p>
      <details className={styles.tuning}>
        <summary>What is wanted more</summary>
        <div className={styles.fields}>
          {FIELDS.map((field) => (
            <NumberField key={field.label} field={field} policy={policy} onChange={edit} />
          ))}
        </div>
      </details>
      {error && <ErrorState error={error} />}
      {change.data && !changed && (
        <p className={styles.done} role="status">
          Revision {change.data.revision} is in force. What is stored keeps its weights.
        </p>
      )}
      {trial.data && !trial.error && (
        <Preview {...trial.data} budget={budgetOf(trial.data.tried)} stale={trial.data.tried !== policy} />
      )}
    </form>
  );
}

function NumberField({
  field,
  policy,
  onChange,
}: {
  field: Field;
  policy: Policy;
  onChange: (path: readonly string[], value: number | undefined) => void;
}) {
  const value = valueAt(policy, field.path);
  return (
    <label>
      <span>{field.label}</span>
      <input
        type="number"
        step={field.step}
        min={0}
        value={typeof value === "number" ? value : ""}
        onChange={(event) =>
          onChange(
            field.path,
            Number.isNaN(event.target.valueAsNumber) ? undefined : event.target.valueAsNumber,
          )
        }
      />
      <small>{field.about}</small>
    </label>
  );
}
