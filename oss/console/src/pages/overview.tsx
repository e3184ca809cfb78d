import { Link } from "@tanstack/react-router";
import { ArrowDown, ArrowUp } from "lucide-react";
import { type ReactNode, useMemo, useState } from "react";
import type { Bng, Range, Session } from "../api/client";
import { useBngs, useEvents, useStats, useTraffic } from "../api/queries";
import { RateChart, type RatePoint, Sparkline } from "../components/charts";
import {
  Card,
  CardTitle,
  cx,
  Empty,
  Failure,
  PageTitle,
  Rows,
  Segments,
  Status,
} from "../components/ui";
import {
  count,
  duration,
  microseconds,
  plural,
  rate,
  rateParts,
  size,
  timeOf,
} from "../lib/format";
import { useLive } from "../live/context";
import { keyOf, type LiveStore } from "../live/store";
import { eventText } from "./event-text";

const RANGES = (["15m", "1h", "6h", "24h"] as const).map((range) => [range, range] as const);

export function Overview() {
  return (
    <div className="mx-auto max-w-[96rem] space-y-4 p-4 lg:p-6">
      <PageTitle title="Overview" />
      <Cards />
      <div className="grid grid-cols-1 gap-4 xl:grid-cols-3">
        <TrafficCard />
        <TopTalkers />
      </div>
      <BngCards />
      <LatestEvents />
    </div>
  );
}

const STATUS_TINT: Record<string, string> = {
  active: "bg-good",
  idle: "bg-faint/60",
  authorizing: "bg-warn",
  pending: "bg-warn",
  terminating: "bg-warn",
  rejected: "bg-bad",
};

function Cards() {
  const live = useLive();
  const stats = useStats();
  const byStatus = statuses(live);
  const online = (byStatus.active ?? 0) + (byStatus.idle ?? 0);
  const now = live.traffic.at(-1);
  const s = stats.data;
  return (
    <div className="grid grid-cols-2 gap-4 xl:grid-cols-4">
      <Figure
        title="Sessions online"
        value={count(online)}
        note={<StatusBar counts={byStatus} />}
        to="/sessions"
      />
      <Figure
        title="Download now"
        icon={<ArrowDown className="size-3.5 text-down" />}
        value={now ? rateParts(now.outRate)[0] : "–"}
        unit={now ? rateParts(now.outRate)[1] : ""}
        note={<Trend values={live.traffic.map((p) => p.outRate)} tint="var(--down)" />}
      />
      <Figure
        title="Upload now"
        icon={<ArrowUp className="size-3.5 text-up" />}
        value={now ? rateParts(now.inRate)[0] : "–"}
        unit={now ? rateParts(now.inRate)[1] : ""}
        note={<Trend values={live.traffic.map((p) => p.inRate)} tint="var(--up)" />}
      />
      <Figure
        title="Network"
        value={s ? `${s.bngs_connected}/${s.bngs}` : "–"}
        unit="BNGs connected"
        note={
          s && (
            <span className={cx(s.access_routers_up < s.access_routers && "text-warn")}>
              {s.access_routers_up} of {plural(s.access_routers, "access node")} up
              {s.rejections_last_hour > 0 && (
                <span className="text-soft">
                  {" "}
                  · {plural(s.rejections_last_hour, "rejection")} / h
                </span>
              )}
            </span>
          )
        }
        to="/access"
      />
    </div>
  );
}

function statuses(live: LiveStore): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status } of live.sessions.values()) {
    counts[status ?? "pending"] = (counts[status ?? "pending"] ?? 0) + 1;
  }
  return counts;
}

function Figure({
  title,
  icon,
  value,
  unit,
  note,
  to,
}: {
  title: string;
  icon?: ReactNode;
  value: string;
  unit?: string;
  note?: ReactNode;
  to?: string;
}) {
  const body = (
    <>
      <p className="flex items-center gap-1.5 text-[12.5px] text-soft">
        {icon}
        {title}
      </p>
      <p className="num mt-1.5 flex items-baseline gap-1.5">
        <span className="text-[26px] leading-8 font-semibold tracking-tight">{value}</span>
        <span className="text-[13px] text-faint">{unit}</span>
      </p>
      <div className="num mt-2.5 flex h-7 items-center text-[12px] text-faint">{note}</div>
    </>
  );
  const look = "block rounded-xl border border-line bg-panel p-4 shadow-card";
  return to ? (
    <Link to={to} className={cx(look, "transition-colors hover:border-faint/50")}>
      {body}
    </Link>
  ) : (
    <div className={look}>{body}</div>
  );
}

