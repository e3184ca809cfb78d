/** The small parts that every page is made of. */
import { LoaderCircle, X } from "lucide-react";
import { Dialog as Primitive } from "radix-ui";
import type { ButtonHTMLAttributes, ComponentProps, ReactNode } from "react";
import { ApiError } from "../api/client";

export function cx(...names: (string | false | null | undefined)[]): string {
  return names.filter(Boolean).join(" ");
}

const VARIANTS = {
  primary: "bg-accent text-accent-ink hover:brightness-110 font-medium",
  secondary: "bg-panel border border-line text-ink hover:bg-raised",
  ghost: "text-soft hover:bg-raised hover:text-ink",
  "danger-outline": "bg-panel border border-bad/50 text-bad hover:bg-bad/10 font-medium",
  danger: "bg-bad text-white dark:text-canvas hover:brightness-110 font-medium",
};

export function Button({
  variant = "secondary",
  busy = false,
  className,
  children,
  disabled,
  ...rest
}: ButtonHTMLAttributes<HTMLButtonElement> & { variant?: keyof typeof VARIANTS; busy?: boolean }) {
  return (
    <button
      type="button"
      disabled={disabled || busy}
      className={cx(
        "inline-flex h-8 shrink-0 items-center justify-center gap-1.5 rounded-lg px-3 text-[13px] transition-colors",
        "disabled:cursor-not-allowed disabled:opacity-50",
        VARIANTS[variant],
        className,
      )}
      {...rest}
    >
      {busy && <LoaderCircle className="size-3.5 animate-spin" aria-hidden />}
      {children}
    </button>
  );
}

export function IconButton({
  label,
  className,
  ...rest
}: ButtonHTMLAttributes<HTMLButtonElement> & { label: string }) {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      className={cx(
        "inline-flex size-8 shrink-0 items-center justify-center rounded-lg text-soft transition-colors hover:bg-raised hover:text-ink disabled:opacity-40",
        className,
      )}
      {...rest}
    />
  );
}

export function Card({ className, ...rest }: ComponentProps<"section">) {
  return (
    <section
      className={cx("rounded-xl border border-line bg-panel shadow-card", className)}
      {...rest}
    />
  );
}

export function CardTitle({ children, aside }: { children: ReactNode; aside?: ReactNode }) {
  return (
    <header className="flex min-h-12 items-center justify-between gap-3 px-4 pt-1">
      <h2 className="text-[13px] font-semibold">{children}</h2>
      {aside}
    </header>
  );
}

export function PageTitle({
  title,
  note,
  children,
}: {
  title: string;
  note?: ReactNode;
  children?: ReactNode;
}) {
  return (
    <header className="flex min-h-9 flex-wrap items-center gap-x-3 gap-y-2">
      <h1 className="text-lg font-semibold tracking-tight">{title}</h1>
      {note && <span className="num text-[13px] text-faint">{note}</span>}
      <div className="ml-auto flex flex-wrap items-center gap-2">{children}</div>
    </header>
  );
}

const TONES = {
  good: "text-good bg-good/10",
  warn: "text-warn bg-warn/10",
  bad: "text-bad bg-bad/10",
  accent: "text-accent bg-accent/10",
  plain: "text-soft bg-raised",
};
export type Tone = keyof typeof TONES;

export function Badge({
  tone = "plain",
  dot,
  title,
  children,
}: {
  tone?: Tone;
  dot?: boolean;
  title?: string;
  children: ReactNode;
}) {
  return (
    <span
      title={title}
      className={cx(
        "inline-flex h-5 items-center gap-1.5 align-middle whitespace-nowrap rounded-full px-2 text-[11.5px] font-medium",
        TONES[tone],
      )}
    >
      {dot && <span className="size-1.5 rounded-full bg-current" aria-hidden />}
      {children}
    </span>
  );
}

const STATUS_TONE: Record<string, Tone> = {
  active: "good",
  idle: "plain",
  pending: "warn",
  authorizing: "warn",
  rejected: "bad",
  terminating: "warn",
  ACTIVE: "good",
  SUSPENDED: "warn",
  TERMINATED: "plain",
  connected: "good",
  connecting: "warn",
  unreachable: "bad",
  up: "good",
  down: "bad",
};

export function Status({ value, title }: { value: string | null | undefined; title?: string }) {
  const text = value ?? "unknown";
  return (
    <Badge tone={STATUS_TONE[text] ?? "plain"} dot title={title}>
      {text.toLowerCase()}
    </Badge>
  );
}

export function Empty({
  icon,
  title,
  children,
}: {
  icon: ReactNode;
  title: string;
  children?: ReactNode;
}) {
  return (
    <div className="flex flex-col items-center justify-center gap-2 px-6 py-16 text-center">
      <div className="mb-1 flex size-11 items-center justify-center rounded-full bg-raised text-faint [&>svg]:size-5">
        {icon}
      </div>
      <p className="font-medium">{title}</p>
      {children && <div className="max-w-md text-[13px] text-soft">{children}</div>}
    </div>
  );
}

export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  const text = error instanceof Error ? error.message : "Something went wrong.";
  return (
    <div
      role="alert"
      className="flex flex-col items-center justify-center gap-3 px-6 py-16 text-center"
    >
      <p className="max-w-lg text-[13px] text-bad">{text}</p>
      {retry && <Button onClick={retry}>Try again</Button>}
    </div>
  );
}

/** A sentence under a form. */
export function FormError({ error }: { error: unknown }) {
  if (!error) return null;
  const text = error instanceof ApiError || error instanceof Error ? error.message : String(error);
  return (
    <p role="alert" className="rounded-lg bg-bad/10 px-3 py-2 text-[13px] text-bad">
      {text}
    </p>
  );
}

