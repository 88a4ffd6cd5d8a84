// One box for what one knows already: a trace id, a traceparent, a service, a page.

import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { servicesQuery } from "../api/catalogue";
import { formatCompact } from "../base/format";
import { setPreferences } from "../base/preferences";
import { spansNoun } from "../model/basis";
import { filterText } from "../model/filter-text";
import { EXPLORE_START, exploreUrl } from "../pages/explore/url";
import { TRACE_START, traceUrl } from "../pages/trace/url";
import { Dialog } from "../widgets/dialog";
import styles from "./shell.module.css";

interface Props<Path extends string> {
  places: ReadonlyArray<{ to: Path; title: string; keys: string }>;
  onGo: (to: Path) => void;
  onClose: () => void;
}

interface Command {
  title: string;
  note: string;
  run: () => void;
}

const EVER = { from: "0", to: "7258118400000000000" };

export function Palette<Path extends string>({ places, onGo, onClose }: Props<Path>) {
  const [typed, setTyped] = useState("");
  const [active, setActive] = useState(0);
  const navigate = useNavigate();
  const services = useQuery(servicesQuery(EVER));
  const openTrace = (id: string, span: string): void => {
    void navigate({ to: "/trace/$id", params: { id }, search: traceUrl.write({ ...TRACE_START, span }) });
  };
  const explore = (q: string, range: string): void => {
    void navigate({ to: "/explore", search: exploreUrl.write({ ...EXPLORE_START, q, range }) });
  };
  const text = typed.trim().toLowerCase();
  const parent = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/.exec(text);
  const commands: Command[] = [];
  if (/^[0-9a-f]{32}$/.test(text))
    commands.push({ title: `Open trace ${text}`, note: "trace id", run: () => openTrace(text, "") });
  if (parent?.[1] && parent[2]) {
    const [, id, span] = parent;
    commands.push({ title: `Open trace ${id}`, note: "traceparent", run: () => openTrace(id, span) });
  }
  if (/^[0-9a-f]{16}$/.test(text))
    commands.push({
      title: `Find span ${text}`,
      note: "span id",
      run: () => explore(`span = ${text}`, "all"),
    });
  const fits = (title: string): boolean => title.toLowerCase().includes(text);
  for (const place of places)
    if (fits(place.title)) commands.push({ title: place.title, note: place.keys, run: () => onGo(place.to) });
  for (const service of services.data?.services ?? []) {
    if (text === "" || !fits(service.name)) continue;
    const q = filterText({ field: "service_name", op: "=", value: service.name });
    commands.push({
      title: service.name,
      note: `service, ${formatCompact(service.spans)} ${spansNoun(services.data?.stats?.basis)}`,
      run: () => explore(q, EXPLORE_START.range),
    });
  }
  for (const theme of ["light", "dark", "system"] as const)
    if (text !== "" && fits(`theme ${theme}`))
      commands.push({ title: `Theme: ${theme}`, note: "", run: () => setPreferences({ theme }) });
  for (const zone of ["utc", "local"] as const)
    if (text !== "" && fits(`time ${zone}`))
      commands.push({ title: `Time: ${zone}`, note: "", run: () => setPreferences({ zone }) });
  const shown = commands.slice(0, 12);
  const run = (command: Command | undefined): void => {
    if (!command) return;
    onClose();
    command.run();
  };
  return (
    <Dialog title="Go to" hideTitle onClose={onClose}>
      <input
        autoFocus
        className={styles.palette}
        placeholder="Paste a trace id, or type a service or a page"
        aria-label="Go to"
        role="combobox"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-activedescendant={shown[active] ? `palette-${active}` : undefined}
        spellCheck={false}
        value={typed}
        onChange={(event) => {
          setTyped(event.target.value);
          setActive(0);
        }}
        onPaste={(event) => {
          const pasted = event.clipboardData.getData("text").trim().toLowerCase();
          if (!/^[0-9a-f]{32}$/.test(pasted)) return;
          event.preventDefault();
          onClose();
          openTrace(pasted, "");
        }}
        onKeyDown={(event) => {
          if (event.key === "ArrowDown") setActive(Math.min(active + 1, shown.length - 1));
          else if (event.key === "ArrowUp") setActive(Math.max(active - 1, 0));
          else if (event.key === "Enter") run(shown[active]);
          else return;
          event.preventDefault();
        }}
      />
      <div className={styles.commands} id="palette-list" role="listbox" aria-label="Go to" tabIndex={-1}>
        {shown.map((command, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: keys are handled by the combobox
          <div
            key={`${command.title}${command.note}`}
            id={`palette-${index}`}
            role="option"
            tabIndex={-1}
            aria-selected={index === active}
            data-active={index === active || undefined}
            className={styles.command}
            onPointerMove={() => setActive(index)}
            onClick={() => run(command)}
          >
            <span>{command.title}</span>
            <span>{command.note}</span>
          </div>
        ))}
      </div>
    </Dialog>
  );
}
