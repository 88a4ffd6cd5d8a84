import { type RefObject, useLayoutEffect, useState } from "react";

/** The width of an element's content, without its scroll bar, followed. */
export function useWidth(element: RefObject<HTMLElement | null>): number {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const { current } = element;
    if (!current) return undefined;
    const update = (): void => setWidth(current.clientWidth);
    const observer = new ResizeObserver(update);
    observer.observe(current);
    update();
    return () => observer.disconnect();
  }, [element]);
  return width;
}
