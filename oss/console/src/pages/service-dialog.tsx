import { useMutation } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useState } from "react";
import { api, ask, type Customer, type Plan } from "../api/client";
import { useAccessRouters, useCustomers, usePlans } from "../api/queries";
import { deliveryProblem } from "../components/delivery";
import { PortPicker } from "../components/ports";
import { SearchBox } from "../components/search";
import { useToast } from "../components/toast";
import { Button, cx, Dialog, Failure, Field, FormError, Rows, Select } from "../components/ui";
import { portOf, price, speed } from "../lib/format";
import { CustomerDialog } from "./customer-dialog";

/** A new service: who, what, where. */
export function ServiceDialog({
  customer: given,
  onClose,
}: {
  customer?: Customer;
  onClose: () => void;
}) {
  const toast = useToast();
  const routers = useAccessRouters();
  const [customer, setCustomer] = useState<Customer | undefined>(given);
  const [planId, setPlanId] = useState<number>();
  const [node, setNode] = useState("");
  const [circuitId, setCircuitId] = useState<string>();
  const nodes = (routers.data ?? []).filter((router) => router.ports);
  const [bngId = "", remoteId = ""] = node.split(" ");
  const create = useMutation({
    mutationFn: () =>
      ask(
        api.POST("/api/services", {
          body: {
            customer_id: customer?.id ?? 0,
            plan_id: planId ?? 0,
            bng_id: bngId,
            remote_id: remoteId,
            circuit_id: circuitId ?? "",
          },
        }),
      ),
    onSuccess: (service) => {
      const trouble = deliveryProblem(service.deliveries);
      const place = `${service.remote_id} port ${portOf(service.circuit_id)}`;
      toast(
        trouble ?? `${service.customer_name} has ${service.plan_name} on ${place}.`,
        trouble ? "bad" : "good",
      );
      onClose();
    },
  });
  const complete = customer && planId !== undefined && node && circuitId;
  return (
    <Dialog
      open
      onClose={onClose}
      wide
      title="New service"
      description="A device that waits on the port comes online at once."
    >
      <div className="space-y-5">
        <CustomerChoice customer={customer} onChange={setCustomer} fixed={given !== undefined} />
        <PlanChoice value={planId} onChange={setPlanId} />
        <Field label="Access node">
          <Select
            value={node}
            onChange={(event) => {
              setNode(event.target.value);
              setCircuitId(undefined);
            }}
          >
            <option value="" disabled>
              Choose…
            </option>
            {nodes.map((router) => (
              <option
                key={`${router.bng_id} ${router.remote_id}`}
                value={`${router.bng_id} ${router.remote_id}`}
              >
                {router.bng_id} / {router.remote_id} ({(router.ports ?? 0) - router.services} free)
              </option>
            ))}
          </Select>
        </Field>
        {node && (
          <PortPicker bngId={bngId} remoteId={remoteId} value={circuitId} onChange={setCircuitId} />
        )}
        <FormError error={create.error ?? routers.error} />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button
            variant="primary"
            disabled={!complete}
            busy={create.isPending}
            onClick={() => create.mutate()}
          >
            Create service
          </Button>
        </div>
      </div>
    </Dialog>
  );
}

function CustomerChoice({
  customer,
  onChange,
  fixed,
}: {
  customer?: Customer;
  onChange: (customer: Customer | undefined) => void;
  fixed: boolean;
}) {
  const [q, setQ] = useState<string>();
  const [creating, setCreating] = useState(false);
  const found = useCustomers({ q });
  const rows = found.data?.pages[0]?.items.slice(0, 5) ?? [];
  return (
    <div className="space-y-1.5">
      <p className="text-[12.5px] font-medium text-soft">Customer</p>
      {customer ? (
        <div className="flex h-9 items-center justify-between rounded-lg border border-line px-3 text-[13px]">
          <span className="font-medium">{customer.name}</span>
          {!fixed && (
            <Button variant="ghost" className="h-7" onClick={() => onChange(undefined)}>
              Change
            </Button>
          )}
        </div>
      ) : (
        <>
          <div className="flex gap-2">
            <SearchBox label="Search customers" value={q} onChange={setQ} className="flex-1" />
            <Button className="h-9" onClick={() => setCreating(true)}>
              <Plus className="size-3.5" /> New
            </Button>
          </div>
          <ul className="min-h-[11.5rem] rounded-lg border border-line p-1">
            {found.isPending && <Rows count={4} />}
            {rows.map((row) => (
              <li key={row.id}>
                <button
                  type="button"
                  onClick={() => onChange(row)}
                  className="flex h-9 w-full items-center justify-between gap-3 rounded-md px-2.5 text-left text-[13px] hover:bg-raised"
                >
                  <span className="truncate">{row.name}</span>
                  <span className="truncate text-[12px] text-faint">{row.email ?? row.city}</span>
                </button>
              </li>
            ))}
            {found.data && rows.length === 0 && (
              <li className="p-3 text-[13px] text-faint">No customer matches.</li>
            )}
          </ul>
        </>
      )}
      {creating && <CustomerDialog onClose={() => setCreating(false)} onSaved={onChange} />}
    </div>
  );
}

export function PlanChoice({
  value,
  onChange,
}: {
  value?: number;
  onChange: (planId: number) => void;
}) {
  const plans = usePlans();
  if (plans.isError) return <Failure error={plans.error} />;
  return (
    <fieldset className="space-y-1.5">
      <legend className="text-[12.5px] font-medium text-soft">Plan</legend>
      <div className="grid min-h-16 grid-cols-2 gap-2 sm:grid-cols-3">
        {(plans.data ?? [])
          .filter((plan) => plan.is_active)
          .map((plan) => (
            <PlanButton
              key={plan.id}
              plan={plan}
              chosen={plan.id === value}
              onChoose={() => onChange(plan.id)}
            />
          ))}
      </div>
    </fieldset>
  );
}

function PlanButton({
  plan,
  chosen,
  onChoose,
}: {
  plan: Plan;
  chosen: boolean;
  onChoose: () => void;
}) {
  return (
    <button
      type="button"
      aria-pressed={chosen}
      onClick={onChoose}
      className={cx(
        "rounded-xl border px-3 py-2 text-left transition-colors",
        chosen ? "border-accent bg-accent-wash" : "border-line hover:border-faint/60",
      )}
    >
      <span className="flex items-baseline justify-between gap-2 text-[13px] font-medium">
        <span className="truncate">{plan.name}</span>
        <span className="num text-soft">{price(plan.price)}</span>
      </span>
      <span className="num block text-[12px] text-faint">
        {speed(plan.download_kbps)} / {speed(plan.upload_kbps)}
      </span>
    </button>
  );
}
