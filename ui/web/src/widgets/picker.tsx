import { useId, useState } from "react";
import { Popover } from "./popover";
import styles from "./popover.module.css";

interface Choice {
  value: string;
  note?: string;
}

interface Props {
  label: string;
  value: string | undefined;
  choices: readonly Choice[];
  /** What the list says when there is nothing to choose from. */
  none: string;
  onPick: (value: string | undefined) => void;
  /** Accept what was typed although it is not in the list. */
  free?: (typed: string) => string | undefined;
  placeholder?: string;
}

/** One of many, found by typing. */
export function Picker(props: Props) {
  return (
    <Popover label={props.label} value={props.value}>
      {(close) => <List {...props} close={close} />}
    </Popover>
  );
}

function List({
  label,
  value,
  choices,
  none,
  onPick,
  free,
  placeholder,
  close,
}: Props & { close: () => void }) {
  const [typed, setTyped] = useState("");
  const [active, setActive] = useState(0);
  const id = useId();
  const word = typed.toLowerCase();
  const found = choices.filter((choice) => choice.value.toLowerCase().includes(word)).slice(0, 300);
  const own = typed === "" ? undefined : free?.(typed);
  const rows: (Choice & { clears?: boolean; is?: string })[] = [
    ...(value !== undefined && typed === ""
      ? [{ value: "any", note: "remove this filter", clears: true }]
      : []),
    ...(own !== undefined && !found.some((choice) => choice.value === own)
      ? [{ value: own, note: "as typed" }]
      : []),
    ...found,
  ];
  const pick = (row: (typeof rows)[number] | undefined): void => {
    if (!row) return;
    onPick(row.clears ? undefined : row.value);
    close();
  };
  return (
    <>
      <input
        // biome-ignore lint/a11y/noAutofocus: the panel was opened to type here
        autoFocus
        className={styles.filter}
        placeholder={placeholder ?? `Find ${label.toLowerCase()}`}
        aria-label={`${label}: type to find`}
        role="combobox"
        aria-expanded="true"
        aria-controls={id}
        aria-activedescendant={rows[active] ? `${id}-${active}` : undefined}
        value={typed}
        onChange={(event) => {
          setTyped(event.target.value);
          setActive(0);
        }}
        onKeyDown={(event) => {
          if (event.key === "ArrowDown") setActive(Math.min(active + 1, rows.length - 1));
          else if (event.key === "ArrowUp") setActive(Math.max(active - 1, 0));
          else if (event.key === "Enter") pick(rows[active]);
          else return;
          event.preventDefault();
        }}
      />
      <div className={styles.list} id={id} role="listbox" aria-label={label} tabIndex={-1}>
        {rows.map((row, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: keys are handled by the combobox
          <div
            key={`${row.clears ?? ""}${row.value}`}
            id={`${id}-${index}`}
            role="option"
            tabIndex={-1}
            aria-selected={row.value === value}
            data-active={index === active || undefined}
            ref={index === active ? (element) => element?.scrollIntoView({ block: "nearest" }) : undefined}
            className={styles.option}
            onPointerMove={() => setActive(index)}
            onClick={() => pick(row)}
          >
            <span>{row.value}</span>
            <span>{row.note}</span>
          </div>
        ))}
        {rows.length === 0 && (
          <div className={styles.none}>{typed === "" ? none : `nothing like “${typed}”`}</div>
        )}
      </div>
    </>
  );
}
