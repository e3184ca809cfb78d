import { useMutation } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { Cable, Ellipsis, Plus } from "lucide-react";
import { DropdownMenu } from "radix-ui";
import { useCallback, useState } from "react";
import { api, ask, type Service } from "../api/client";
import { useServices } from "../api/queries";
import { DeliveryBadges, deliveryProblem } from "../components/delivery";
import { SearchBox } from "../components/search";
import { useMayWrite } from "../components/session";
import { type Column, Table } from "../components/table";
import { useToast } from "../components/toast";
import { Button, Dialog, Empty, FormError, PageTitle, Segments, Status } from "../components/ui";
import { portOf } from "../lib/format";
import { keyOf } from "../live/store";
import { PlanChoice, ServiceDialog } from "./service-dialog";

const route = getRouteApi("/services");
const STATUSES = [
  ["", "All"],
  ["ACTIVE", "Active"],
  ["SUSPENDED", "Suspended"],
  ["TERMINATED", "Terminated"],
] as const;
type StatusChoice = (typeof STATUSES)[number][0];

const COLUMNS: Column<Service>[] = [
  {
    title: "Customer",
    className: "font-medium",
    render: (service) => (
      <Link
        to="/customers"
        search={{ customer: service.customer_id }}
        className="hover:text-accent hover:underline"
      >
        {service.customer_name}
      </Link>
    ),
  },
  { title: "Plan", render: (service) => service.plan_name },
  {
    title: "Access line",
    className: "text-soft whitespace-nowrap",
    render: (service) =>
      `${service.bng_id} / ${service.remote_id} port ${portOf(service.circuit_id)}`,
  },
  { title: "Status", render: (service) => <Status value={service.status} /> },
  {
    title: "Session",
    render: (service) =>
      service.session_id ? (
        <Link to="/sessions" search={{ open: keyOf(service.bng_id, service.session_id) }}>
          <Status value={service.session_status} />
        </Link>
      ) : (
        <span className="text-faint">offline</span>
      ),
  },
  { title: "Delivery", render: (service) => <DeliveryBadges deliveries={service.deliveries} /> },
  {
    title: "Billed from",
    className: "text-soft whitespace-nowrap",
    render: (service) => service.billing_start,
  },
];

type Change = "suspend" | "resume" | "terminate" | "plan";

export function ServicesPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const mayWrite = useMayWrite();
  const [creating, setCreating] = useState(false);
  const [changing, setChanging] = useState<{ service: Service; change: Change } | null>(null);
  const status = STATUSES.some(([key]) => key === search.status)
    ? (search.status as StatusChoice)
    : "";
  const services = useServices({ q: search.q, status: status ? [status] : undefined });
  const setQuery = useCallback(
    (q: string | undefined) =>
      void navigate({ search: (before) => ({ ...before, q }), replace: true }),
    [navigate],
  );
  const menu: Column<Service> = {
    title: "",
    numeric: true,
    render: (service) =>
      service.status === "TERMINATED" ? null : (
        <ServiceMenu service={service} onChange={(change) => setChanging({ service, change })} />
      ),
  };
  return (
    <div className="space-y-4 p-4 lg:p-6">
      <PageTitle title="Services">
        <SearchBox label="Search services" value={search.q} onChange={setQuery} />
        <Segments
          label="Status"
          value={status}
          options={STATUSES}
          onChange={(value) =>
            void navigate({
              search: (before) => ({ ...before, status: value || undefined }),
              replace: true,
            })
          }
        />
        {mayWrite && (
          <Button variant="primary" className="h-9" onClick={() => setCreating(true)}>
            <Plus className="size-4" /> New service
          </Button>
        )}
      </PageTitle>
      <Table
        query={services}
        columns={mayWrite ? [...COLUMNS, menu] : COLUMNS}
        rows={services.data?.pages.flatMap((page) => page.items) ?? []}
        rowKey={(service) => service.id}
        empty={
          <Empty
            icon={<Cable />}
            title={search.q || status ? "No service matches" : "No services yet"}
          >
            A service puts a customer's plan on a port of an access node.
          </Empty>
        }
      />
      {creating && <ServiceDialog onClose={() => setCreating(false)} />}
      {changing && <ChangeDialog {...changing} onClose={() => setChanging(null)} />}
    </div>
  );
}

