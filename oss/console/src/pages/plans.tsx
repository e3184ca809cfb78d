import { useMutation } from "@tanstack/react-query";
import { ArrowDown, ArrowUp, Package, Plus, RotateCw } from "lucide-react";
import { useState } from "react";
import { api, ask, type Plan } from "../api/client";
import { usePlans } from "../api/queries";
import { DeliveryBadges, deliveryProblem } from "../components/delivery";
import { useMayWrite } from "../components/session";
import { useToast } from "../components/toast";
import {
  Badge,
  Button,
  Card,
  Dialog,
  Empty,
  Failure,
  Field,
  FormError,
  Input,
  PageTitle,
  Rows,
} from "../components/ui";
import { plural, price, speed } from "../lib/format";

export function PlansPage() {
  const plans = usePlans();
  const mayWrite = useMayWrite();
  const [editing, setEditing] = useState<Plan | "new" | null>(null);
  return (
    <div className="space-y-4 p-4 lg:p-6">
      <PageTitle title="Plans" note={plans.data?.length}>
        {mayWrite && (
          <Button variant="primary" onClick={() => setEditing("new")}>
            <Plus className="size-4" /> New plan
          </Button>
        )}
      </PageTitle>
      {plans.isPending ? (
        <Card>
          <Rows />
        </Card>
      ) : plans.isError ? (
        <Failure error={plans.error} retry={() => void plans.refetch()} />
      ) : plans.data.length === 0 ? (
        <Card>
          <Empty icon={<Package />} title="No plans yet">
            A plan becomes a shaping profile on every BNG and a group in RADIUS.
          </Empty>
        </Card>
      ) : (
        <div className="grid gap-4 sm:grid-cols-2 xl:grid-cols-3">
          {plans.data.map((plan) => (
            <PlanCard
              key={plan.id}
              plan={plan}
              onEdit={mayWrite ? () => setEditing(plan) : undefined}
            />
          ))}
        </div>
      )}
      {editing && (
        <PlanDialog
          plan={editing === "new" ? undefined : editing}
          onClose={() => setEditing(null)}
        />
      )}
    </div>
  );
}

function PlanCard({ plan, onEdit }: { plan: Plan; onEdit?: () => void }) {
  const toast = useToast();
  const problem = deliveryProblem(plan.deliveries);
  const deliver = useMutation({
    mutationFn: () =>
      ask(api.POST("/api/plans/{plan_id}/deliver", { params: { path: { plan_id: plan.id } } })),
    onSuccess: (sent) => {
      const trouble = deliveryProblem(sent.deliveries);
      toast(trouble ?? `${plan.name} is on every BNG and in RADIUS.`, trouble ? "bad" : "good");
    },
    onError: (error) => toast(error.message, "bad"),
  });
  return (
    <Card className="flex flex-col p-4">
      <header className="flex items-start justify-between gap-3">
        <div className="min-w-0">
          <h2 className="flex items-center gap-2 truncate text-[15px] font-semibold">
            {plan.name}
            {!plan.is_active && <Badge>not sold</Badge>}
          </h2>
          <p className="text-[12.5px] text-soft">
            {plan.description || plural(plan.services, "service")}
          </p>
        </div>
        <p className="num text-[15px] font-semibold">
          {price(plan.price)}
          <span className="text-[12px] font-normal text-faint"> / month</span>
        </p>
      </header>
      <div className="num mt-4 grid grid-cols-2 gap-3">
        <p className="flex items-center gap-2 text-[15px] font-medium">
          <ArrowDown className="size-4 text-down" /> {speed(plan.download_kbps)}
        </p>
        <p className="flex items-center gap-2 text-[15px] font-medium">
          <ArrowUp className="size-4 text-up" /> {speed(plan.upload_kbps)}
        </p>
      </div>
      {problem && (
        <p className="mt-3 rounded-lg bg-bad/10 px-3 py-2 text-[12.5px] text-bad">{problem}</p>
      )}
      <footer className="mt-4 flex flex-1 items-end justify-between gap-2 border-t border-line pt-3">
        <DeliveryBadges deliveries={plan.deliveries} />
        {onEdit && (
          <span className="flex gap-1">
            <Button
              variant="ghost"
              busy={deliver.isPending}
              title="Send to RADIUS and every BNG once more"
              onClick={() => deliver.mutate()}
            >
              <RotateCw className="size-3.5" /> Send again
            </Button>
            <Button onClick={onEdit}>Edit</Button>
          </span>
        )}
      </footer>
    </Card>
  );
}

function PlanDialog({ plan, onClose }: { plan?: Plan; onClose: () => void }) {
  const toast = useToast();
  const save = useMutation({
    mutationFn: (form: FormData) => {
      const kbps = (name: string) => Math.round(Number(form.get(name)) * 1000);
      const values = {
        description: String(form.get("description")),
        download_kbps: kbps("download"),
        upload_kbps: kbps("upload"),
        price: String(form.get("price") || 0),
        is_active: form.get("is_active") === "on",
      };
      return plan
        ? ask(
            api.PATCH("/api/plans/{plan_id}", {
              params: { path: { plan_id: plan.id } },
              body: values,
            }),
          )
        : ask(api.POST("/api/plans", { body: { ...values, name: String(form.get("name")) } }));
    },
    onSuccess: (saved) => {
      const trouble = deliveryProblem(saved.deliveries);
      toast(trouble ?? `${saved.name} is on every BNG and in RADIUS.`, trouble ? "bad" : "good");
      onClose();
    },
  });
  return (
    <Dialog
      open
      onClose={onClose}
      title={plan ? `Edit ${plan.name}` : "New plan"}
      description={
        plan
          ? "Live sessions follow as soon as the BNGs have the new rates."
          : "It becomes a shaping profile on every BNG, or on none, and a group in RADIUS."
      }
    >
      <form
        className="space-y-4"
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate(new FormData(event.currentTarget));
        }}
      >
        {!plan && (
          <Field
            label="Name"
            hint="Letters, digits, _ . - ; also the name of the shaping profile. It stays."
          >
            <Input
              name="name"
              required
              pattern="[A-Za-z0-9_][A-Za-z0-9_.\-]*"
              maxLength={64}
              autoFocus
            />
          </Field>
        )}
        <Field label="Description">
          <Input name="description" maxLength={255} defaultValue={plan?.description} />
        </Field>
        <div className="grid grid-cols-3 gap-3">
          <Speed name="download" label="Download, Mbit/s" kbps={plan?.download_kbps} />
          <Speed name="upload" label="Upload, Mbit/s" kbps={plan?.upload_kbps} />
          <Field label="Price / month">
            <Input name="price" type="number" min={0} step="0.01" defaultValue={plan?.price ?? 0} />
          </Field>
        </div>
        <label className="flex items-center gap-2 text-[13px]">
          <input
            type="checkbox"
            name="is_active"
            defaultChecked={plan?.is_active ?? true}
            className="size-4 accent-(--accent)"
          />
          Sold: can be chosen for new services
        </label>
        <FormError error={save.error} />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" variant="primary" busy={save.isPending}>
            {plan ? "Save" : "Create plan"}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function Speed({ name, label, kbps }: { name: string; label: string; kbps?: number }) {
  return (
    <Field label={label}>
      <Input
        name={name}
        type="number"
        required
        min={0.008}
        max={100_000}
        step="any"
        defaultValue={kbps == null ? undefined : kbps / 1000}
      />
    </Field>
  );
}
