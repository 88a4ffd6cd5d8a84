import styles from "./splitter.module.css";

interface Props {
  label: string;
  value: number;
  min: number;
  max: number;
  /** Which side the sized panel is on. */
  side: "left" | "right";
  onChange: (width: number) => void;
}

/** A line between two panels that can be dragged or moved by arrow keys. */
export function Splitter({ label, value, min, max, side, onChange }: Props) {
  const direction = side === "left" ? 1 : -1;
  const set = (width: number): void => onChange(Math.round(Math.min(max, Math.max(min, width))));
  return (
    <div
      className={styles.splitter}
      role="separator"
      aria-orientation="vertical"
      aria-label={label}
      aria-valuenow={value}
      aria-valuemin={min}
      aria-valuemax={max}
      tabIndex={0}
      onKeyDown={(event) => {
        const step = event.key === "ArrowRight" ? 16 : event.key === "ArrowLeft" ? -16 : 0;
        if (step === 0) return;
        event.preventDefault();
        event.stopPropagation();
        set(value + step * direction);
      }}
      onPointerDown={(event) => {
        const from = event.clientX;
        const handle = event.currentTarget;
        handle.setPointerCapture(event.pointerId);
        const move = (moved: PointerEvent): void => set(value + (moved.clientX - from) * direction);
        const stop = (): void => {
          handle.removeEventListener("pointermove", move);
          handle.removeEventListener("pointerup", stop);
          handle.removeEventListener("pointercancel", stop);
        };
        handle.addEventListener("pointermove", move);
        handle.addEventListener("pointerup", stop);
        handle.addEventListener("pointercancel", stop);
      }}
    />
  );
}
