// A statement that counts stored spans, rewritten so that it estimates what really arrived.

/** Quoted text, quoted names and comments, which are not rewritten, then names, spaces and single signs. */
const TOKEN = /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|[A-Za-z_]\w*|\s+|[\s\S]/g;

interface Call {
  /** Indexes of tokens: the name, and the closing parenthesis. */
  from: number;
  to: number;
  args: string[];
}

const isSpace = (token: string | undefined): boolean =>
  token !== undefined && (/^\s+$/.test(token) || token.startsWith("--") || token.startsWith("/*"));

function callAt(tokens: readonly string[], from: number): Call | undefined {
  let open = from + 1;
  while (isSpace(tokens[open])) open += 1;
  if (tokens[open] !== "(") return undefined;
  const args = [""];
  let depth = 0;
  for (let index = open; index < tokens.length; index += 1) {
    const token = tokens[index] ?? "";
    if (/^[([]$/.test(token) && depth++ === 0) continue;
    if (/^[)\]]$/.test(token)) {
      depth -= 1;
      if (depth === 0) return { from, to: index, args: args.map((each) => each.trim()) };
    }
    if (token === "," && depth === 1) args.push("");
    else args[args.length - 1] += token;
  }
  return undefined;
}

function weighted(name: string, args: readonly string[]): string | undefined {
  const [first = "", second = ""] = args;
  if (args.length > 2 || first === "" || /^(distinct|all)\b/i.test(first)) return undefined;
  switch (name) {
    case "count":
      return args.length === 1 && /^(\*|1)$/.test(first) ? "estimate_count()" : undefined;
    case "sum":
      return args.length === 1 ? `estimate_sum(${first})` : undefined;
    case "avg":
    case "mean":
      return args.length === 1 ? `estimate_mean(${first})` : undefined;
    case "median":
    case "approx_median":
      return args.length === 1 ? `estimate_quantile(${first}, 0.5)` : undefined;
    case "approx_percentile_cont":
    case "percentile_cont":
      return args.length === 2 && /^0?\.\d+$/.test(second)
        ? `estimate_quantile(${first}, ${second})`
        : undefined;
    default:
      return undefined;
  }
}

/** The next token that says something; `by` is its direction. */
function neighbour(tokens: readonly string[], from: number, by: 1 | -1): string {
  let index = from + by;
  while (isSpace(tokens[index])) index += by;
  return (tokens[index] ?? "").toLowerCase();
}

/** After FILTER (...), which belongs to the call. */
function endOf(tokens: readonly string[], call: Call): number {
  if (neighbour(tokens, call.to, 1) !== "filter") return call.to;
  let index = call.to + 1;
  while (isSpace(tokens[index])) index += 1;
  return callAt(tokens, index)?.to ?? call.to;
}

/**
 * The statement with `estimate_...` for plain aggregates, or `undefined` where it has none that can be rewritten. An
 * estimate that stands alone keeps its interval; within an expression it becomes its figure.
 */
export function estimating(sql: string): string | undefined {
  const tokens: string[] = sql.match(TOKEN) ?? [];
  let made = "";
  let changed = false;
  for (let index = 0; index < tokens.length; index += 1) {
    const token = tokens[index] ?? "";
    const call = /^[A-Za-z_]/.test(token) ? callAt(tokens, index) : undefined;
    const by = call && weighted(token.toLowerCase(), call.args);
    const end = call && endOf(tokens, call);
    const after = end === undefined ? "" : neighbour(tokens, end, 1);
    if (!call || by === undefined || end === undefined || after === "over" || after === "within") {
      made += token;
      continue;
    }
    const before = neighbour(tokens, index, -1);
    const ends = after === "" || /^(,|;|as|from|desc|asc|limit|nulls)$/.test(after) || /^["a-z_]/.test(after);
    const whole =
      ends && /^(select|,|by|distinct)$/.test(before) && !/^(and|or|not|between|is|in|like)$/.test(after);
    made += by + tokens.slice(call.to + 1, end + 1).join("") + (whole ? "" : "['estimate']");
    index = end;
    changed = true;
  }
  return changed ? made : undefined;
}
