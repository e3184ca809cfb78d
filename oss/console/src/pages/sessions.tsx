import { getRouteApi } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDown, ArrowUp, Radio, Search, X } from "lucide-react";
import { type KeyboardEvent, memo, useMemo, useRef } from "react";
import type { Session } from "../api/client";
import { Sparkline } from "../components/charts";
import { cx, Empty, IconButton, Input, PageTitle, Rows, Select, Status } from "../components/ui";
import { portOf, rate, rateParts, since } from "../lib/format";
import { useLive } from "../live/context";
import { keyOf } from "../live/store";
import { SessionDrawer } from "./session-drawer";
import {
  COLUMNS,
  defaultOrder,
  type SessionsSearch,
  type SortKey,
  visibleSessions,
} from "./sessions-view";

const route = getRouteApi("/sessions");
const ROW = 44;
const GRID =
  "grid grid-cols-[minmax(9rem,1.4fr)_6.5rem_minmax(13.5rem,1.3fr)_minmax(7rem,1fr)_minmax(6rem,0.9fr)_5.2rem_8.2rem_8.2rem_6.5rem] items-center gap-x-4 px-4";
const HEADERS: (SortKey | null)[] = [
  "customer",
  "status",
  "line",
  "address",
  "plan",
  null,
  "down",
  "up",
  "started",
];
const NUMERIC = new Set<SortKey | null>(["down", "up", "started"]);
const STATUSES = ["active", "idle", "rejected", "authorizing", "pending", "terminating"];

export function SessionsPage() {
  const live = useLive();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const set = (change: Partial<SessionsSearch>) =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace: true });

  const { version } = live;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the store's version stands for its content
  const shown = useMemo(() => visibleSessions(live.sessions.values(), search), [version, search]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: as above
  const bngs = useMemo(
    () => [...new Set([...live.sessions.values()].map((session) => session.bng_id))].sort(),
    [version],
  );
  const total = live.sessions.size;
  const filtered = Boolean(search.q || search.status || search.bng);
  const note = filtered ? `${shown.length} of ${total}` : `${total}`;

  return (
    <div className="flex h-full min-w-0 flex-col gap-4 p-4 lg:p-6">
      <PageTitle title="Live sessions" note={note}>
        <div className="relative w-72 max-w-full">
          <Search className="pointer-events-none absolute top-2.5 left-2.5 size-4 text-faint" />
          <Input
            type="search"
            aria-label="Search sessions"
            placeholder="Name, address, MAC, port…"
            className="w-full pr-8 pl-8.5 [&::-webkit-search-cancel-button]:hidden"
            value={search.q ?? ""}
            onChange={(event) => set({ q: event.target.value || undefined })}
          />
          {search.q && (
            <IconButton
              label="Clear search"
              className="absolute top-0.5 right-0.5"
              onClick={() => set({ q: undefined })}
            >
              <X className="size-3.5" />
            </IconButton>
          )}
        </div>
        <Select
          aria-label="Status"
          className="w-36"
          value={search.status ?? ""}
          onChange={(event) => set({ status: event.target.value || undefined })}
        >
          <option value="">All statuses</option>
          {STATUSES.map((status) => (
            <option key={status}>{status}</option>
          ))}
        </Select>
        <Select
          aria-label="BNG"
          className="w-32"
          value={search.bng ?? ""}
          onChange={(event) => set({ bng: event.target.value || undefined })}
        >
          <option value="">All BNGs</option>
          {bngs.map((bng) => (
            <option key={bng}>{bng}</option>
          ))}
        </Select>
      </PageTitle>
      <SessionTable
        sessions={shown}
        search={search}
        set={set}
        loading={live.version === 0}
        filtered={filtered}
      />
      {search.open && <SessionDrawer name={search.open} onClose={() => set({ open: undefined })} />}
    </div>
  );
}

