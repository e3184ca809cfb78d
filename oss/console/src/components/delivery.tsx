/** How far a change has come on its way to RADIUS and the BNGs. */
import type { Delivery } from "../api/client";
import { Badge } from "./ui";

const PLACE = { radius: "RADIUS", network: "BNGs" } as const;

export function DeliveryBadges({ deliveries }: { deliveries: Delivery[] | undefined }) {
  if (!deliveries?.length) return <span className="text-faint">–</span>;
  const sorted = [...deliveries].sort((a, b) => a.destination.localeCompare(b.destination));
  return (
    <span className="inline-flex flex-wrap gap-1.5 align-middle">
      {sorted.map((delivery) => (
        <DeliveryBadge key={delivery.id} delivery={delivery} />
      ))}
    </span>
  );
}

function DeliveryBadge({ delivery }: { delivery: Delivery }) {
  const place = PLACE[delivery.destination];
  if (delivery.state === "delivered") {
    return (
      <Badge tone="good" dot title={`${delivery.summary}: delivered`}>
        {place}
      </Badge>
    );
  }
  const failed = delivery.attempts > 0;
  return (
    <Badge tone={failed ? "bad" : "warn"} dot title={delivery.error ?? "on its way"}>
      {place}: {failed ? "not yet" : "on its way"}
    </Badge>
  );
}

/** What to tell the user after a change: null when all went well. */
export function deliveryProblem(deliveries: Delivery[] | undefined): string | null {
  const failed = (deliveries ?? []).filter((d) => d.state === "pending" && d.attempts > 0);
  if (failed.length === 0) return null;
  const reasons = failed.map((d) => `${PLACE[d.destination]}: ${d.error ?? "no answer yet"}`);
  return `Saved, but not delivered yet. ${reasons.join(" ")} It is tried again until it succeeds.`;
}
