import { useRef } from "react";
import styles from "./tabs.module.css";

interface Props<Name extends string> {
  label: string;
  value: Name;
  tabs: ReadonlyArray<{ name: Name; title: string }>;
  /** The id of the panel that the tabs switch. */
  panel: string;
  onChange: (name: Name) => void;
}

export function Tabs<Name extends string>({ label, value, tabs, panel, onChange }: Props<Name>) {
  const list = useRef<HTMLDivElement>(null);
  const move = (step: number): void => {
    const index = tabs.findIndex((tab) => tab.name === value);
    const next = (index + step + tabs.length) % tabs.length;
    const tab = tabs[next];
    if (!tab) return;
    onChange(tab.name);
    list.current?.querySelectorAll("button")[next]?.focus();
  };
  return (
    <div className={styles.tabs} role="tablist" aria-label={label} ref={list}>
      {tabs.map((tab) => (
        <button
          key={tab.name}
          type="button"
          role="tab"
          className={styles.tab}
          aria-selected={tab.name === value}
          aria-controls={panel}
          tabIndex={tab.name === value ? 0 : -1}
          onClick={() => onChange(tab.name)}
          onKeyDown={(event) => {
            if (event.key === "ArrowRight") move(1);
            else if (event.key === "ArrowLeft") move(-1);
            else return;
            event.preventDefault();
          }}
        >
          {tab.title}
        </button>
      ))}
    </div>
  );
}