function Trend({ values, tint }: { values: number[]; tint: string }) {
  if (values.length < 2) return <span>The trend builds up while this page is open.</span>;
  return <Sparkline values={values} width={220} height={26} tint={tint} />;
}

function StatusBar({ counts }: { counts: Record<string, number> }) {
  const entries = Object.entries(counts).sort();
  const total = entries.reduce((sum, [, n]) => sum + n, 0);
  return (
    <div className="w-full space-y-1.5">
      <div className="flex h-1.5 gap-px overflow-hidden rounded-full bg-raised">
        {entries.map(([status, n]) => (
          <span
            key={status}
            className={STATUS_TINT[status]}
            style={{ width: `${(n / total) * 100}%` }}
          />
        ))}
      </div>
      <p className="flex gap-3">
        {entries.map(([status, n]) => (
          <span key={status} className="flex items-center gap-1">
            <span className={cx("size-1.5 rounded-full", STATUS_TINT[status])} aria-hidden />
            {count(n)} {status}
          </span>
        ))}
      </p>
    </div>
  );
}

function TrafficCard() {
  const [range, setRange] = useState<Range>("15m");
  const traffic = useTraffic(range);
  const points = useMemo<RatePoint[]>(
    () =>
      (traffic.data?.points ?? []).map((p) => ({
        time: Date.parse(p.time),
        inRate: p.in_rate,
        outRate: p.out_rate,
      })),
    [traffic.data],
  );
  return (
    <Card className="xl:col-span-2">
      <CardTitle
        aside={<Segments label="Range" value={range} options={RANGES} onChange={setRange} />}
      >
        Traffic
      </CardTitle>
      <div className="min-h-[282px] pt-1">
        {traffic.isError ? (
          <Failure error={traffic.error} retry={() => void traffic.refetch()} />
        ) : (
          <RateChart points={points} height={256} label={`Traffic of the last ${range}`} />
        )}
      </div>
    </Card>
  );
}

const TOP = 7;

function TopTalkers() {
  const live = useLive();
  const { version } = live;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the store's version stands for its content
  const top = useMemo(() => busiest(live.sessions.values()), [version]);
  const most = top[0] ? bothWays(top[0]) : 1;
  return (
    <Card>
      <CardTitle
        aside={
          <Link to="/sessions" className="text-[12.5px] text-accent hover:underline">
            All sessions
          </Link>
        }
      >
        Top talkers
      </CardTitle>
      {live.version === 0 ? (
        <Rows />
      ) : top.length === 0 ? (
        <Empty icon={<ArrowDown />} title="No traffic now" />
      ) : (
        <ol className="space-y-0.5 px-2 pb-3">
          {top.map((session) => (
            <li key={session.session_id}>
              <Link
                to="/sessions"
                search={{ open: keyOf(session.bng_id, session.session_id) }}
                className="relative flex h-9 items-center gap-3 overflow-hidden rounded-lg px-2 text-[13px] hover:bg-raised"
              >
                <span
                  className="absolute inset-y-1 left-0 rounded bg-down/10 transition-[width] duration-500"
                  style={{ width: `${(bothWays(session) / most) * 100}%` }}
                  aria-hidden
                />
                <span className="relative min-w-0 flex-1 truncate">
                  {session.customer_name ?? session.username}
                </span>
                <span className="num relative font-medium" title="Download and upload">
                  {rate(bothWays(session))}
                </span>
              </Link>
            </li>
          ))}
        </ol>
      )}
    </Card>
  );
}

function busiest(sessions: Iterable<Session>): Session[] {
  return [...sessions]
    .filter((session) => bothWays(session) > 0)
    .sort((a, b) => bothWays(b) - bothWays(a))
    .slice(0, TOP);
}

function bothWays(session: Session): number {
  return (session.in_rate ?? 0) + (session.out_rate ?? 0);
}

