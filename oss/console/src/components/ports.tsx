/** The ports of an access node as they sit on its front: free ones can be chosen. */
import type { Port } from "../api/client";
import { usePorts } from "../api/queries";
import { cx, Failure } from "./ui";

export function PortPicker({
  bngId,
  remoteId,
  value,
  onChange,
}: {
  bngId: string;
  remoteId: string;
  value?: string;
  onChange?: (circuitId: string) => void;
}) {
  const ports = usePorts(bngId, remoteId);
  if (ports.isError) return <Failure error={ports.error} />;
  return (
    <div className="rounded-xl border border-line bg-raised/50 p-3">
      <fieldset aria-label={`Ports of ${remoteId}`} className="grid min-h-24 grid-cols-8 gap-1.5">
        {(ports.data ?? []).map((port) => (
          <PortButton
            key={port.circuit_id}
            port={port}
            chosen={value === port.circuit_id}
            onChoose={onChange && (() => onChange(port.circuit_id))}
          />
        ))}
      </fieldset>
      <p className="mt-3 flex flex-wrap gap-x-4 gap-y-1 text-[12px] text-faint">
        <Legend className="border border-line bg-panel" text="free" />
        <Legend className="border border-warn bg-warn/15" text="free, a device is waiting" />
        <Legend className="bg-good/25" text="in service, online" />
        <Legend className="bg-faint/25" text="in service, offline" />
      </p>
    </div>
  );
}

function Legend({ className, text }: { className: string; text: string }) {
  return (
    <span className="flex items-center gap-1.5">
      <span className={cx("size-3 rounded", className)} aria-hidden />
      {text}
    </span>
  );
}

function PortButton({
  port,
  chosen,
  onChoose,
}: {
  port: Port;
  chosen: boolean;
  onChoose?: () => void;
}) {
  const free = port.state === "free";
  const online = port.session_status === "active" || port.session_status === "idle";
  const about = free
    ? port.session_status
      ? `free, a device is waiting (${port.session_status})`
      : "free"
    : `${port.customer_name}, ${port.plan_name}, ${port.service_status?.toLowerCase()}${online ? ", online" : ""}`;
  return (
    <button
      type="button"
      disabled={!free || !onChoose}
      aria-pressed={chosen}
      aria-label={`Port ${port.port}: ${about}`}
      title={`Port ${port.port}: ${about}`}
      onClick={onChoose}
      className={cx(
        "num flex h-10 items-center justify-center rounded-lg text-[13px] transition-colors",
        chosen
          ? "bg-accent font-semibold text-accent-ink"
          : free
            ? cx(
                "border",
                port.session_status ? "border-warn bg-warn/15" : "border-line bg-panel",
                onChoose && "hover:border-accent",
              )
            : cx("text-soft", online ? "bg-good/25" : "bg-faint/25"),
      )}
    >
      {port.port}
    </button>
  );
}
