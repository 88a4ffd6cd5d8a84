// The query part of a URL as flat text. Each page's url.ts turns it into that page's view and back.

export type Search = Record<string, string>;

export function parseSearch(text: string): Search {
  const search: Search = {};
  for (const [key, value] of new URLSearchParams(text)) search[key] ??= value;
  return search;
}

/** Readable where it may be: spaces, slashes, colons and commas stay as they are or become `+`. */
export function formatSearch(search: Readonly<Record<string, unknown>>): string {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(search)) {
    if (typeof value === "string") params.set(key, value);
  }
  const text = params
    .toString()
    .replace(/%2F/g, "/")
    .replace(/%3A/g, ":")
    .replace(/%2C/g, ",")
    .replace(/%3D/g, "=")
    .replace(/%3E/g, ">")
    .replace(/%28/g, "(")
    .replace(/%29/g, ")")
    .replace(/%40/g, "@");
  return text === "" ? "" : `?${text}`;
}

/** Keeps what is set: default values have no place in a URL. */
export function withoutEmpty(search: Readonly<Record<string, string | undefined>>): Search {
  const kept: Search = {};
  for (const [key, value] of Object.entries(search))
    if (value !== undefined && value !== "") kept[key] = value;
  return kept;
}