function SessionTable({
  sessions,
  search,
  set,
  loading,
  filtered,
}: {
  sessions: Session[];
  search: SessionsSearch;
  set: (change: Partial<SessionsSearch>) => void;
  loading: boolean;
  filtered: boolean;
}) {
  const live = useLive();
  const scroller = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({
    count: sessions.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 12,
    getItemKey: (index) => {
      const session = sessions[index];
      return session ? keyOf(session.bng_id, session.session_id) : index;
    },
  });
  const sort = search.sort ?? "down";
  const order = search.order ?? defaultOrder(sort);

  const step = (event: KeyboardEvent<HTMLElement>, index: number) => {
    const move = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15 }[event.key];
    if (!move) return;
    event.preventDefault();
    const next = Math.min(Math.max(index + move, 0), sessions.length - 1);
    rows.scrollToIndex(next);
    requestAnimationFrame(() =>
      scroller.current?.querySelector<HTMLElement>(`[data-index="${next}"]`)?.focus(),
    );
  };

  return (
    <div
      ref={scroller}
      className="min-h-0 flex-1 overflow-auto rounded-xl border border-line bg-panel shadow-card"
    >
      <table className="block min-w-[80rem]" aria-rowcount={sessions.length + 1}>
        <thead className="sticky top-0 z-10 block bg-panel">
          <tr className={cx(GRID, "h-10 border-b border-line")}>
            {HEADERS.map((key) =>
              key === null ? (
                <th key="trend" className="text-left text-[12px] font-medium text-faint">
                  Trend
                </th>
              ) : (
                <th
                  key={key}
                  aria-sort={sort !== key ? "none" : order === "asc" ? "ascending" : "descending"}
                  className={cx(
                    "text-[12px] font-medium",
                    NUMERIC.has(key) ? "text-right" : "text-left",
                  )}
                >
                  <button
                    type="button"
                    onClick={() =>
                      set(
                        sort === key
                          ? { sort: key, order: order === "asc" ? "desc" : "asc" }
                          : { sort: key, order: undefined },
                      )
                    }
                    className={cx(
                      "inline-flex items-center gap-1 rounded hover:text-ink",
                      sort === key ? "text-ink" : "text-faint",
                      NUMERIC.has(key) && "flex-row-reverse",
                    )}
                  >
                    {COLUMNS[key].text}
                    <span className="size-3">
                      {sort === key &&
                        (order === "asc" ? (
                          <ArrowUp className="size-3" />
                        ) : (
                          <ArrowDown className="size-3" />
                        ))}
                    </span>
                  </button>
                </th>
              ),
            )}
          </tr>
        </thead>
        <tbody className="relative block" style={{ height: rows.getTotalSize() }}>
          {rows.getVirtualItems().map((item) => {
            const session = sessions[item.index];
            if (!session) return null;
            const key = keyOf(session.bng_id, session.session_id);
            return (
              <Row
                key={item.key}
                index={item.index}
                top={item.start}
                session={session}
                trail={live.trails.get(key)}
                open={search.open === key}
                onOpen={() => set({ open: key })}
                onStep={step}
              />
            );
          })}
        </tbody>
      </table>
      {loading && <Rows count={10} />}
      {!loading && sessions.length === 0 && (
        <Empty
          icon={filtered ? <Search /> : <Radio />}
          title={filtered ? "No session matches" : "No live sessions"}
        >
          {filtered
            ? "Try fewer words, or another status or BNG."
            : "As soon as a subscriber's device asks for an address, its session appears here."}
        </Empty>
      )}
    </div>
  );
}

interface RowProps {
  index: number;
  top: number;
  session: Session;
  trail: number[] | undefined;
  open: boolean;
  onOpen: () => void;
  onStep: (event: KeyboardEvent<HTMLElement>, index: number) => void;
}

const Row = memo(
  function Row({ index, top, session, trail, open, onOpen, onStep }: RowProps) {
    return (
      <tr
        data-index={index}
        data-session={session.session_id}
        tabIndex={0}
        aria-rowindex={index + 2}
        aria-selected={open}
        onClick={onOpen}
        onKeyDown={(event) => {
          if (event.key === "Enter" || event.key === " ") {
            event.preventDefault();
            onOpen();
          } else onStep(event, index);
        }}
        style={{ height: ROW, transform: `translateY(${top}px)` }}
        className={cx(
          GRID,
          "absolute inset-x-0 top-0 cursor-pointer border-b border-line/60 text-[13px] -outline-offset-2",
          open ? "bg-accent-wash" : "hover:bg-raised/60",
        )}
      >
        <td className="truncate font-medium">
          {session.customer_name ?? (
            <span className="font-normal text-faint">no service on this line</span>
          )}
        </td>
        <td>
          <Status value={session.status} />
        </td>
        <td className="num truncate text-soft" title={session.username ?? undefined}>
          <span className="text-faint">{session.bng_id} / </span>
          {session.remote_id} <span className="text-faint">port</span> {portOf(session.circuit_id)}
        </td>
        <td className="num truncate">{session.ip_address ?? "–"}</td>
        <td className="truncate text-soft">{session.profile ?? session.plan_name ?? "–"}</td>
        <td>
          <Sparkline values={trail ?? []} />
        </td>
        <RateCell
          value={session.out_rate}
          limit={session.download_rate}
          tint="var(--down)"
          name="down"
        />
        <RateCell value={session.in_rate} limit={session.upload_rate} tint="var(--up)" name="up" />
        <td className="num text-right text-soft">{since(session.started)}</td>
      </tr>
    );
  },
  (a, b) =>
    a.session === b.session &&
    a.trail === b.trail &&
    a.top === b.top &&
    a.index === b.index &&
    a.open === b.open,
);

/** A rate, and how much of what was sold it is. */
function RateCell({
  value,
  limit,
  tint,
  name,
}: {
  value: number | null | undefined;
  limit: number | null;
  tint: string;
  name: string;
}) {
  const part = value && limit ? Math.min(1, value / limit) : 0;
  const [number, unit] = value == null ? ["–", ""] : rateParts(value);
  return (
    <td data-rate={name} title={limit ? `of ${rate(limit)}` : undefined} className="num text-right">
      <span className={cx(value ? "text-ink" : "text-faint")}>{number}</span>
      <span className="inline-block w-13 pl-1.5 text-left text-[12px] text-faint">{unit}</span>
      <span className="mt-0.5 block h-[3px] overflow-hidden rounded-full bg-raised">
        <span
          className="block h-full rounded-full transition-[width] duration-500"
          style={{ width: `${part * 100}%`, background: tint }}
        />
      </span>
    </td>
  );
}
