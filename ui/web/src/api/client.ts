// The one place that talks to the server. Every answer is checked against its schema before a page sees it, and every
// failure becomes an ApiError whose message is fit to be shown.

import * as v from "valibot";

type ErrorCode =
  | "bad_query"
  | "not_found"
  | "too_large"
  | "timeout"
  | "resources"
  | "unavailable"
  | "internal"
  | "forbidden"
  | "unreachable"
  | "bad_answer";

export interface Position {
  line: number;
  column: number;
}

export class ApiError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly position: Position | undefined;

  constructor(code: ErrorCode, status: number, message: string, position?: Position) {
    super(message);
    this.name = "ApiError";
    this.code = code;
    this.status = status;
    this.position = position;
  }
}

const errorBody = v.object({
  error: v.object({
    code: v.string(),
    message: v.string(),
    position: v.nullish(v.object({ line: v.number(), column: v.number() })),
  }),
});

const CODES: readonly string[] = [
  "bad_query",
  "not_found",
  "too_large",
  "timeout",
  "resources",
  "unavailable",
  "internal",
  "forbidden",
];

export interface Ask {
  body?: unknown;
  /** Where a body goes by anything but POST. */
  method?: "PUT";
  accept?: string;
  signal?: AbortSignal | undefined;
}

export const ARROW = "application/vnd.apache.arrow.stream";

/** The raw answer, once its status is a good one. */
export async function send(path: string, ask: Ask = {}): Promise<Response> {
  const headers: Record<string, string> = { accept: ask.accept ?? "application/json" };
  const init: RequestInit = { headers };
  if (ask.body !== undefined) {
    init.method = ask.method ?? "POST";
    init.body = JSON.stringify(ask.body);
    headers["content-type"] = "application/json";
  }
  if (ask.signal) init.signal = ask.signal;
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw new ApiError("unreachable", 0, "the server does not answer; is spanhouse still running?");
  }
  if (!response.ok) throw await failure(response);
  return response;
}

async function failure(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => "");
  try {
    const { error } = v.parse(errorBody, JSON.parse(text));
    const code = CODES.includes(error.code) ? (error.code as ErrorCode) : "internal";
    return new ApiError(code, response.status, error.message, error.position ?? undefined);
  } catch {
    const plain =
      text.length > 0 && text.length < 300 && !text.trimStart().startsWith("<") ? `: ${text.trim()}` : "";
    return new ApiError("internal", response.status, `the server answered ${response.status}${plain}`);
  }
}

/** The body, or an error that says that it did not come to its end. */
export async function whole<Body>(response: Response, read: () => Promise<Body>): Promise<Body> {
  try {
    return await read();
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw new ApiError("unreachable", response.status, "the answer broke off; the server's log may say why");
  }
}

/** JSON of the shape that the schema says. */
export async function ask<Schema extends v.GenericSchema>(
  path: string,
  schema: Schema,
  options: Ask = {},
): Promise<v.InferOutput<Schema>> {
  const response = await send(path, options);
  const body: unknown = await whole(response, () => response.json());
  return check(schema, body, path);
}

export function check<Schema extends v.GenericSchema>(
  schema: Schema,
  body: unknown,
  path: string,
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, body);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const where = issue ? (v.getDotPath(issue) ?? "its root") : "its root";
  throw new ApiError(
    "bad_answer",
    200,
    `${path} answered something else than expected at ${where}: ${issue?.message}`,
  );
}

export const query = (parameters: Readonly<Record<string, string | number | undefined>>): string => {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters))
    if (value !== undefined) search.set(key, String(value));
  const text = search.toString();
  return text === "" ? "" : `?${text}`;
};
