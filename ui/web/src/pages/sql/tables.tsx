import type { SqlSchema } from "../../api/catalogue";
import { Icon } from "../../widgets/icon";
import styles from "./sql.module.css";

/** What can be asked: a click writes the name into the statement. */
export function Tables({
  schema,
  onInsert,
}: {
  schema: SqlSchema | undefined;
  onInsert: (name: string) => void;
}) {
  return (
    <aside className={styles.tables} aria-label="Tables">
      {(schema?.tables ?? []).map((table) => (
        <details key={table.name} open>
          <summary>
            <Icon name="chevron" size={12} />
            <h2>{table.name}</h2>
          </summary>
          <ul>
            {table.columns.map((column) => (
              <li key={column.name}>
                <button
                  type="button"
                  title={column.description ?? column.type}
                  onClick={() => onInsert(column.name)}
                >
                  <span>{column.name}</span>
                  <small>{column.type}</small>
                </button>
              </li>
            ))}
          </ul>
        </details>
      ))}
      {schema && schema.functions.length > 0 && (
        <details>
          <summary>
            <Icon name="chevron" size={12} />
            <h2>functions</h2>
          </summary>
          <ul>
            {schema.functions.map((each) => (
              <li key={each.signature}>
                <button
                  type="button"
                  title={each.description ?? each.signature}
                  onClick={() => onInsert(each.name)}
                >
                  <span>{each.signature}</span>
                </button>
              </li>
            ))}
          </ul>
        </details>
      )}
    </aside>
  );
}
