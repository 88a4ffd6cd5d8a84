// POST /api/sql: rows as JSON for the grid, CSV for downloads.

import * as v from "valibot";
import { ask, send, whole } from "./client";
import { json, stats } from "./shapes";

const sqlShape = v.object({
  columns: v.array(v.object({ name: v.string(), type: v.string() })),
  rows: v.array(v.array(json)),
  truncated: v.boolean(),
  stats,
});
export type SqlAnswer = v.InferOutput<typeof sqlShape>;

export const runSql = (sql: string, limit: number, signal?: AbortSignal): Promise<SqlAnswer> =>
  ask("/api/sql", sqlShape, { body: { query: sql, format: "json", limit }, signal });

export async function downloadCsv(sql: string, limit: number): Promise<Blob> {
  const response = await send("/api/sql", { body: { query: sql, format: "csv", limit }, accept: "text/csv" });
  return whole(response, () => response.blob());
}
