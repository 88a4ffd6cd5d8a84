// What a panel shows when it has nothing, has failed, is waiting, and what stands below it when it has rows.

import type { ReactNode } from "react";
import { formatBytes, formatCount, formatMs } from "../base/format";
import { Button } from "./button";
import { Icon } from "./icon";
import styles from "./states.module.css";

export function EmptyState({
  title,
  children,
  actions,
}: {
  title: string;
  children?: ReactNode;
  actions?: ReactNode;
}) {
  return (
    <div className={styles.state}>
      <h2>{title}</h2>
      {children && <div className={styles.text}>{children}</div>}
      {actions && <div className={styles.actions}>{actions}</div>}
    </div>
  );
}

interface Failure {
  error: Error;
  /** What was asked, for a person who wants to see it. */
  asked?: string;
  retry?: () => void;
}

export function ErrorState({ error, asked, retry }: Failure) {
  return (
    <div className={styles.error} role="alert">
      <Icon name="error" />
      <span className={styles.message}>{error.message}</span>
      {retry ? (
        <Button small onClick={retry}>
          Retry
        </Button>
      ) : (
        <span />
      )}
      {asked && <pre className={styles.query}>{asked}</pre>}
    </div>
  );
}

/** What to know before acting on the figures below it; no fault. */
export function Note({ children, action }: { children: ReactNode; action?: ReactNode }) {
  return (
    <div className={styles.note} role="note">
      <Icon name="scale" />
      <p>{children}</p>
      {action}
    </div>
  );
}

/** A thin line that moves while a question is open; it takes the same room when nothing is. */
export function Progress({ on }: { on: boolean }) {
  return (
    <div className={styles.progress} data-on={on || undefined} role="status">
      {on && <span className="visually-hidden">loading</span>}
    </div>
  );
}

interface FooterProps {
  stats?: { ms: number; rows_scanned: number; bytes_scanned: number } | undefined;
  /** What the figures rest on. */
  basis?: { word: string; why: string; warn: boolean } | undefined;
  children?: ReactNode;
  action?: ReactNode;
}

/** What an answer cost and what it rests on. */
export function PanelFooter({ stats, basis, children, action }: FooterProps) {
  return (
    <footer className={styles.footer}>
      {children}
      {stats && (
        <>
          {stats.rows_scanned > 0 && <span>{formatCount(stats.rows_scanned)} rows scanned</span>}
          {stats.bytes_scanned > 0 && <span>{formatBytes(stats.bytes_scanned)}</span>}
          <span>{formatMs(stats.ms)}</span>
        </>
      )}
      {basis && (
        <span className={styles.basis} data-warn={basis.warn || undefined} title={basis.why}>
          {basis.word}
        </span>
      )}
      <span>{action}</span>
    </footer>
  );
}
