/** The live sessions as the table shows them: filtered, sorted, with the address's state. */
import type { Session } from "../api/client";

export const COLUMNS = {
  customer: { text: "Subscriber", value: (s: Session) => (s.customer_name ?? "￿").toLowerCase() },
  status: { text: "Status", value: (s: Session) => s.status ?? "" },
  line: { text: "Access line", value: (s: Session) => lineKey(s) },
  address: { text: "Address", value: (s: Session) => addressKey(s.ip_address) },
  plan: { text: "Plan", value: (s: Session) => s.profile ?? s.plan_name ?? "" },
  down: { text: "Download", value: (s: Session) => s.out_rate ?? -1 },
  up: { text: "Upload", value: (s: Session) => s.in_rate ?? -1 },
  started: { text: "Online for", value: (s: Session) => -(s.started ? Date.parse(s.started) : 0) },
} as const;

export type SortKey = keyof typeof COLUMNS;

export interface SessionsSearch {
  q?: string;
  status?: string;
  bng?: string;
  sort?: SortKey;
  order?: "asc" | "desc";
  /** The session whose drawer is open: "<bng> <session id>". */
  open?: string;
}

/** What a hand-edited address may contain is taken when it makes sense, else dropped. */
export function sessionsSearch(search: Record<string, unknown>): SessionsSearch {
  const text = (value: unknown) => (typeof value === "string" && value ? value : undefined);
  const sort = text(search.sort);
  return {
    q: search.q == null ? undefined : String(search.q) || undefined,
    status: text(search.status),
    bng: text(search.bng),
    sort: sort && sort in COLUMNS ? (sort as SortKey) : undefined,
    order: search.order === "asc" || search.order === "desc" ? search.order : undefined,
    open: text(search.open),
  };
}

/** Addresses sort by number, not by text. */
function addressKey(address: string | null | undefined): string {
  return (address ?? "").replace(/\d+/g, (digits) => digits.padStart(3, "0"));
}

function lineKey(session: Session): string {
  const port = (session.circuit_id ?? "").replace(/\d+/g, (digits) => digits.padStart(5, "0"));
  return `${session.bng_id}/${session.remote_id}/${port}`;
}

/** Numbers are looked at from the top, names from A. */
export function defaultOrder(sort: SortKey): "asc" | "desc" {
  return sort === "down" || sort === "up" ? "desc" : "asc";
}

export function visibleSessions(sessions: Iterable<Session>, search: SessionsSearch): Session[] {
  const words = (search.q ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const kept: Session[] = [];
  for (const session of sessions) {
    if (search.status && session.status !== search.status) continue;
    if (search.bng && session.bng_id !== search.bng) continue;
    if (words.length && !words.every((word) => haystack(session).includes(word))) continue;
    kept.push(session);
  }
  const sort = search.sort ?? "down";
  const sign = (search.order ?? defaultOrder(sort)) === "desc" ? -1 : 1;
  const value = COLUMNS[sort].value;
  // ties keep an order of their own, so that rows of equal rates do not dance
  return kept
    .map((session) => ({ session, key: value(session) }))
    .sort((a, b) => {
      if (a.key < b.key) return -sign;
      if (a.key > b.key) return sign;
      return a.session.session_id < b.session.session_id ? -1 : 1;
    })
    .map(({ session }) => session);
}

function haystack(s: Session): string {
  return [
    s.customer_name,
    s.username,
    s.ip_address,
    s.mac_address,
    s.profile,
    s.session_id,
    s.status,
  ]
    .join(" ")
    .toLowerCase();
}
