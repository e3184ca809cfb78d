import { useMutation } from "@tanstack/react-query";
import { api, ask, type Customer } from "../api/client";
import { useToast } from "../components/toast";
import { Button, Dialog, Field, FormError, Input } from "../components/ui";

const text = (form: FormData, name: string) => String(form.get(name) ?? "").trim() || null;

export function CustomerDialog({
  customer,
  onClose,
  onSaved,
}: {
  customer?: Customer;
  onClose: () => void;
  onSaved?: (customer: Customer) => void;
}) {
  const toast = useToast();
  const save = useMutation({
    mutationFn: (form: FormData) => {
      const body = {
        name: String(form.get("name")),
        email: text(form, "email"),
        phone: text(form, "phone"),
        street: text(form, "street"),
        zip: text(form, "zip"),
        city: text(form, "city"),
        state: text(form, "state"),
      };
      return customer
        ? ask(
            api.PUT("/api/customers/{customer_id}", {
              params: { path: { customer_id: customer.id } },
              body,
            }),
          )
        : ask(api.POST("/api/customers", { body }));
    },
    onSuccess: (saved) => {
      toast(`${saved.name} is saved.`);
      onSaved?.(saved);
      onClose();
    },
  });
  return (
    <Dialog open onClose={onClose} title={customer ? `Edit ${customer.name}` : "New customer"}>
      <form
        className="space-y-4"
        onSubmit={(event) => {
          event.preventDefault();
          event.stopPropagation();
          save.mutate(new FormData(event.currentTarget));
        }}
      >
        <Field label="Name">
          <Input name="name" required maxLength={200} defaultValue={customer?.name} autoFocus />
        </Field>
        <div className="grid grid-cols-2 gap-3">
          <Field label="E-mail">
            <Input name="email" type="email" defaultValue={customer?.email ?? ""} />
          </Field>
          <Field label="Phone">
            <Input name="phone" type="tel" defaultValue={customer?.phone ?? ""} />
          </Field>
        </div>
        <Field label="Street">
          <Input name="street" defaultValue={customer?.street ?? ""} />
        </Field>
        <div className="grid grid-cols-[6rem_1fr_6rem] gap-3">
          <Field label="ZIP">
            <Input name="zip" defaultValue={customer?.zip ?? ""} />
          </Field>
          <Field label="City">
            <Input name="city" defaultValue={customer?.city ?? ""} />
          </Field>
          <Field label="State">
            <Input name="state" defaultValue={customer?.state ?? ""} />
          </Field>
        </div>
        <FormError error={save.error} />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" variant="primary" busy={save.isPending}>
            Save
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
