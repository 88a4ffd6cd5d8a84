import { type ReactNode, useEffect, useRef } from "react";
import { Button } from "./button";
import styles from "./dialog.module.css";

interface Props {
  title: string;
  onClose: () => void;
  hideTitle?: boolean;
  children: ReactNode;
}

/** The browser's own modal dialog: it keeps the focus inside and gives it back. */
export function Dialog({ title, onClose, hideTitle = false, children }: Props) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = element.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the click on the backdrop doubles the dialog's own Escape
    <dialog
      ref={element}
      className={styles.dialog}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === element.current) onClose();
      }}
    >
      {!hideTitle && (
        <div className={styles.head}>
          <h2>{title}</h2>
          <Button look="quiet" icon="close" aria-label="Close" onClick={onClose} />
        </div>
      )}
      {children}
    </dialog>
  );
}
