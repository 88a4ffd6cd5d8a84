import { memo } from "react";
import { formatDuration } from "../../base/duration";
import { formatCount } from "../../base/format";
import { colourToken } from "../../model/colours";
import { at, type SpanColumns, word } from "../../model/columns";
import { descendants, hasChildren } from "../../model/tree";
import { Icon } from "../../widgets/icon";
import styles from "./trace.module.css";

interface Props {
  columns: SpanColumns;
  row: number;
  position: number;
  selected: boolean;
  collapsed: boolean;
  dim: boolean;
  hit: boolean;
  colour: number;
  namesWidth: number;
  onSelect: (row: number) => void;
  onToggle: (row: number) => void;
}

const INDENT = 14;

/** Deep chains stop indenting where the name would have no room left; the depth is then told as a number. */
const deepest = (namesWidth: number): number => Math.max(4, Math.floor((namesWidth * 0.5) / INDENT));

export const SpanRow = memo(function SpanRow(props: Props) {
  const { columns, row, position, selected, collapsed, dim, hit, colour, namesWidth, onSelect, onToggle } =
    props;
  const depth = at(columns.depth, row);
  const shownDepth = Math.min(depth, deepest(namesWidth));
  const parentService =
    at(columns.parent, row) >= 0 ? word(columns.service, at(columns.parent, row)) : undefined;
  const service = word(columns.service, row);
  const error = columns.isError[row] === 1;
  const orphan = at(columns.parent, row) < 0 && columns.parentId(row) !== "";
  const opens = hasChildren(columns, row);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the treegrid handles the keys
    <div
      id={`span-${row}`}
      role="row"
      className={styles.row}
      aria-level={depth + 1}
      aria-rowindex={position + 1}
      aria-selected={selected}
      aria-expanded={opens ? !collapsed : undefined}
      data-dim={dim || undefined}
      data-hit={hit || undefined}
      onClick={() => onSelect(row)}
    >
      <div role="gridcell" className={styles.cell} style={{ width: namesWidth }}>
        <span className={styles.indent} style={{ width: shownDepth * INDENT }} aria-hidden="true" />
        {depth > shownDepth && <span className={styles.depth}>{depth}</span>}
        {opens ? (
          <button
            type="button"
            tabIndex={-1}
            className={styles.toggle}
            data-open={!collapsed || undefined}
            aria-label={collapsed ? "Expand" : "Collapse"}
            onClick={(event) => {
              event.stopPropagation();
              onToggle(row);
            }}
          >
            <Icon name="chevron" size={12} />
          </button>
        ) : (
          <span className={styles.toggle} />
        )}
        <span
          className={styles.swatch}
          style={{ background: `var(${colourToken(colour)})` }}
          aria-hidden="true"
        />
        {error && (
          <span className={styles.bad} title="error">
            <Icon name="error" size={13} />
            <span className="visually-hidden">error</span>
          </span>
        )}
        {orphan && (
          <span className={styles.orphan} title={`parent ${columns.parentId(row)} is missing`}>
            parent missing
          </span>
        )}
        <span className={styles.names}>
          {service !== parentService && <b>{service}</b>}
          <span>{word(columns.name, row)}</span>
        </span>
        {collapsed && <span className={styles.count}>+{formatCount(descendants(columns, row))}</span>}
      </div>
      <div role="gridcell" className="visually-hidden">
        {formatDuration(at(columns.duration, row))}, at {formatDuration(at(columns.start, row))}
      </div>
    </div>
  );
});
