// What stands around every page: the bar, the palette, help, and the keys that work everywhere.

import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useNavigate, useRouterState } from "@tanstack/react-router";
import { Component, type ReactNode, Suspense, useEffect, useState } from "react";
import { statusQuery } from "../api/status";
import { useKeys } from "../base/keys";
import { setPreferences, type Theme, usePreferences } from "../base/preferences";
import type { Search } from "../base/search";
import { Button } from "../widgets/button";
import { Icon, type IconName, Mark } from "../widgets/icon";
import { ErrorState, Progress } from "../widgets/states";
import { Help } from "./help";
import { Palette } from "./palette";
import styles from "./shell.module.css";

const PLACES = [
  { to: "/explore", title: "Explore", icon: "waterfall", keys: "g e" },
  { to: "/sql", title: "SQL", icon: "sql", keys: "g q" },
  { to: "/ingest", title: "Ingest", icon: "ingest", keys: "g i" },
  { to: "/setup", title: "Setup", icon: "setup", keys: "g u" },
] as const satisfies ReadonlyArray<{ to: string; title: string; icon: IconName; keys: string }>;

type Path = (typeof PLACES)[number]["to"];

/** The last view of each page, so that the bar leads back to where one was. */
function useLastViews(): Record<string, Search> {
  const location = useRouterState({ select: (state) => state.location });
  const [views, setViews] = useState<Record<string, Search>>({});
  useEffect(() => {
    setViews((before) => ({ ...before, [location.pathname]: location.search as Search }));
  }, [location]);
  return views;
}

export function Shell() {
  const navigate = useNavigate();
  const path = useRouterState({ select: (state) => state.location.pathname });
  const views = useLastViews();
  const [open, setOpen] = useState<"palette" | "help" | undefined>();
  const go = (to: Path): void => {
    void navigate({ to, search: views[to] ?? {} });
  };
  useKeys("Everywhere", [
    { keys: "?", does: "this help", run: () => setOpen("help") },
    { keys: "mod+k", does: "palette; a pasted trace id opens", run: () => setOpen("palette") },
    ...PLACES.map(({ to, title, keys }) => ({ keys, does: title, run: () => go(to) })),
    { keys: "y", does: "copy link", run: () => void navigator.clipboard.writeText(location.href) },
  ]);
  useEffect(() => {
    const place = PLACES.find((each) => path.startsWith(each.to));
    document.title = `${place ? place.title : path.startsWith("/trace/") ? `Trace ${path.slice(7, 15)}` : "Not found"} · Spanhouse`;
  }, [path]);
  return (
    <div className={styles.shell}>
      <header className={styles.bar}>
        <Link to="/explore" search={{}} className={styles.brand} aria-label="Spanhouse">
          <Mark />
          Spanhouse
        </Link>
        <nav aria-label="Pages">
          {PLACES.map(({ to, title, icon }) => {
            const here = path.startsWith(to) || (to === "/explore" && path.startsWith("/trace/"));
            return (
              <Link
                key={to}
                to={to}
                search={views[to] ?? {}}
                className={styles.tab}
                data-here={here || undefined}
                aria-current={path.startsWith(to) ? "page" : undefined}
              >
                <Icon name={icon} size={15} />
                {title}
              </Link>
            );
          })}
        </nav>
        <span className={styles.space} />
        <button type="button" className={styles.jump} onClick={() => setOpen("palette")}>
          <Icon name="search" size={13} />
          <span>Trace id, service, page</span>
          <kbd>Ctrl K</kbd>
        </button>
        <ServerDot />
        <ZoneSwitch />
        <ThemeSwitch />
        <Button
          look="quiet"
          icon="help"
          aria-label="Keyboard help"
          title="Keyboard help (?)"
          onClick={() => setOpen("help")}
        />
      </header>
      <Boundary key={path}>
        <Suspense fallback={<Progress on />}>
          <Outlet />
        </Suspense>
      </Boundary>
      {open === "palette" && <Palette places={PLACES} onClose={() => setOpen(undefined)} onGo={go} />}
      {open === "help" && <Help onClose={() => setOpen(undefined)} />}
    </div>
  );
}

function ServerDot() {
  const status = useQuery(statusQuery(15_000));
  const bad = status.isError || status.data?.ready === false;
  const text = status.isError
    ? "server not reachable"
    : status.data
      ? status.data.ready
        ? `v${status.data.version}`
        : "starting"
      : "";
  return (
    <span className={styles.server} role="status" title={status.error?.message ?? status.data?.data_dir}>
      <span className={styles.dot} data-bad={bad || undefined} />
      {text}
    </span>
  );
}

function ZoneSwitch() {
  const { zone } = usePreferences();
  const offset = -new Date().getTimezoneOffset();
  const local = `UTC${offset < 0 ? "−" : "+"}${Math.floor(Math.abs(offset) / 60)}${offset % 60 === 0 ? "" : `:${Math.abs(offset) % 60}`}`;
  return (
    <Button
      look="quiet"
      title="Switch between UTC and local time"
      onClick={() => setPreferences({ zone: zone === "utc" ? "local" : "utc" })}
    >
      {zone === "utc" ? "UTC" : `Local (${local})`}
    </Button>
  );
}

const THEMES: Record<Theme, { next: Theme; icon: IconName; name: string }> = {
  system: { next: "light", icon: "system", name: "as the system" },
  light: { next: "dark", icon: "sun", name: "light" },
  dark: { next: "system", icon: "moon", name: "dark" },
};

function ThemeSwitch() {
  const { theme } = usePreferences();
  const { next, icon, name } = THEMES[theme];
  return (
    <Button
      look="quiet"
      icon={icon}
      aria-label={`Theme: ${name}; switch to ${THEMES[next].name}`}
      title={`Theme: ${name}`}
      onClick={() => setPreferences({ theme: next })}
    />
  );
}

/** A fault in a page leaves the bar standing. */
class Boundary extends Component<{ children: ReactNode }, { error: Error | undefined }> {
  override state: { error: Error | undefined } = { error: undefined };
  static getDerivedStateFromError(error: unknown) {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }
  override render(): ReactNode {
    if (!this.state.error) return this.props.children;
    return (
      <main className={styles.crash}>
        <ErrorState error={this.state.error} retry={() => this.setState({ error: undefined })} />
      </main>
    );
  }
}
