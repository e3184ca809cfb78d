import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { Plus, UserRound } from "lucide-react";
import { useCallback, useMemo, useState } from "react";
import { api, ask, type Customer } from "../api/client";
import { keys, useCustomers, useEvents, useServices, useTraffic } from "../api/queries";
import { RateChart, type RatePoint } from "../components/charts";
import { SearchBox } from "../components/search";
import { useMayWrite } from "../components/session";
import { type Column, Table } from "../components/table";
import {
  Badge,
  Button,
  Drawer,
  Empty,
  Facts,
  Failure,
  PageTitle,
  Rows,
  Segments,
  Status,
} from "../components/ui";
import { fullTime, plural, portOf, timeOf } from "../lib/format";
import { keyOf } from "../live/store";
import { CustomerDialog } from "./customer-dialog";
import { eventDetail, eventKind } from "./event-text";
import { ServiceDialog } from "./service-dialog";

const route = getRouteApi("/customers");
const PRESENCE = [
  ["", "All"],
  ["online", "Online"],
  ["offline", "Offline"],
  ["recent", "Recent"],
  ["new", "New"],
] as const;
type Presence = (typeof PRESENCE)[number][0];

const COLUMNS: Column<Customer>[] = [
  { title: "Name", className: "font-medium", render: (customer) => customer.name },
  {
    title: "Presence",
    render: (customer) =>
      customer.services === 0 ? (
        <Badge>no service</Badge>
      ) : customer.online > 0 ? (
        <Badge tone="good" dot>
          online
        </Badge>
      ) : (
        <Badge dot>offline</Badge>
      ),
  },
  { title: "E-mail", className: "text-soft", render: (customer) => customer.email ?? "–" },
  { title: "Phone", className: "num text-soft", render: (customer) => customer.phone ?? "–" },
  { title: "City", className: "text-soft", render: (customer) => customer.city ?? "–" },
  { title: "Services", numeric: true, render: (customer) => customer.services },
];

export function CustomersPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const mayWrite = useMayWrite();
  const [creating, setCreating] = useState(false);
  const presence = PRESENCE.some(([key]) => key === search.presence)
    ? (search.presence as Presence)
    : "";
  const customers = useCustomers({ q: search.q, presence: presence || undefined });
  const setQuery = useCallback(
    (q: string | undefined) =>
      void navigate({ search: (before) => ({ ...before, q }), replace: true }),
    [navigate],
  );
  const open = (customer: number | undefined) =>
    void navigate({ search: (before) => ({ ...before, customer }), replace: true });
  return (
    <div className="space-y-4 p-4 lg:p-6">
      <PageTitle title="Customers">
        <SearchBox label="Search customers" value={search.q} onChange={setQuery} />
        <Segments
          label="Presence"
          value={presence}
          options={PRESENCE}
          onChange={(value) =>
            void navigate({
              search: (before) => ({ ...before, presence: value || undefined }),
              replace: true,
            })
          }
        />
        {mayWrite && (
          <Button variant="primary" className="h-9" onClick={() => setCreating(true)}>
            <Plus className="size-4" /> New customer
          </Button>
        )}
      </PageTitle>
      <Table
        query={customers}
        columns={COLUMNS}
        rows={customers.data?.pages.flatMap((page) => page.items) ?? []}
        rowKey={(customer) => customer.id}
        onOpen={(customer) => open(customer.id)}
        empty={
          <Empty
            icon={<UserRound />}
            title={search.q || presence ? "No customer matches" : "No customers yet"}
          >
            A customer gets services, each of them a plan on an access port.
          </Empty>
        }
      />
      {creating && (
        <CustomerDialog onClose={() => setCreating(false)} onSaved={(saved) => open(saved.id)} />
      )}
      {search.customer !== undefined && (
        <CustomerDrawer id={search.customer} onClose={() => open(undefined)} />
      )}
    </div>
  );
}

