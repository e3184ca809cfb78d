/** The live sessions in the browser: a snapshot, then what changes, over one event stream. */
import type { JournalEvent, Session } from "../api/client";

/** How many samples of a session's download rate are kept for its sparkline. */
export const TRAIL = 24;
/** How many points of the total traffic are kept. */
const TRAFFIC_POINTS = 240;
const RECENT_EVENTS = 50;

/** Session id, rates (in, out), octets (in, out), dropped packets (in, out). */
export type RateRow = [string, number | null, number | null, number, number, number, number];
export type LiveState = "connecting" | "live" | "lost";

export interface TrafficPoint {
  time: number;
  inRate: number;
  outRate: number;
}

export const keyOf = (bngId: string, sessionId: string): string => `${bngId} ${sessionId}`;

/** Plain data with subscribers; components read it through `useSyncExternalStore`. */
export class LiveStore {
  sessions = new Map<string, Session>();
  trails = new Map<string, number[]>();
  traffic: TrafficPoint[] = [];
  events: JournalEvent[] = [];
  state: LiveState = "connecting";
  ready = false;
  /** Grows when something has changed: what React compares. */
  version = 0;

  private listeners = new Set<() => void>();
  private telling = false;
  private incoming: Map<string, Session> | null = null;

  /** @param later how to wait a moment, so that one sweep of all BNGs is one change */
  constructor(private later: (run: () => void) => void = (run) => setTimeout(run, 60)) {}

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
  getVersion = (): number => this.version;

  snapshot(part: { first: boolean; last: boolean; ready: boolean; sessions: Session[] }): void {
    if (part.first) this.incoming = new Map();
    if (!this.incoming) return;
    for (const session of part.sessions) {
      this.incoming.set(keyOf(session.bng_id, session.session_id), session);
    }
    if (!part.last) return;
    this.sessions = this.incoming;
    this.incoming = null;
    this.ready = part.ready;
    for (const key of this.trails.keys()) if (!this.sessions.has(key)) this.trails.delete(key);
    this.changed();
  }

  change(message: { bng_id: string; upsert: Session[]; remove: string[] }): void {
    for (const session of message.upsert) {
      this.sessions.set(keyOf(session.bng_id, session.session_id), session);
    }
    for (const id of message.remove) {
      const key = keyOf(message.bng_id, id);
      this.sessions.delete(key);
      this.trails.delete(key);
    }
    this.changed();
  }

  rates(message: { bng_id: string; rows: RateRow[] }): void {
    for (const row of message.rows) {
      const [id, inRate, outRate, inOctets, outOctets, inDiscards, outDiscards] = row;
      const key = keyOf(message.bng_id, id);
      const session = this.sessions.get(key);
      if (!session) continue;
      this.sessions.set(key, {
        ...session,
        in_rate: inRate,
        out_rate: outRate,
        in_octets: inOctets,
        out_octets: outOctets,
        in_discards: inDiscards,
        out_discards: outDiscards,
      });
      const trail = this.trails.get(key) ?? [];
      this.trails.set(key, [...trail.slice(1 - TRAIL), outRate ?? 0]);
    }
    this.changed();
  }

  totals(message: Record<string, [number, number]>, now = Date.now()): void {
    let inRate = 0;
    let outRate = 0;
    for (const [into, out] of Object.values(message)) {
      inRate += into;
      outRate += out;
    }
    const last = this.traffic.at(-1);
    // several BNGs report within a moment: that is one point
    const kept = last && now - last.time < 1500 ? this.traffic.slice(0, -1) : this.traffic;
    this.traffic = [...kept.slice(1 - TRAFFIC_POINTS), { time: now, inRate, outRate }];
    this.changed();
  }

  happened(events: JournalEvent[]): void {
    this.events = [...[...events].reverse(), ...this.events].slice(0, RECENT_EVENTS);
    this.changed();
  }

  setState(state: LiveState): void {
    if (this.state === state) return;
    this.state = state;
    this.changed();
  }

  private changed(): void {
    if (this.telling) return;
    this.telling = true;
    this.later(() => {
      this.telling = false;
      this.version += 1;
      for (const listener of this.listeners) listener();
    });
  }
}

export interface Hints {
  /** The server hints that these queries are stale. */
  onHint: (what: "health" | "bngs" | "deliveries" | "events" | "sessions") => void;
  /** The stream was refused, most likely because the session has ended. */
  onRefused: () => void;
}

/** Follow the server's stream; answers how to stop. */
export function follow(store: LiveStore, hints: Hints): () => void {
  const source = new EventSource("/api/live");
  const on = (event: string, handle: (data: never) => void) =>
    source.addEventListener(event, (message) => handle(JSON.parse(message.data) as never));
  source.onopen = () => store.setState("live");
  source.onerror = () => {
    store.setState("lost");
    if (source.readyState === EventSource.CLOSED) hints.onRefused();
  };
  on("snapshot", (data) => store.snapshot(data));
  on("sessions", (data) => {
    store.change(data);
    hints.onHint("sessions");
  });
  on("rates", (data) => store.rates(data));
  on("traffic", (data) => store.totals(data));
  on("events", (data) => {
    store.happened(data);
    hints.onHint("events");
  });
  for (const hint of ["health", "bngs", "deliveries"] as const) on(hint, () => hints.onHint(hint));
  return () => source.close();
}
