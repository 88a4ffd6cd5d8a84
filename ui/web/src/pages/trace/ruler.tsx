import { formatDuration } from "../../base/duration";
import { ticks, type Window, xOf } from "../../timeline/geometry";
import styles from "./trace.module.css";

/** Round moments of the shown part. */
export function Ruler({ window, width }: { window: Window; width: number }) {
  return (
    <div className={styles.ruler} aria-hidden="true">
      {ticks(window, width).map((tick) => {
        const x = xOf(tick, window, width);
        return (
          <span key={tick} style={{ left: x }} data-end={x > width - 60 || undefined}>
            {tick === 0 ? "0" : formatDuration(tick)}
          </span>
        );
      })}
    </div>
  );
}