function ServiceMenu({
  service,
  onChange,
}: {
  service: Service;
  onChange: (change: Change) => void;
}) {
  const items: [Change, string][] = [
    ["plan", "Change plan…"],
    service.status === "ACTIVE" ? ["suspend", "Suspend…"] : ["resume", "Resume"],
    ["terminate", "Terminate…"],
  ];
  return (
    <DropdownMenu.Root>
      <DropdownMenu.Trigger
        aria-label={`Actions on the service of ${service.customer_name}`}
        className="inline-flex size-8 items-center justify-center rounded-lg text-soft hover:bg-raised hover:text-ink"
      >
        <Ellipsis className="size-4" />
      </DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content
          align="end"
          sideOffset={4}
          className="appear z-50 min-w-40 rounded-xl border border-line bg-panel p-1 text-[13px] shadow-xl"
        >
          {items.map(([change, text]) => (
            <DropdownMenu.Item
              key={change}
              onSelect={() => onChange(change)}
              className={`cursor-pointer rounded-lg px-2.5 py-1.5 outline-none data-highlighted:bg-raised ${change === "terminate" ? "text-bad" : ""}`}
            >
              {text}
            </DropdownMenu.Item>
          ))}
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}

const WORDS: Record<Change, { title: string; text: string; done: string; button: string }> = {
  suspend: {
    title: "Suspend this service?",
    text: "RADIUS refuses the access line until the service is resumed.",
    done: "is suspended",
    button: "Suspend",
  },
  resume: {
    title: "Resume this service?",
    text: "A device that waits on the port comes online at once.",
    done: "is active again",
    button: "Resume",
  },
  terminate: {
    title: "Terminate this service?",
    text: "This is final: the port becomes free, the service stays in the records.",
    done: "is terminated",
    button: "Terminate",
  },
  plan: {
    title: "Change the plan",
    text: "A live session gets the new rates without interruption.",
    done: "has the new plan",
    button: "Change plan",
  },
};
const NEXT = { suspend: "SUSPENDED", resume: "ACTIVE", terminate: "TERMINATED" } as const;

function ChangeDialog({
  service,
  change,
  onClose,
}: {
  service: Service;
  change: Change;
  onClose: () => void;
}) {
  const toast = useToast();
  const words = WORDS[change];
  const ends = change === "suspend" || change === "terminate";
  const [disconnect, setDisconnect] = useState(true);
  const [planId, setPlanId] = useState(service.plan_id);
  const save = useMutation({
    mutationFn: () =>
      ask(
        api.PATCH("/api/services/{service_id}", {
          params: { path: { service_id: service.id } },
          body:
            change === "plan"
              ? { plan_id: planId, disconnect: false }
              : { status: NEXT[change], disconnect: ends && disconnect },
        }),
      ),
    onSuccess: (changed) => {
      const trouble = deliveryProblem(changed.deliveries);
      toast(
        trouble ?? `${service.customer_name}'s service ${words.done}.`,
        trouble ? "bad" : "good",
      );
      onClose();
    },
  });
  return (
    <Dialog
      open
      onClose={onClose}
      title={words.title}
      description={words.text}
      wide={change === "plan"}
    >
      <div className="space-y-4">
        <p className="num text-[13px]">
          {service.customer_name}, {service.plan_name} on {service.bng_id} / {service.remote_id}{" "}
          port {portOf(service.circuit_id)}
        </p>
        {change === "plan" && <PlanChoice value={planId} onChange={setPlanId} />}
        {ends && (
          <label className="flex items-center gap-2 text-[13px]">
            <input
              type="checkbox"
              className="size-4 accent-(--accent)"
              checked={disconnect}
              onChange={(event) => setDisconnect(event.target.checked)}
            />
            Disconnect the live session now
          </label>
        )}
        <FormError error={save.error} />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button
            variant={ends ? "danger" : "primary"}
            busy={save.isPending}
            onClick={() => save.mutate()}
          >
            {words.button}
          </Button>
        </div>
      </div>
    </Dialog>
  );
}
