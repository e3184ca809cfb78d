import { useMutation } from "@tanstack/react-query";
import { RotateCw, Send } from "lucide-react";
import { useState } from "react";
import { api, ask, type Delivery } from "../api/client";
import { useDeliveries } from "../api/queries";
import { useMayWrite } from "../components/session";
import { type Column, Table } from "../components/table";
import { useToast } from "../components/toast";
import { Badge, Button, Empty, PageTitle, Segments } from "../components/ui";
import { plural, timeOf } from "../lib/format";

const STATES = [
  ["", "All"],
  ["pending", "Waiting"],
  ["delivered", "Delivered"],
] as const;

export function DeliveriesPage() {
  const [state, setState] = useState<(typeof STATES)[number][0]>("");
  const deliveries = useDeliveries(state || undefined);
  const mayWrite = useMayWrite();
  return (
    <div className="space-y-4 p-4 lg:p-6">
      <PageTitle title="Deliveries">
        <Segments label="State" value={state} options={STATES} onChange={setState} />
      </PageTitle>
      <Table
        query={deliveries}
        columns={
          mayWrite
            ? [...COLUMNS, { title: "", numeric: true, render: (row) => <Retry row={row} /> }]
            : COLUMNS
        }
        rows={deliveries.data?.pages.flatMap((page) => page.items) ?? []}
        rowKey={(row) => row.id}
        empty={
          <Empty icon={<Send />} title="Nothing here">
            Every change that must reach RADIUS or the BNGs is listed here until it has, and
            afterwards.
          </Empty>
        }
      />
    </div>
  );
}

const COLUMNS: Column<Delivery>[] = [
  {
    title: "Time",
    className: "num whitespace-nowrap text-soft",
    render: (row) => timeOf(row.created),
  },
  { title: "Change", className: "font-medium", render: (row) => row.summary },
  { title: "To", render: (row) => (row.destination === "radius" ? "RADIUS" : "BNGs") },
  {
    title: "State",
    render: (row) =>
      row.state === "delivered" ? (
        <Badge tone="good" dot>
          delivered
        </Badge>
      ) : (
        <Badge tone={row.attempts ? "bad" : "warn"} dot>
          {row.attempts ? `waiting, ${plural(row.attempts, "attempt")}` : "waiting"}
        </Badge>
      ),
  },
  { title: "Note", className: "max-w-md text-soft", render: (row) => row.error ?? "" },
  { title: "By", className: "text-soft", render: (row) => row.username ?? "–" },
];

function Retry({ row }: { row: Delivery }) {
  const toast = useToast();
  const retry = useMutation({
    mutationFn: () =>
      ask(
        api.POST("/api/deliveries/{delivery_id}/retry", {
          params: { path: { delivery_id: row.id } },
        }),
      ),
    onError: (error) => toast(error.message, "bad"),
  });
  if (row.state !== "pending") return null;
  return (
    <Button variant="ghost" busy={retry.isPending} onClick={() => retry.mutate()}>
      <RotateCw className="size-3.5" /> Try now
    </Button>
  );
}
