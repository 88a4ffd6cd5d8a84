// A one-line text field whose text is coloured, whose mistakes are marked at the character, and which completes what
// is being typed. It knows no language: the page gives pieces, mistakes and suggestions.

import { type ReactNode, type RefObject, useId, useLayoutEffect, useRef, useState } from "react";
import { Icon } from "./icon";
import styles from "./marked-input.module.css";

export interface Piece {
  text: string;
  look: "subject" | "operator" | "value" | "number" | "joint" | "plain";
}

export interface Suggestion {
  /** What is inserted in place of the typed piece. */
  insert: string;
  label: string;
  note?: string;
}

interface Props {
  label: string;
  placeholder: string;
  value: string;
  pieces: readonly Piece[];
  mistake?: { message: string; from: number; to: number } | undefined;
  /** Suggestions at the cursor and the piece that they replace. */
  suggest: (cursor: number) => { from: number; to: number; list: readonly Suggestion[] };
  onCursor?: (cursor: number) => void;
  onChange: (text: string) => void;
  onSubmit: () => void;
  input: RefObject<HTMLInputElement | null>;
  children?: ReactNode;
}

/** Pixels of a character in the 13 px monospace font. */
const CHARACTER = 7.83;

export function MarkedInput(props: Props) {
  const { label, placeholder, value, pieces, mistake, suggest, onChange, onSubmit, input, children } = props;
  const [cursor, setCursor] = useState(0);
  const [active, setActive] = useState(-1);
  const [open, setOpen] = useState(false);
  const mirror = useRef<HTMLDivElement>(null);
  const moveTo = useRef<number | undefined>(undefined);
  const id = useId();
  const { from, to, list } = open ? suggest(cursor) : { from: 0, to: 0, list: [] };
  const shown = open && list.length > 0;
  // What is still being typed is not wrong yet, only unfinished.
  const told = open && mistake && mistake.from >= value.trimEnd().length ? undefined : mistake;

  const notice = (): void => {
    const element = input.current;
    if (!element) return;
    const at = element.selectionStart ?? value.length;
    setCursor(at);
    props.onCursor?.(at);
    if (mirror.current) mirror.current.scrollLeft = element.scrollLeft;
  };

  useLayoutEffect(() => {
    if (mirror.current && input.current) mirror.current.scrollLeft = input.current.scrollLeft;
    if (moveTo.current !== undefined && input.current) {
      input.current.setSelectionRange(moveTo.current, moveTo.current);
      moveTo.current = undefined;
      notice();
    }
  });

  /** What belongs to a character stands below it: monospace makes that a multiplication. */
  const leftOf = (character: number): number => {
    const scrolled = input.current?.scrollLeft ?? 0;
    const width = input.current?.clientWidth ?? 600;
    return Math.max(0, Math.min(32 + character * CHARACTER - scrolled - 12, width - 300));
  };

  const choose = (suggestion: Suggestion): void => {
    const after = value.slice(to);
    const insert = after.startsWith(" ") ? suggestion.insert : `${suggestion.insert} `;
    moveTo.current = from + insert.length + (after.startsWith(" ") ? 1 : 0);
    onChange(value.slice(0, from) + insert + after);
    setActive(-1);
  };

  const onKeyDown = (event: React.KeyboardEvent): void => {
    if (event.key === "ArrowDown") {
      if (!open) setOpen(true);
      else setActive(Math.min(active + 1, list.length - 1));
    } else if (event.key === "ArrowUp") setActive(Math.max(active - 1, -1));
    else if (event.key === "Enter") {
      const chosen = shown ? list[active] : undefined;
      if (chosen) choose(chosen);
      else {
        setOpen(false);
        onSubmit();
      }
    } else if (event.key === "Tab" && shown && !event.shiftKey && (active >= 0 || to > from)) {
      const chosen = list[Math.max(active, 0)];
      if (chosen) choose(chosen);
    } else if (event.key === "Escape") {
      event.stopPropagation();
      if (shown) setOpen(false);
      else input.current?.blur();
    } else if (event.key === " " && event.ctrlKey) setOpen(true);
    else return;
    event.preventDefault();
  };

  return (
    <div className={styles.box}>
      <div className={styles.field} data-bad={(told && !open) || undefined}>
        <Icon name="search" size={13} />
        <div className={styles.mirror} ref={mirror} aria-hidden="true">
          <Marked pieces={pieces} mistake={told} />
        </div>
        <input
          ref={input}
          className={styles.input}
          role="combobox"
          aria-label={label}
          aria-expanded={shown}
          aria-controls={`${id}-list`}
          aria-autocomplete="list"
          aria-invalid={told !== undefined}
          aria-describedby={told ? `${id}-mistake` : undefined}
          aria-activedescendant={shown && active >= 0 ? `${id}-${active}` : undefined}
          placeholder={placeholder}
          spellCheck={false}
          autoComplete="off"
          autoCapitalize="off"
          value={value}
          onChange={(event) => {
            onChange(event.target.value);
            setCursor(event.target.selectionStart ?? 0);
            setActive(-1);
            setOpen(true);
          }}
          onSelect={notice}
          onScroll={notice}
          onKeyDown={onKeyDown}
          onFocus={notice}
          onClick={() => setOpen(true)}
          onBlur={() => setOpen(false)}
        />
        <div className={styles.hint}>{children}</div>
      </div>
      {told && !shown && (
        <div className={styles.message} id={`${id}-mistake`} role="alert" style={{ left: leftOf(told.from) }}>
          {told.message} <span>(character {told.from + 1})</span>
        </div>
      )}
      {shown && (
        <div
          className={styles.options}
          id={`${id}-list`}
          role="listbox"
          tabIndex={-1}
          aria-label="Suggestions"
          style={{ left: leftOf(from) }}
        >
          {list.map((suggestion, index) => (
            <div
              key={suggestion.insert}
              id={`${id}-${index}`}
              role="option"
              tabIndex={-1}
              aria-selected={index === active}
              data-active={index === active || undefined}
              className={styles.option}
              ref={index === active ? (element) => element?.scrollIntoView({ block: "nearest" }) : undefined}
              onPointerDown={(event) => {
                event.preventDefault();
                choose(suggestion);
              }}
            >
              <code>{suggestion.label}</code>
              <span>{suggestion.note}</span>
            </div>
          ))}
        </div>
      )}
    </div>
  );
}

function Marked({ pieces, mistake }: { pieces: readonly Piece[]; mistake: Props["mistake"] }) {
  let at = 0;
  const parts: ReactNode[] = [];
  for (const piece of pieces) {
    const wrong = mistake !== undefined && at < mistake.to && at + piece.text.length > mistake.from;
    parts.push(
      <span key={at} data-look={piece.look} className={wrong ? styles.wrong : undefined}>
        {piece.text}
      </span>,
    );
    at += piece.text.length;
  }
  if (mistake && mistake.from >= at)
    parts.push(
      <span key="end" className={styles.wrong}>
        {" ".repeat(Math.max(1, mistake.from - at + 1))}
      </span>,
    );
  return parts;
}
