// Keyboard commands. A component lists what its keys do while it is shown; help reads the same list.

import { useEffect, useRef, useSyncExternalStore } from "react";
import { preferences } from "./preferences";

export interface KeyCommand {
  /** "j", "g e" (one after the other), "mod+k", "Escape", "[". */
  keys: string;
  does: string;
  run: (event: KeyboardEvent) => void;
}

interface KeyGroup {
  title: string;
  commands: readonly KeyCommand[];
}

let groups: readonly { current: KeyGroup }[] = [];
let shown: readonly KeyGroup[] = [];
const listeners = new Set<() => void>();
let pending: { first: string; at: number } | undefined;
const SEQUENCE_MS = 1200;

function publish(next: readonly { current: KeyGroup }[]): void {
  groups = next;
  shown = next.map((each) => each.current);
  for (const listener of listeners) listener();
}

const isText = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable || target.matches("input, textarea, select, [role=textbox]"));

/** The name of the key as commands spell it; undefined while only a modifier is down. */
function nameOf(event: KeyboardEvent): string | undefined {
  if (["Shift", "Control", "Alt", "Meta"].includes(event.key)) return undefined;
  if (event.ctrlKey || event.metaKey) return `mod+${event.key.toLowerCase()}`;
  return event.altKey ? undefined : event.key;
}

function find(keys: string): KeyCommand | undefined {
  for (let index = groups.length - 1; index >= 0; index -= 1) {
    const command = groups[index]?.current.commands.find((each) => each.keys === keys);
    if (command) return command;
  }
  return undefined;
}

function onKeyDown(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing) return;
  const name = nameOf(event);
  if (name === undefined) return;
  const single = name.length === 1;
  if (isText(event.target) && !name.startsWith("mod+") && name !== "Escape") return;
  if (document.querySelector("dialog[open]") && name !== "mod+k") return;
  if (single && !preferences().singleKeys) return;
  const sequence = pending && Date.now() - pending.at < SEQUENCE_MS ? `${pending.first} ${name}` : undefined;
  pending = undefined;
  const command = (sequence && find(sequence)) ?? find(name);
  if (command) {
    event.preventDefault();
    command.run(event);
  } else if (
    single &&
    groups.some((each) => each.current.commands.some((one) => one.keys.startsWith(`${name} `)))
  ) {
    pending = { first: name, at: Date.now() };
  }
}

if (typeof window !== "undefined") window.addEventListener("keydown", onKeyDown);

/** The commands work while the component is mounted; the last mounted one wins where keys are the same. */
export function useKeys(title: string, commands: readonly KeyCommand[]): void {
  const latest = useRef<KeyGroup>({ title, commands });
  useEffect(() => {
    latest.current = { title, commands };
  });
  useEffect(() => {
    const entry = latest;
    publish([...groups, entry]);
    return () => publish(groups.filter((each) => each !== entry));
  }, []);
}

export function useKeyGroups(): readonly KeyGroup[] {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => shown,
  );
}
