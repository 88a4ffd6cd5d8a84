import { type ReactNode, useEffect, useRef, useState } from "react";
import { classes } from "../base/classes";
import { buttonClass } from "./button";
import { Icon, type IconName } from "./icon";
import styles from "./popover.module.css";

interface Props {
  label: string;
  /** What is chosen; the label alone is shown without it. */
  value?: string | undefined;
  icon?: IconName;
  end?: boolean;
  children: (close: () => void) => ReactNode;
}

/** A button that opens a panel below itself; Escape, a click elsewhere or leaving by Tab closes it. */
export function Popover({ label, value, icon, end = false, children }: Props) {
  const [open, setOpen] = useState(false);
  const anchor = useRef<HTMLSpanElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (!open) return undefined;
    const outside = (event: Event): void => {
      if (event.target instanceof Node && !anchor.current?.contains(event.target)) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    document.addEventListener("focusin", outside);
    return () => {
      document.removeEventListener("pointerdown", outside);
      document.removeEventListener("focusin", outside);
    };
  }, [open]);
  const close = (): void => {
    setOpen(false);
    button.current?.focus();
  };
  return (
    <span
      className={styles.anchor}
      ref={anchor}
      onKeyDown={(event) => {
        if (open && event.key === "Escape") {
          event.stopPropagation();
          event.preventDefault();
          close();
        }
      }}
    >
      <button
        type="button"
        ref={button}
        className={classes(buttonClass(), styles.trigger, value !== undefined && styles.set)}
        aria-expanded={open}
        aria-haspopup="dialog"
        onClick={() => setOpen(!open)}
      >
        {icon && <Icon name={icon} size={14} />}
        <span className={value === undefined ? undefined : styles.label}>{label}</span>
        {value !== undefined && <span>{value}</span>}
        <Icon name="down" size={12} />
      </button>
      {open && (
        <div className={styles.panel} data-end={end || undefined}>
          {children(close)}
        </div>
      )}
    </span>
  );
}
