// What a person chose once and for all pages: kept in local storage, never in the URL.

import { useSyncExternalStore } from "react";
import type { Zone } from "./time";

export type Theme = "system" | "light" | "dark";

interface Preferences {
  theme: Theme;
  zone: Zone;
  singleKeys: boolean;
  detailsWidth: number;
  namesWidth: number;
  navWide: boolean;
}

const KEY = "spanhouse.preferences";
const DEFAULTS: Preferences = {
  theme: "system",
  zone: "local",
  singleKeys: true,
  detailsWidth: 440,
  namesWidth: 420,
  navWide: true,
};

const listeners = new Set<() => void>();
let current: Preferences = read();

function read(): Preferences {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    if (typeof stored !== "object" || stored === null) return DEFAULTS;
    const found = stored as Partial<Record<keyof Preferences, unknown>>;
    const size = (value: unknown, other: number): number =>
      typeof value === "number" && value >= 120 && value <= 2000 ? value : other;
    return {
      theme: found.theme === "light" || found.theme === "dark" ? found.theme : "system",
      zone: found.zone === "utc" ? "utc" : "local",
      singleKeys: found.singleKeys !== false,
      detailsWidth: size(found.detailsWidth, DEFAULTS.detailsWidth),
      namesWidth: size(found.namesWidth, DEFAULTS.namesWidth),
      navWide: found.navWide !== false,
    };
  } catch {
    return DEFAULTS;
  }
}

export const preferences = (): Preferences => current;

export function setPreferences(change: Partial<Preferences>): void {
  current = { ...current, ...change };
  try {
    localStorage.setItem(KEY, JSON.stringify(current));
  } catch {
    // Storage may be full or forbidden; the choice then lasts as long as the page.
  }
  applyTheme();
  for (const listener of listeners) listener();
}

export function applyTheme(): void {
  const root = document.documentElement;
  if (current.theme === "system") delete root.dataset.theme;
  else root.dataset.theme = current.theme;
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export const usePreferences = (): Preferences => useSyncExternalStore(subscribe, preferences);

const dark = typeof matchMedia === "function" ? matchMedia("(prefers-color-scheme: dark)") : undefined;

function subscribeSystem(listener: () => void): () => void {
  dark?.addEventListener("change", listener);
  return () => dark?.removeEventListener("change", listener);
}

/** The theme that is really shown. */
export function useShownTheme(): "light" | "dark" {
  const { theme } = usePreferences();
  const system = useSyncExternalStore(subscribeSystem, () => dark?.matches === true);
  return theme === "system" ? (system ? "dark" : "light") : theme;
}