export function Rows({ count = 6 }: { count?: number }) {
  return (
    <div className="space-y-3 p-4" aria-hidden>
      {Array.from({ length: count }, (_, n) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: placeholders have no identity
        <div key={n} className="skeleton h-5" style={{ width: `${92 - ((n * 13) % 30)}%` }} />
      ))}
    </div>
  );
}

export const inputClass =
  "h-9 rounded-lg border border-line bg-panel px-3 text-[13px] text-ink placeholder:text-faint transition-colors hover:border-faint/50 focus:border-accent focus:outline-2 focus:outline-accent/25 focus:-outline-offset-1 aria-invalid:border-bad";

export function Input({ className = "w-full", ...rest }: ComponentProps<"input">) {
  return <input className={cx(inputClass, className)} {...rest} />;
}

export function Select({ className = "w-full", ...rest }: ComponentProps<"select">) {
  return <select className={cx(inputClass, "pr-2", className)} {...rest} />;
}

export function Field({
  label,
  hint,
  children,
}: {
  label: string;
  hint?: ReactNode;
  children: ReactNode;
}) {
  return (
    // biome-ignore lint/a11y/noLabelWithoutControl: the control is among the children
    <label className="block space-y-1.5">
      <span className="text-[12.5px] font-medium text-soft">{label}</span>
      {children}
      {hint && <span className="block text-[12px] text-faint">{hint}</span>}
    </label>
  );
}

/** One of a few: a radio group that looks like one control. */
export function Segments<T extends string>({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: T;
  options: readonly (readonly [T, ReactNode])[];
  onChange: (value: T) => void;
}) {
  return (
    <fieldset aria-label={label} className="inline-flex rounded-lg bg-raised p-0.5">
      {options.map(([key, text]) => (
        <button
          key={key}
          type="button"
          aria-pressed={value === key}
          onClick={() => onChange(key)}
          className={cx(
            "num h-7 rounded-md px-2.5 text-[12.5px] transition-colors",
            value === key
              ? "bg-panel font-medium text-ink shadow-card"
              : "text-soft hover:text-ink",
          )}
        >
          {text}
        </button>
      ))}
    </fieldset>
  );
}

export function Dialog({
  open,
  onClose,
  title,
  description,
  wide,
  children,
}: {
  open: boolean;
  onClose: () => void;
  title: string;
  description?: ReactNode;
  wide?: boolean;
  children: ReactNode;
}) {
  return (
    <Primitive.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Primitive.Portal>
        <Primitive.Overlay className="fixed inset-0 z-40 bg-black/45 backdrop-blur-[1px]" />
        <Primitive.Content
          aria-describedby={undefined}
          className={cx(
            "appear fixed top-[8vh] left-1/2 z-50 max-h-[84vh] w-[calc(100vw-2rem)] -translate-x-1/2 overflow-y-auto rounded-2xl border border-line bg-panel p-5 shadow-2xl focus:outline-none",
            wide ? "max-w-2xl" : "max-w-md",
          )}
        >
          <div className="mb-4 flex items-start justify-between gap-4">
            <div>
              <Primitive.Title className="text-base font-semibold">{title}</Primitive.Title>
              {description && <p className="mt-1 text-[13px] text-soft">{description}</p>}
            </div>
            <Primitive.Close asChild>
              <IconButton label="Close" className="-mt-1 -mr-1">
                <X className="size-4" />
              </IconButton>
            </Primitive.Close>
          </div>
          {children}
        </Primitive.Content>
      </Primitive.Portal>
    </Primitive.Root>
  );
}

/** A panel from the right that leaves the page usable. */
export function Drawer({
  open,
  onClose,
  title,
  children,
}: {
  open: boolean;
  onClose: () => void;
  title: ReactNode;
  children: ReactNode;
}) {
  return (
    <Primitive.Root open={open} onOpenChange={(next) => !next && onClose()} modal={false}>
      <Primitive.Portal>
        <Primitive.Content
          aria-describedby={undefined}
          tabIndex={-1}
          onOpenAutoFocus={(event) => {
            // the panel, not its close button: who opened it wants to read
            event.preventDefault();
            (event.currentTarget as HTMLElement).focus();
          }}
          onInteractOutside={(event) => event.preventDefault()}
          className="slide fixed inset-y-0 right-0 z-30 flex w-full max-w-[30rem] flex-col border-l border-line bg-panel shadow-2xl focus:outline-none"
        >
          <div className="flex min-h-14 items-center justify-between gap-3 border-b border-line px-5">
            <Primitive.Title asChild>
              <div className="min-w-0 flex-1 text-[15px] font-semibold">{title}</div>
            </Primitive.Title>
            <Primitive.Close asChild>
              <IconButton label="Close" className="-mr-2">
                <X className="size-4" />
              </IconButton>
            </Primitive.Close>
          </div>
          <div className="flex-1 overflow-y-auto">{children}</div>
        </Primitive.Content>
      </Primitive.Portal>
    </Primitive.Root>
  );
}

export function Facts({ items }: { items: (readonly [string, ReactNode])[] }) {
  return (
    <dl className="grid grid-cols-[8.5rem_1fr] gap-x-3 gap-y-2 text-[13px]">
      {items.map(([name, value]) => (
        <div key={name} className="contents">
          <dt className="text-faint">{name}</dt>
          <dd className="num min-w-0 break-words">{value ?? "–"}</dd>
        </div>
      ))}
    </dl>
  );
}
