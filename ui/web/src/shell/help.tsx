import { useKeyGroups } from "../base/keys";
import { setPreferences, usePreferences } from "../base/preferences";
import { Dialog } from "../widgets/dialog";
import styles from "./shell.module.css";

const NAMES: Record<string, string> = { "mod+k": "Ctrl K", Escape: "Esc", "mod+Enter": "Ctrl Enter" };

/** The keys that work right now, from the same list that makes them work. */
export function Help({ onClose }: { onClose: () => void }) {
  const groups = useKeyGroups();
  const { singleKeys } = usePreferences();
  return (
    <Dialog title="Keyboard" onClose={onClose}>
      <div className={styles.help}>
        {[...groups].reverse().map((group) => (
          <section key={group.title} className={styles.keys}>
            <h3>{group.title}</h3>
            <dl>
              {group.commands.map((command) => (
                <div key={command.keys}>
                  <dt>{command.does}</dt>
                  <dd>
                    {(NAMES[command.keys] ?? command.keys).split(" ").map((key) => (
                      <kbd key={key}>{key}</kbd>
                    ))}
                  </dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
        <label className={styles.switch}>
          <input
            type="checkbox"
            checked={singleKeys}
            onChange={(event) => setPreferences({ singleKeys: event.target.checked })}
          />
          Single keys are commands
        </label>
      </div>
    </Dialog>
  );
}
