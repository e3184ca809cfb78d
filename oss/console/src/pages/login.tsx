import { useMutation } from "@tanstack/react-query";
import { api, ask, type Me } from "../api/client";
import { Button, Field, FormError, Input } from "../components/ui";

export function Login({ onDone }: { onDone: (me: Me) => void }) {
  const login = useMutation({
    mutationFn: (body: { username: string; password: string }) =>
      ask(api.POST("/api/auth/login", { body })),
    onSuccess: onDone,
  });
  return (
    <main className="flex h-full items-center justify-center bg-radial-[at_50%_0%] from-accent-wash to-canvas to-60% p-6">
      <div className="w-full max-w-sm">
        <div className="mb-8 flex items-center gap-3">
          <img src="/icon.svg" alt="" className="size-10" />
          <div>
            <h1 className="text-xl font-semibold tracking-tight">Aether</h1>
            <p className="text-[13px] text-soft">Broadband network operations</p>
          </div>
        </div>
        <form
          className="space-y-4 rounded-2xl border border-line bg-panel p-6 shadow-card"
          onSubmit={(event) => {
            event.preventDefault();
            const form = new FormData(event.currentTarget);
            login.mutate({
              username: String(form.get("username")),
              password: String(form.get("password")),
            });
          }}
        >
          <Field label="User name">
            <Input name="username" autoComplete="username" required autoFocus />
          </Field>
          <Field label="Password">
            <Input name="password" type="password" autoComplete="current-password" required />
          </Field>
          <FormError error={login.error} />
          <Button type="submit" variant="primary" busy={login.isPending} className="h-9 w-full">
            Log in
          </Button>
        </form>
      </div>
    </main>
  );
}
