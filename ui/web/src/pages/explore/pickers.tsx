// Quick pickers: views of the filter's top-level tests. They change the text of the filter, so that it teaches its
// own language.

import { useQuery } from "@tanstack/react-query";
import { operationsQuery, servicesQuery } from "../../api/catalogue";
import { durationText, parseDuration } from "../../base/duration";
import { formatCompact } from "../../base/format";
import { spansNoun } from "../../model/basis";
import { type FieldName, type Operator, topLevelValue, WORDS, withTopLevel } from "../../model/filter";
import { filterText, parseFilter } from "../../model/filter-text";
import { Picker } from "../../widgets/picker";
import styles from "./explore.module.css";

interface Props {
  q: string;
  bounds: { from: string; to: string };
  onChange: (q: string) => void;
}

const DURATIONS = ["1ms", "10ms", "50ms", "100ms", "250ms", "500ms", "1s", "2s", "5s", "10s"];

export function Pickers({ q, bounds, onChange }: Props) {
  const answer = parseFilter(q);
  const filter = "filter" in answer ? answer.filter : undefined;
  const read = (field: FieldName, op: Operator): string | undefined => {
    const value = topLevelValue(filter, field, op);
    return value === undefined ? undefined : String(value);
  };
  const set = (field: FieldName, op: Operator, value: string | number | undefined): void =>
    onChange(filterText(withTopLevel(filter, field, op, value)));
  const service = read("service_name", "=");
  const services = useQuery(servicesQuery(bounds));
  const operations = useQuery(operationsQuery(service, bounds));
  const duration = (op: Operator): string | undefined => {
    const value = topLevelValue(filter, "duration_ns", op);
    return value === undefined ? undefined : durationText(Number(value));
  };
  const setDuration = (op: Operator, value: string | undefined): void =>
    set("duration_ns", op, value === undefined ? undefined : parseDuration(value));
  const freeDuration = (typed: string): string | undefined => {
    const value = parseDuration(typed.trim());
    return value === undefined ? undefined : durationText(value);
  };
  const names = new Map((operations.data?.operations ?? []).map((each) => [each.name, each]));
  return (
    <div className={styles.pickers}>
      <Picker
        label="Service"
        value={service}
        none="no services in this time range"
        choices={(services.data?.services ?? []).map((each) => ({
          value: each.name,
          note: `${formatCompact(each.spans)} ${spansNoun(services.data?.stats?.basis)}${each.errors > 0 ? `, ${formatCompact(each.errors)} errors` : ""}`,
        }))}
        onPick={(value) => set("service_name", "=", value)}
      />
      <Picker
        label="Operation"
        value={read("span_name", "=")}
        none="no operations in this time range"
        choices={[...names.values()].map((each) => ({
          value: each.name,
          note: `${each.kind}, ${formatCompact(each.spans)}${operations.data?.stats?.basis === "unweighted" ? " stored" : ""}`,
        }))}
        onPick={(value) => set("span_name", "=", value)}
      />
      <Picker
        label="Slower than"
        value={duration(">")}
        none=""
        placeholder="Type a duration: 350ms"
        choices={DURATIONS.map((value) => ({ value }))}
        free={freeDuration}
        onPick={(value) => setDuration(">", value)}
      />
      <Picker
        label="Faster than"
        value={duration("<")}
        none=""
        placeholder="Type a duration: 350ms"
        choices={DURATIONS.map((value) => ({ value }))}
        free={freeDuration}
        onPick={(value) => setDuration("<", value)}
      />
      <Picker
        label="Status"
        value={read("status_code", "=")}
        none=""
        choices={(WORDS.status_code ?? []).map((value) => ({ value }))}
        onPick={(value) => set("status_code", "=", value)}
      />
    </div>
  );
}
