import { Network } from "lucide-react";
import { useState } from "react";
import type { AccessRouter } from "../api/client";
import { useAccessRouters } from "../api/queries";
import { PortPicker } from "../components/ports";
import { type Column, Table } from "../components/table";
import { Drawer, Empty, Facts, PageTitle, Status } from "../components/ui";
import { fullTime, microseconds, since } from "../lib/format";

const COLUMNS: Column<AccessRouter>[] = [
  {
    title: "Access node",
    className: "font-medium",
    render: (router) => router.name ?? router.remote_id,
  },
  { title: "BNG", className: "text-soft", render: (router) => router.bng_id },
  { title: "State", render: (router) => <Status value={router.reachability} /> },
  { title: "Address", className: "num text-soft", render: (router) => router.address ?? "–" },
  { title: "Model", className: "text-soft", render: (router) => router.access_model ?? "–" },
  { title: "Round trip", numeric: true, render: (router) => microseconds(router.round_trip_time) },
  {
    title: "Last seen",
    numeric: true,
    render: (router) => (router.last_seen ? `${since(router.last_seen)} ago` : "–"),
  },
  { title: "Online", numeric: true, render: (router) => router.active_sessions },
  {
    title: "Ports in service",
    numeric: true,
    render: (router) =>
      router.ports ? `${router.services} of ${router.ports}` : "not in the plan",
  },
];

export function AccessPage() {
  const routers = useAccessRouters();
  const [open, setOpen] = useState<AccessRouter | null>(null);
  return (
    <div className="space-y-4 p-4 lg:p-6">
      <PageTitle title="Access nodes" note={routers.data?.length} />
      <Table
        query={routers}
        columns={COLUMNS}
        rows={routers.data ?? []}
        rowKey={(router) => `${router.bng_id} ${router.remote_id}`}
        onOpen={setOpen}
        empty={
          <Empty icon={<Network />} title="No access nodes yet">
            They come from the OSS's configuration, and from the BNGs that see them relay DHCP.
          </Empty>
        }
      />
      {open && (
        <Drawer open onClose={() => setOpen(null)} title={open.name ?? open.remote_id}>
          <div className="space-y-5 p-5">
            <Facts
              items={[
                ["BNG", open.bng_id],
                ["State", <Status key="state" value={open.reachability} />],
                ["Remote-id", open.remote_id],
                ["Address", open.address ?? "–"],
                ["Last seen", fullTime(open.last_seen)],
              ]}
            />
            {open.ports ? (
              <PortPicker bngId={open.bng_id} remoteId={open.remote_id} />
            ) : (
              <p className="text-[13px] text-soft">
                This node relays DHCP, but the OSS's configuration does not know it.
              </p>
            )}
          </div>
        </Drawer>
      )}
    </div>
  );
}
