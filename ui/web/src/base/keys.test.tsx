import { act } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type KeyCommand, useKeys } from "./keys";
import { setPreferences } from "./preferences";
import { useDraft } from "./view";

let root: Root;
let host: HTMLElement;

beforeEach(() => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  host = document.body.appendChild(document.createElement("div"));
  root = createRoot(host);
});

afterEach(async () => {
  await act(async () => root.unmount());
  host.remove();
  setPreferences({ singleKeys: true });
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function press(key: string, target: EventTarget = document.body, more: KeyboardEventInit = {}): void {
  target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
}

describe("keys", () => {
  const pressed: string[] = [];
  const command = (keys: string, name = keys): KeyCommand => ({
    keys,
    does: name,
    run: () => pressed.push(name),
  });
  const Page = ({ commands }: { commands: readonly KeyCommand[] }) => {
    useKeys("Page", commands);
    return <input />;
  };
  const show = (...commands: KeyCommand[]) => act(async () => root.render(<Page commands={commands} />));

  beforeEach(() => pressed.splice(0));

  it("run single keys and two in a row", async () => {
    await show(command("j"), command("g e"), command("e"));
    for (const key of ["j", "g", "e", "e"]) press(key);
    expect(pressed).toEqual(["j", "g e", "e"]);
  });

  it("leave typing alone, but for chords and Escape", async () => {
    await show(command("j"), command("mod+k"), command("Escape"));
    const input = host.querySelector("input") ?? host;
    press("j", input);
    press("k", input, { ctrlKey: true });
    press("Escape", input);
    expect(pressed).toEqual(["mod+k", "Escape"]);
  });

  it("can be switched off where they are single", async () => {
    await show(command("j"), command("mod+k"), command("Enter"));
    setPreferences({ singleKeys: false });
    press("j");
    press("k", document.body, { metaKey: true });
    press("Enter");
    expect(pressed).toEqual(["mod+k", "Enter"]);
  });

  it("end with their component", async () => {
    await show(command("j"));
    await act(async () => root.render(null));
    press("j");
    expect(pressed).toEqual([]);
  });
});

describe("a draft", () => {
  const same = (left: string, right: string): boolean => left === right;

  it("shows at once, is written when it rests, and follows the URL", async () => {
    vi.useFakeTimers();
    const written: string[] = [];
    let set: (value: string) => void = () => undefined;
    const Page = ({ value }: { value: string }) => {
      const [draft, change] = useDraft(value, same, (next) => written.push(next), 100);
      set = change;
      return <p>{draft}</p>;
    };
    await act(async () => root.render(<Page value="a" />));
    await act(async () => set("b"));
    await act(async () => set("c"));
    expect([host.textContent, written]).toEqual(["c", []]);
    await act(async () => vi.advanceTimersByTime(150));
    expect(written).toEqual(["c"]);
    await act(async () => root.render(<Page value="c" />));
    await act(async () => root.render(<Page value="back" />));
    await act(async () => vi.advanceTimersByTime(150));
    expect([host.textContent, written]).toEqual(["back", ["c"]]);
  });
});
