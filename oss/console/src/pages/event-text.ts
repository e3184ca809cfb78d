/** An event of the journal as a sentence. */
import type { JournalEvent } from "../api/client";
import type { Tone } from "../components/ui";
import { portOf, speed } from "../lib/format";

export const EVENT_TYPES = {
  "session-start": { text: "Started", tone: "good" },
  "session-update": { text: "Changed", tone: "plain" },
  "session-stop": { text: "Ended", tone: "plain" },
  "policy-apply": { text: "Policy applied", tone: "accent" },
  "session-rejected": { text: "Rejected", tone: "bad" },
  "session-moved": { text: "Moved", tone: "warn" },
  "session-move-denied": { text: "Move denied", tone: "bad" },
  "router-update": { text: "Access node", tone: "warn" },
  "system-start": { text: "BNG started", tone: "accent" },
} satisfies Record<string, { text: string; tone: Tone }>;

export type KnownType = keyof typeof EVENT_TYPES;

export function eventKind(type: string): { text: string; tone: Tone } {
  return EVENT_TYPES[type as KnownType] ?? { text: type, tone: "plain" };
}

const rateInForce = (bits: number | null) => (bits == null ? "–" : speed(bits / 1000));

export function who(event: JournalEvent): string {
  const line = event.remote_id ? `${event.remote_id} port ${portOf(event.circuit_id)}` : "";
  return event.customer_name ?? line;
}

export function eventDetail(event: JournalEvent): string {
  switch (event.type) {
    case "session-start":
      return event.ip_address ? `got the address ${event.ip_address}` : "started";
    case "session-stop":
      return [event.terminate_cause, event.reason].filter(Boolean).join(": ") || "ended";
    case "session-rejected":
      return event.reason ?? "RADIUS refused";
    case "policy-apply": {
      const rates = `${rateInForce(event.download_rate)} down, ${rateInForce(event.upload_rate)} up`;
      return event.profile ? `${event.profile}: ${rates}` : rates;
    }
    case "router-update": {
      const router = event.router ?? {};
      return `${router.name ?? router.remote_id ?? "access node"} is ${router.reachability ?? "changed"}`;
    }
    case "system-start":
      return "the control plane started";
    default:
      if (event.reason) return event.reason;
      if (event.renewed) return "lease renewed";
      return event.status ? `is ${event.status}` : "changed";
  }
}

export function eventText(event: JournalEvent): string {
  const subject = who(event);
  const kind = eventKind(event.type).text.toLowerCase();
  return subject ? `${subject}: ${kind}, ${eventDetail(event)}` : eventDetail(event);
}
