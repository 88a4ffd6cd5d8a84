// The rows of an answer, and the whole value of the cell that is selected.

import { Link, useNavigate } from "@tanstack/react-router";
import { useCallback, useMemo, useState } from "react";
import type { Json } from "../../api/shapes";
import type { SqlAnswer } from "../../api/sql";
import { estimateText, estimateWhy, isEstimateType, readEstimate } from "../../model/estimate";
import { Button } from "../../widgets/button";
import { CopyButton } from "../../widgets/copy";
import { Grid, type GridCell } from "../../widgets/grid";
import { TRACE_START, traceUrl } from "../trace/url";
import styles from "./sql.module.css";

const NUMBER =
  /^(u?int\d*|integer|(small|big|unsigned big)int|unsigned.*|float\d*|double|real|decimal.*|numeric.*)$/i;
const ID = /(^|_)id$/;

const textOf = (value: Json): string =>
  value === null
    ? "NULL"
    : typeof value === "string"
      ? value
      : typeof value === "object"
        ? JSON.stringify(value)
        : String(value);

function pretty(value: Json): string {
  if (typeof value !== "string")
    return typeof value === "object" && value !== null ? JSON.stringify(value, undefined, 2) : textOf(value);
  if (!/^[[{]/.test(value)) return value;
  try {
    return JSON.stringify(JSON.parse(value), undefined, 2);
  } catch {
    return value;
  }
}

export function Result({ answer }: { answer: SqlAnswer }) {
  const [selected, setSelected] = useState<readonly [number, number] | undefined>();
  const navigate = useNavigate();
  const { rows } = answer;
  const columns = useMemo(
    () =>
      answer.columns.map((column, index) => ({
        ...column,
        key: `${column.name}#${index}`,
        type: isEstimateType(column.type) ? "estimate" : column.type,
        number: NUMBER.test(column.type) || isEstimateType(column.type),
      })),
    [answer.columns],
  );
  const spanColumn = answer.columns.findIndex((column) => column.name === "span_id");
  const linkOf = useCallback(
    (row: number, column: number): { id: string; span: string } | undefined => {
      const value = rows[row]?.[column];
      const name = answer.columns[column]?.name ?? "";
      if (typeof value !== "string" || !/^[0-9a-f]{32}$/.test(value) || !/trace/.test(name)) return undefined;
      const span = spanColumn >= 0 ? rows[row]?.[spanColumn] : undefined;
      return { id: value, span: typeof span === "string" ? span : "" };
    },
    [rows, answer.columns, spanColumn],
  );
  const cell = useCallback(
    (row: number, column: number): GridCell => {
      const value = rows[row]?.[column] ?? null;
      const estimate = isEstimateType(answer.columns[column]?.type ?? "") ? readEstimate(value) : undefined;
      if (estimate) {
        const { figure, interval } = estimateText(estimate);
        return {
          text: interval === "" ? figure : `${figure} ${interval}`,
          title: estimateWhy(estimate),
          content: (
            <>
              {figure}
              {interval !== "" && <span className={styles.interval}>{interval}</span>}
            </>
          ),
        };
      }
      const text = textOf(value);
      const link = linkOf(row, column);
      return {
        text,
        isNull: value === null,
        mono: ID.test(answer.columns[column]?.name ?? "") || (typeof value === "object" && value !== null),
        ...(link
          ? {
              content: (
                <Link
                  to="/trace/$id"
                  params={{ id: link.id }}
                  search={traceUrl.write({ ...TRACE_START, span: link.span })}
                  tabIndex={-1}
                >
                  {text}
                </Link>
              ),
            }
          : {}),
      };
    },
    [rows, answer.columns, linkOf],
  );
  const value = selected ? (rows[selected[0]]?.[selected[1]] ?? null) : null;
  const estimate =
    selected && isEstimateType(answer.columns[selected[1]]?.type ?? "") ? readEstimate(value) : undefined;
  return (
    <div className={styles.result}>
      <div className={styles.grid}>
        <Grid
          label="Result"
          columns={columns}
          rowCount={rows.length}
          cell={cell}
          selected={selected}
          onSelect={(row, column) => setSelected([row, column])}
          onOpen={(row, column) => {
            const link = linkOf(row, column);
            if (link)
              void navigate({
                to: "/trace/$id",
                params: { id: link.id },
                search: traceUrl.write({ ...TRACE_START, span: link.span }),
              });
          }}
        />
      </div>
      {selected && (
        <aside className={styles.value} aria-label="Selected value">
          <div className={styles.valueHead}>
            <h3>{answer.columns[selected[1]]?.name}</h3>
            <span>row {selected[0] + 1}</span>
            <CopyButton text={textOf(value)} label="Copy the value" />
            <Button
              look="quiet"
              small
              icon="close"
              aria-label="Close the value"
              onClick={() => setSelected(undefined)}
            />
          </div>
          {estimate && <p>{estimateWhy(estimate)}</p>}
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a long value scrolls, also by keys */}
          <pre tabIndex={0}>{pretty(value)}</pre>
        </aside>
      )}
    </div>
  );
}
