// The pieces of a filter's text, for the parser, for colouring and for completion alike. Never fails: what it does
// not know becomes a token of kind "other" that the parser complains about.

export interface Token {
  kind: "word" | "quoted" | "operator" | "bracket" | "space" | "other";
  /** As it stands in the text. */
  text: string;
  /** What it means: without quotes and escapes. */
  value: string;
  from: number;
  to: number;
}

const PATTERN =
  /(?<space>\s+)|(?<operator><=|>=|!=|==|=|<|>)|(?<bracket>[(),])|(?<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?<word>(?:any|span|resource):"(?:[^"\\]|\\.)*"|[^\s"'`()=!<>,]+)|(?<other>[\s\S])/g;

const unquote = (text: string): string => text.slice(1, -1).replace(/\\([\s\S])/g, "$1");

function meaning(kind: Token["kind"], text: string): string {
  if (kind === "quoted") return unquote(text);
  if (kind === "operator" && text === "==") return "=";
  const scoped = kind === "word" ? /^(any|span|resource):(".*")$/s.exec(text) : null;
  return scoped?.[2] ? `${scoped[1]}:${unquote(scoped[2])}` : text;
}

export function tokens(text: string): Token[] {
  const found: Token[] = [];
  for (const match of text.matchAll(PATTERN)) {
    const kind = (Object.entries(match.groups ?? {}).find(([, value]) => value !== undefined)?.[0] ??
      "other") as Token["kind"];
    const value = meaning(kind, match[0]);
    found.push({
      kind,
      text: kind === "operator" ? value : match[0],
      value,
      from: match.index,
      to: match.index + match[0].length,
    });
  }
  return found;
}