function CustomerDrawer({ id, onClose }: { id: number; onClose: () => void }) {
  const mayWrite = useMayWrite();
  const [dialog, setDialog] = useState<"edit" | "service" | null>(null);
  const customer = useQuery({
    queryKey: [...keys.customers, "one", id],
    queryFn: () =>
      ask(api.GET("/api/customers/{customer_id}", { params: { path: { customer_id: id } } })),
  });
  const data = customer.data;
  return (
    <Drawer open onClose={onClose} title={data?.name ?? "Customer"}>
      {customer.isError && <Failure error={customer.error} />}
      {customer.isPending && <Rows />}
      {data && (
        <div className="space-y-6 p-5">
          {mayWrite && (
            <div className="flex gap-2">
              <Button variant="primary" onClick={() => setDialog("service")}>
                <Plus className="size-3.5" /> Add service
              </Button>
              <Button onClick={() => setDialog("edit")}>Edit</Button>
            </div>
          )}
          <Facts
            items={[
              ["E-mail", data.email],
              ["Phone", data.phone],
              [
                "Address",
                [data.street, [data.zip, data.city].filter(Boolean).join(" "), data.state]
                  .filter(Boolean)
                  .join(", ") || "–",
              ],
              ["Customer since", fullTime(data.created)],
            ]}
          />
          <CustomerServices id={id} />
          <CustomerTraffic id={id} />
          <CustomerEvents id={id} />
        </div>
      )}
      {dialog === "edit" && <CustomerDialog customer={data} onClose={() => setDialog(null)} />}
      {dialog === "service" && <ServiceDialog customer={data} onClose={() => setDialog(null)} />}
    </Drawer>
  );
}

function CustomerServices({ id }: { id: number }) {
  const services = useServices({ customer_id: id });
  const rows = services.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <section>
      <h3 className="mb-2 text-[13px] font-semibold">
        {services.data ? plural(rows.length, "service") : "Services"}
      </h3>
      <ul className="space-y-2">
        {rows.map((service) => (
          <li key={service.id} className="rounded-xl border border-line px-4 py-3 text-[13px]">
            <div className="flex items-center gap-2">
              <span className="font-medium">{service.plan_name}</span>
              <Status value={service.status} />
              {service.session_id && (
                <Link
                  to="/sessions"
                  search={{ open: keyOf(service.bng_id, service.session_id) }}
                  className="ml-auto text-accent hover:underline"
                >
                  {service.session_status} session
                </Link>
              )}
            </div>
            <p className="num mt-1 text-soft">
              {service.bng_id} / {service.remote_id} port {portOf(service.circuit_id)}
            </p>
          </li>
        ))}
      </ul>
    </section>
  );
}

function CustomerTraffic({ id }: { id: number }) {
  const traffic = useTraffic("6h", { customer_id: id });
  const points = useMemo<RatePoint[]>(
    () =>
      (traffic.data?.points ?? []).map((point) => ({
        time: Date.parse(point.time),
        inRate: point.in_rate,
        outRate: point.out_rate,
      })),
    [traffic.data],
  );
  return (
    <section>
      <h3 className="mb-1 text-[13px] font-semibold">Traffic of the last 6 hours</h3>
      <div className="-mx-3">
        <RateChart points={points} height={140} label="Traffic of the last 6 hours" />
      </div>
    </section>
  );
}

function CustomerEvents({ id }: { id: number }) {
  const events = useEvents({ customer_id: id });
  const rows = events.data?.pages[0]?.items.slice(0, 15) ?? [];
  if (rows.length === 0) return null;
  return (
    <section>
      <h3 className="mb-2 text-[13px] font-semibold">Activity</h3>
      <ol className="space-y-2">
        {rows.map((event) => (
          <li
            key={`${event.bng_id} ${event.seq}`}
            className="flex items-baseline gap-3 text-[13px]"
          >
            <span className="num w-24 shrink-0 text-faint">{timeOf(event.time)}</span>
            <Badge tone={eventKind(event.type).tone}>{eventKind(event.type).text}</Badge>
            <span className="min-w-0 text-soft">{eventDetail(event)}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