function BngCards() {
  const bngs = useBngs();
  if (bngs.isPending)
    return (
      <Card>
        <Rows count={3} />
      </Card>
    );
  if (bngs.isError) return <Failure error={bngs.error} retry={() => void bngs.refetch()} />;
  if (bngs.data.length === 0) {
    return (
      <Card>
        <Empty icon={<ArrowUp />} title="No BNG yet">
          A BNG appears when it is in the OSS's or the collector's configuration.
        </Empty>
      </Card>
    );
  }
  return (
    <div className="grid gap-4 lg:grid-cols-2">
      {bngs.data.map((bng) => (
        <BngCard key={bng.bng_id} bng={bng} />
      ))}
    </div>
  );
}

function BngCard({ bng }: { bng: Bng }) {
  const health = bng.health;
  const online = (bng.sessions?.active ?? 0) + (bng.sessions?.idle ?? 0);
  const memory =
    health?.memory_limit && health.memory_usage
      ? `${size(health.memory_usage)} of ${size(health.memory_limit)}`
      : size(health?.memory_usage);
  const figures: [string, string][] = [
    ["Sessions online", count(online)],
    ["CPU", health?.cpu_usage == null ? "–" : `${(health.cpu_usage / 100).toFixed(1)} %`],
    ["Memory", memory],
    ["Loop lag", microseconds(health?.loop_lag)],
    ["Uptime", health?.uptime == null ? "–" : duration(health.uptime)],
  ];
  return (
    <Card className="p-4">
      <header className="flex items-center gap-3">
        <h2 className="text-[14px] font-semibold">{bng.bng_id}</h2>
        <Status value={bng.state} title={bng.error ?? undefined} />
        <span className="ml-auto truncate text-[12px] text-faint">
          {bng.version ? `version ${bng.version}` : ""}
        </span>
      </header>
      {bng.error && <p className="mt-2 text-[12.5px] text-bad">{bng.error}</p>}
      <dl className="mt-4 grid grid-cols-3 gap-x-4 gap-y-3 sm:grid-cols-5">
        {figures.map(([name, value]) => (
          <div key={name}>
            <dt className="text-[12px] text-faint">{name}</dt>
            <dd className="num text-[14px] font-medium whitespace-nowrap">{value}</dd>
          </div>
        ))}
      </dl>
      <div className="mt-4 flex flex-wrap gap-x-4 gap-y-1 border-t border-line pt-3 text-[12.5px] text-soft">
        {(health?.radius_servers ?? []).map((server) => (
          <ServerDot
            key={server.name}
            text={`RADIUS ${server.name}`}
            up={server.up}
            latency={server.latency}
          />
        ))}
        {(health?.dhcp_servers ?? []).map((server) => (
          <ServerDot
            key={server.address}
            text={`DHCP ${server.address}`}
            up={server.up}
            latency={server.latency}
          />
        ))}
        {!health && <span className="text-faint">No health report in the last 10 minutes</span>}
      </div>
    </Card>
  );
}

function ServerDot(props: { text: string; up?: boolean | null; latency?: number | null }) {
  const state = props.up == null ? "not asked yet" : props.up ? "answers" : "does not answer";
  return (
    <span className="num flex items-center gap-1.5" title={state}>
      <span
        className={cx(
          "size-2 rounded-full",
          props.up == null ? "bg-faint/50" : props.up ? "bg-good" : "bg-bad",
        )}
        aria-hidden
      />
      {props.text}
      <span className="text-faint">
        {props.up === false ? "down" : microseconds(props.latency)}
      </span>
    </span>
  );
}

function LatestEvents() {
  const events = useEvents({});
  const rows = events.data?.pages[0]?.items.slice(0, 8) ?? [];
  return (
    <Card>
      <CardTitle
        aside={
          <Link to="/events" className="text-[12.5px] text-accent hover:underline">
            All events
          </Link>
        }
      >
        Latest events
      </CardTitle>
      {rows.length === 0 ? (
        <p className="px-4 pb-4 text-[13px] text-faint">
          Events appear here the moment they happen.
        </p>
      ) : (
        <ol className="px-4 pb-3">
          {rows.map((event) => (
            <li
              key={`${event.bng_id} ${event.seq}`}
              className="flex h-8 items-center gap-4 text-[13px]"
            >
              <span className="num w-16 text-faint">{timeOf(event.time)}</span>
              <span className="w-16 text-soft">{event.bng_id}</span>
              <span className="min-w-0 truncate">{eventText(event)}</span>
            </li>
          ))}
        </ol>
      )}
    </Card>
  );
}
