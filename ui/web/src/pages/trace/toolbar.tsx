import { type RefObject, useEffect, useState } from "react";
import { plural } from "../../base/format";
import type { ChangeView } from "../../base/view";
import { Button } from "../../widgets/button";
import { Icon } from "../../widgets/icon";
import type { Matching } from "./matching";
import styles from "./trace.module.css";
import type { TraceView } from "./url";

interface Props {
  q: string;
  only: boolean;
  matching: Matching;
  level: number | undefined;
  zoomed: boolean;
  input: RefObject<HTMLInputElement | null>;
  onChange: ChangeView<TraceView>;
  onNext: (by: 1 | -1) => void;
  onWhole: () => void;
}

const RESTS_MS = 180;

/** Filter, matches, collapse and zoom. */
export function Toolbar({ q, only, matching, level, zoomed, input, onChange, onNext, onWhole }: Props) {
  const [text, setText] = useState(q);
  useEffect(() => setText(q), [q]);
  useEffect(() => {
    if (text === q) return undefined;
    const timer = setTimeout(() => onChange({ q: text }, { replace: true }), RESTS_MS);
    return () => clearTimeout(timer);
  }, [text, q, onChange]);
  const searching = q.trim() !== "";
  const found = matching.note || plural(matching.count, "match", "matches");
  return (
    <div className={styles.toolbar} role="toolbar" aria-label="Trace tools">
      <label className={styles.filter}>
        <Icon name="search" size={13} />
        <input
          ref={input}
          value={text}
          spellCheck={false}
          aria-label="Filter this trace"
          placeholder="Filter this trace: words, or status = error and duration > 10ms"
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter") onNext(event.shiftKey ? -1 : 1);
          }}
        />
        {searching && (
          <output>{matching.note === "as words" ? plural(matching.count, "match", "matches") : found}</output>
        )}
        {text !== "" && (
          <Button
            look="quiet"
            small
            icon="close"
            aria-label="Clear the filter"
            onClick={() => onChange({ q: "", only: false }, { replace: true })}
          />
        )}
      </label>
      <Button
        icon="up"
        aria-label="Previous match"
        disabled={!searching || matching.count === 0}
        onClick={() => onNext(-1)}
      />
      <Button
        icon="down"
        aria-label="Next match"
        disabled={!searching || matching.count === 0}
        onClick={() => onNext(1)}
      />
      <Button aria-pressed={only} disabled={!searching} onClick={() => onChange({ only: !only })}>
        Only matches
      </Button>
      <span className={styles.gap} />
      {zoomed && <Button onClick={onWhole}>Whole trace</Button>}
      <span className={styles.levels}>
        <Button
          aria-label="Collapse one level"
          title="Show one level less"
          icon="minus"
          onClick={() => onChange({ level: Math.max(0, (level ?? 4) - 1), flipped: [] })}
        />
        <span>{level === undefined ? "all levels" : plural(level + 1, "level")}</span>
        <Button
          aria-label="Expand one level"
          title="Show one level more"
          icon="plus"
          disabled={level === undefined}
          onClick={() => onChange({ level: (level ?? 0) + 1, flipped: [] })}
        />
      </span>
      <Button disabled={level === undefined} onClick={() => onChange({ level: undefined, flipped: [] })}>
        Expand all
      </Button>
      <Button onClick={() => onChange({ level: 0, flipped: [] })}>Collapse all</Button>
    </div>
  );
}
