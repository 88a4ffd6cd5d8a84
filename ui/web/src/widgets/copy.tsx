import { useEffect, useState } from "react";
import { Button } from "./button";

/** Copies text and says so for a moment. */
export function CopyButton({
  text,
  label,
  small = true,
  children,
}: {
  text: string | (() => string);
  label: string;
  small?: boolean;
  children?: string;
}) {
  const [state, setState] = useState<"idle" | "done" | "failed">("idle");
  useEffect(() => {
    if (state === "idle") return undefined;
    const timer = setTimeout(() => setState("idle"), 1500);
    return () => clearTimeout(timer);
  }, [state]);
  const copy = (): void => {
    navigator.clipboard.writeText(typeof text === "string" ? text : text()).then(
      () => setState("done"),
      () => setState("failed"),
    );
  };
  const said = state === "done" ? "copied" : state === "failed" ? "copying was refused" : label;
  return (
    <Button
      look={children ? "plain" : "quiet"}
      small={small}
      icon={state === "done" ? "check" : "copy"}
      aria-label={said}
      title={said}
      onClick={copy}
    >
      {children && (state === "done" ? "Copied" : children)}
    </Button>
  );
}
