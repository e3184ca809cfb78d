/** The typed client: generated from the server's OpenAPI description (`npm run client`). */
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

type Schemas = components["schemas"];
export type Session = Schemas["Session"];
export type PastSession = Schemas["PastSession"];
export type JournalEvent = Schemas["Event"];
export type Bng = Schemas["Bng"];
export type AccessRouter = Schemas["AccessRouter"];
export type Port = Schemas["Port"];
export type Plan = Schemas["Plan"];
export type Customer = Schemas["Customer"];
export type Service = Schemas["Service"];
export type Delivery = Schemas["Delivery"];
export type Me = Schemas["Me"];
export type Stats = Schemas["Stats"];
export type Range = Schemas["TrafficSeries"]["range"];

/** A request that failed: `message` is the server's sentence for a person. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

let csrfToken: string | null = null;
export function setCsrfToken(token: string | null): void {
  csrfToken = token;
}

const listeners = new Set<() => void>();
/** Called when the server says that nobody is logged in any more. */
export function onLoggedOut(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export const api = createClient<paths>({ baseUrl: "/" });
api.use({
  onRequest({ request }) {
    if (csrfToken && request.method !== "GET") request.headers.set("X-CSRF-Token", csrfToken);
    return request;
  },
  onResponse({ response, schemaPath }) {
    if (response.status === 401 && !schemaPath.startsWith("/api/auth/")) {
      for (const listener of listeners) listener();
    }
  },
});

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** What the server answered, or an ApiError that can be shown. */
export async function ask<T>(request: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await request;
  } catch {
    throw new ApiError("The server cannot be reached.", 0);
  }
  if (answer.response.ok) return answer.data as T;
  const detail = (answer.error as { detail?: unknown } | undefined)?.detail;
  const text =
    typeof detail === "string" ? detail : `The server answered ${answer.response.status}.`;
  throw new ApiError(text, answer.response.status);
}
