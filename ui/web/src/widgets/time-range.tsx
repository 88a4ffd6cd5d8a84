import { useEffect, useId, useState } from "react";
import { formatDuration } from "../base/duration";
import { ALL_TIME, parseRange, type TimeRange } from "../base/range";
import { formatClock, formatDate, formatInstant, nanosFromMs, type Zone } from "../base/time";
import { Popover } from "./popover";
import styles from "./time-range.module.css";

interface Props {
  value: string;
  zone: Zone;
  onChange: (text: string) => void;
}

const PRESETS = ["5m", "15m", "1h", "3h", "12h", "24h", "7d", ALL_TIME] as const;

const presetName = (text: string): string =>
  text === ALL_TIME
    ? "All time"
    : /^\d+[a-z]+$/.test(text)
      ? `Last ${text.replace(/(\d)([a-z])/, "$1 $2")}`
      : text;

function describe(text: string, zone: Zone): string {
  if (text === ALL_TIME || /^\d+[a-z]+$/.test(text)) return presetName(text);
  const answer = parseRange(text, nanosFromMs(Date.now()), zone);
  if ("error" in answer) return text;
  return answer.range.relative ? text : spell(answer.range, zone);
}

function spell({ from, to }: TimeRange, zone: Zone): string {
  const digits = to - from < 2_000_000_000n ? 3 : 0;
  const end =
    formatDate(from, zone) === formatDate(to, zone)
      ? formatClock(to, zone, digits)
      : formatInstant(to, zone, digits);
  return `${formatInstant(from, zone, digits)} – ${end}`;
}

/** A time range as text, with presets; relative text stays relative. */
export function TimeRangeControl({ value, zone, onChange }: Props) {
  return (
    <span className={styles.control} data-time-range>
      <Popover label="" value={describe(value, zone)} icon="clock" end>
        {(close) => (
          <Panel
            value={value}
            zone={zone}
            onChange={(text) => {
              onChange(text);
              close();
            }}
          />
        )}
      </Popover>
    </span>
  );
}

function Panel({ value, zone, onChange }: Props) {
  const [text, setText] = useState(value);
  const [now, setNow] = useState(() => nanosFromMs(Date.now()));
  const id = useId();
  useEffect(() => {
    const timer = setInterval(() => setNow(nanosFromMs(Date.now())), 1000);
    return () => clearInterval(timer);
  }, []);
  const answer = parseRange(text, now, zone);
  const bad = "error" in answer;
  const note = bad
    ? answer.error
    : text.trim() === ALL_TIME
      ? "everything that is stored"
      : `${spell(answer.range, zone)} ${zone === "utc" ? "UTC" : "local time"}, ${formatDuration(Number(answer.range.to - answer.range.from))}`;
  return (
    <div className={styles.panel}>
      <div className={styles.form}>
        <label className={styles.label} htmlFor={id}>
          Time range
        </label>
        <input
          // biome-ignore lint/a11y/noAutofocus: the panel was opened to type here
          autoFocus
          id={id}
          className={styles.input}
          value={text}
          aria-invalid={bad}
          aria-describedby={`${id}-note`}
          onFocus={(event) => event.target.select()}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && !bad) onChange(text.trim());
          }}
        />
        <div
          id={`${id}-note`}
          className={bad ? `${styles.note} ${styles.bad}` : styles.note}
          aria-live="polite"
        >
          {note}
        </div>
      </div>
      <div className={styles.presets}>
        {PRESETS.map((preset) => (
          <button
            key={preset}
            type="button"
            className={styles.preset}
            aria-pressed={preset === value}
            onClick={() => onChange(preset)}
          >
            {presetName(preset)}
          </button>
        ))}
      </div>
    </div>
  );
}
