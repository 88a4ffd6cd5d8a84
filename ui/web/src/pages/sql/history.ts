// The statements that ran in this browser, newest first.

import { useSyncExternalStore } from "react";

interface Entry {
  sql: string;
  /** Milliseconds since the epoch. */
  at: number;
}

const KEY = "spanhouse.sql-history";
const MOST = 50;
const LONGEST = 20_000;

const listeners = new Set<() => void>();
let entries: readonly Entry[] = read();

function read(): readonly Entry[] {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    if (!Array.isArray(stored)) return [];
    return stored
      .filter(
        (each: unknown): each is Entry =>
          typeof each === "object" &&
          each !== null &&
          "sql" in each &&
          typeof each.sql === "string" &&
          "at" in each &&
          typeof each.at === "number",
      )
      .slice(0, MOST);
  } catch {
    return [];
  }
}

export function remember(sql: string): void {
  if (sql.length > LONGEST) return;
  entries = [{ sql, at: Date.now() }, ...entries.filter((each) => each.sql !== sql)].slice(0, MOST);
  try {
    localStorage.setItem(KEY, JSON.stringify(entries));
  } catch {
    // Full or forbidden: the history then lasts as long as the page.
  }
  for (const listener of listeners) listener();
}

export const useHistory = (): readonly Entry[] =>
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => entries,
  );
