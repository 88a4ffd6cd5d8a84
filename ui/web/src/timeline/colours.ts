// Canvas knows no CSS variables: the tokens of the shown theme, as colours that it takes.

import { colourToken, SERVICE_COLOURS } from "../model/colours";

export interface CanvasColours {
  services: readonly string[];
  text: string;
  quiet: string;
  line: string;
  error: string;
  onBar: string;
  font: string;
}

const made = new Map<string, CanvasColours>();

export function canvasColours(theme: "light" | "dark"): CanvasColours {
  const known = made.get(theme);
  if (known) return known;
  const probe = document.createElement("span");
  document.body.append(probe);
  const read = (token: string): string => {
    probe.style.color = `var(${token})`;
    return getComputedStyle(probe).color;
  };
  const colours: CanvasColours = {
    services: Array.from({ length: SERVICE_COLOURS }, (_, index) => read(colourToken(index))),
    text: read("--text-2"),
    quiet: read("--text-3"),
    line: read("--line"),
    error: read("--error-mark"),
    onBar: read("--on-bar"),
    font: `11px ${getComputedStyle(document.body).fontFamily}`,
  };
  probe.remove();
  made.set(theme, colours);
  return colours;
}
