// A page's view lives in the URL. A page says how its view is read from the query and written to it; this hook gives
// the view and the one way to change it.

import { useNavigate, useRouterState } from "@tanstack/react-router";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { Search } from "./search";

export interface UrlOf<View> {
  read: (search: Search) => View;
  write: (view: View) => Search;
}

export type ChangeView<View> = (change: Partial<View>, how?: { replace?: boolean }) => void;

export function useView<View>(url: UrlOf<View>): readonly [View, ChangeView<View>] {
  const search: Search = useRouterState({ select: (state): Search => state.location.search as Search });
  const navigate = useNavigate();
  const view = useMemo(() => url.read(search), [search, url]);
  const latest = useRef(view);
  latest.current = view;
  const change = useCallback<ChangeView<View>>(
    (part, how) => {
      // Two changes in one event add up, since the second starts from the first.
      latest.current = { ...latest.current, ...part };
      void navigate({ to: ".", search: url.write(latest.current), replace: how?.replace === true });
    },
    [navigate, url],
  );
  return [view, change];
}

/**
 * A value that changes faster than a URL should (zooming, moving through rows): shown at once, written when it has
 * rested, and taken over from the URL when that changes by itself (back, forward).
 */
export function useDraft<Value>(
  value: Value,
  same: (left: Value, right: Value) => boolean,
  commit: (value: Value) => void,
  restMs: number,
): readonly [Value, (value: Value) => void] {
  const [draft, setDraft] = useState(value);
  const written = useRef(value);
  const latestCommit = useRef(commit);
  useEffect(() => {
    latestCommit.current = commit;
  });
  useEffect(() => {
    if (same(value, written.current)) return;
    written.current = value;
    setDraft(value);
  }, [value, same]);
  useEffect(() => {
    if (same(draft, written.current)) return undefined;
    const timer = setTimeout(() => {
      written.current = draft;
      latestCommit.current(draft);
    }, restMs);
    return () => clearTimeout(timer);
  }, [draft, same, restMs]);
  return [draft, setDraft];
}
