import { useMutation, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { RefreshCw, Telescope, Unplug } from "lucide-react";
import { useMemo, useState } from "react";
import { api, ask, type PastSession, type Session } from "../api/client";
import { useEvents, useTraffic } from "../api/queries";
import { RateChart, type RatePoint } from "../components/charts";
import { useMayWrite } from "../components/session";
import { useToast } from "../components/toast";
import { Button, Dialog, Drawer, Facts, Failure, FormError, Rows, Status } from "../components/ui";
import { count, fullTime, portOf, rate, since, size, speed, timeOf } from "../lib/format";
import { useLive } from "../live/context";
import { eventDetail, eventKind } from "./event-text";

/** One session, live: who, what it carries, and what can be done to it. */
export function SessionDrawer({ name, onClose }: { name: string; onClose: () => void }) {
  const live = useLive();
  const [bngId = "", sessionId = ""] = name.split(" ");
  const path = { bng_id: bngId, session_id: sessionId };
  const current = live.sessions.get(name);
  // not, or no longer, among the live ones: perhaps the database knows it
  const stored = useQuery({
    queryKey: ["session", name],
    queryFn: () => ask(api.GET("/api/sessions/{bng_id}/{session_id}", { params: { path } })),
    enabled: !current && live.ready,
  });
  const session: Session | PastSession | undefined = current ?? stored.data;
  return (
    <Drawer
      open
      onClose={onClose}
      title={
        <span className="flex items-center gap-3">
          <span className="truncate">
            {session?.customer_name ?? session?.username ?? sessionId}
          </span>
          {current ? <Status value={current.status} /> : session && <Status value="ended" />}
        </span>
      }
    >
      {session ? (
        <Details session={session} live={Boolean(current)} />
      ) : stored.isError ? (
        <Failure error={stored.error} />
      ) : (
        <Rows />
      )}
    </Drawer>
  );
}

function Details({ session, live }: { session: Session | PastSession; live: boolean }) {
  const of = { bng_id: session.bng_id, session_id: session.session_id };
  const traffic = useTraffic("15m", of);
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
    <div className="space-y-5 py-4">
      {live && "in_rate" in session && (
        <div className="grid grid-cols-2 gap-3 px-5">
          <Figure
            name="Download"
            value={rate(session.out_rate)}
            limit={session.download_rate}
            tint="text-down"
          />
          <Figure
            name="Upload"
            value={rate(session.in_rate)}
            limit={session.upload_rate}
            tint="text-up"
          />
        </div>
      )}
      {live && <Actions session={session} />}
      <div className="px-3">
        <p className="px-2 pb-1 text-[12px] text-faint">Last 15 minutes</p>
        {traffic.isError ? (
          <Failure error={traffic.error} />
        ) : (
          <RateChart points={points} height={160} label="Traffic of the last 15 minutes" />
        )}
      </div>
      <div className="px-5">
        <Facts items={facts(session, live)} />
      </div>
      <RecentEvents sessionId={session.session_id} bngId={session.bng_id} />
    </div>
  );
}

function facts(session: Session | PastSession, live: boolean) {
  const customer = session.customer_id ? (
    <Link
      to="/customers"
      search={{ customer: session.customer_id }}
      className="text-accent hover:underline"
    >
      {session.customer_name}
    </Link>
  ) : (
    <span className="text-faint">no service on this line</span>
  );
  const end: [string, React.ReactNode][] =
    !live && "stopped" in session
      ? [
          ["Ended", fullTime(session.stopped)],
          ["Cause", [session.terminate_cause, session.reason].filter(Boolean).join(": ") || "–"],
        ]
      : [["Lease until", fullTime(session.lease_expiry)]];
  return [
    ["Customer", customer],
    [
      "Access line",
      `${session.bng_id} / ${session.remote_id} / port ${portOf(session.circuit_id)}`,
    ],
    ["Address", session.ip_address ?? "–"],
    ["MAC address", session.mac_address ?? "–"],
    ["Plan", session.profile ?? session.plan_name ?? "–"],
    [
      "Rates in force",
      session.download_rate && session.upload_rate
        ? `${speed(session.download_rate / 1000)} down, ${speed(session.upload_rate / 1000)} up`
        : "–",
    ],
    ["Started", `${fullTime(session.started)}${live ? ` (${since(session.started)})` : ""}`],
    ...end,
    ["Downloaded", `${size(session.out_octets)}, ${count(session.out_discards)} packets dropped`],
    ["Uploaded", `${size(session.in_octets)}, ${count(session.in_discards)} packets dropped`],
    ["Session id", <code key="id">{session.session_id}</code>],
  ] as [string, React.ReactNode][];
}

function Figure(props: { name: string; value: string; limit: number | null; tint: string }) {
  return (
    <div className="rounded-xl border border-line px-4 py-3">
      <p className="text-[12px] text-faint">{props.name}</p>
      <p className={`num text-xl font-semibold tracking-tight ${props.tint}`}>{props.value}</p>
      <p className="num text-[12px] text-faint">
        {props.limit ? `of ${speed(props.limit / 1000)}` : "no limit known"}
      </p>
    </div>
  );
}

function Actions({ session }: { session: Session | PastSession }) {
  const toast = useToast();
  const mayWrite = useMayWrite();
  const [confirming, setConfirming] = useState(false);
  const [fresh, setFresh] = useState<Record<string, unknown> | null>(null);
  const path = { bng_id: session.bng_id, session_id: session.session_id };
  const onError = (error: Error) => toast(error.message, "bad");
  const disconnect = useMutation({
    mutationFn: () =>
      ask(api.POST("/api/sessions/{bng_id}/{session_id}/disconnect", { params: { path } })),
    onSuccess: () => {
      setConfirming(false);
      toast("The session was disconnected.");
    },
  });
  const reauthenticate = useMutation({
    mutationFn: () =>
      ask(api.POST("/api/sessions/{bng_id}/{session_id}/reauthenticate", { params: { path } })),
    onSuccess: () => toast("The BNG asks RADIUS again."),
    onError,
  });
  const look = useMutation({
    mutationFn: () =>
      ask(api.GET("/api/sessions/{bng_id}/{session_id}/fresh", { params: { path } })),
    onSuccess: setFresh,
    onError,
  });
  return (
    <div className="flex flex-wrap gap-2 px-5">
      <Button busy={look.isPending} onClick={() => look.mutate()}>
        <Telescope className="size-3.5" /> Ask the BNG
      </Button>
      {mayWrite && (
        <>
          <Button busy={reauthenticate.isPending} onClick={() => reauthenticate.mutate()}>
            <RefreshCw className="size-3.5" /> Reauthenticate
          </Button>
          <Button variant="danger-outline" onClick={() => setConfirming(true)}>
            <Unplug className="size-3.5" /> Disconnect
          </Button>
        </>
      )}
      <Dialog
        open={confirming}
        onClose={() => setConfirming(false)}
        title="Disconnect this session?"
        description="Live flows are cut at once. The subscriber's device may ask for a new address and come back."
      >
        <FormError error={disconnect.error} />
        <div className="mt-4 flex justify-end gap-2">
          <Button onClick={() => setConfirming(false)}>Cancel</Button>
          <Button variant="danger" busy={disconnect.isPending} onClick={() => disconnect.mutate()}>
            Disconnect
          </Button>
        </div>
      </Dialog>
      <Dialog
        open={fresh !== null}
        onClose={() => setFresh(null)}
        title="As the BNG sees it now"
        description="Read over NETCONF, past the collector."
      >
        <Facts
          items={Object.entries(fresh ?? {}).map(([name, value]) => [
            name.replaceAll("_", "-"),
            String(value),
          ])}
        />
      </Dialog>
    </div>
  );
}

function RecentEvents({ bngId, sessionId }: { bngId: string; sessionId: string }) {
  const events = useEvents({ bng_id: bngId, session_id: sessionId });
  const rows = events.data?.pages[0]?.items ?? [];
  if (rows.length === 0) return null;
  return (
    <div className="px-5">
      <h3 className="mb-2 text-[13px] font-semibold">Events</h3>
      <ol className="space-y-2 border-l border-line pl-4">
        {rows.slice(0, 12).map((event) => (
          <li key={event.seq} className="relative text-[13px]">
            <span
              className="absolute top-1.5 -left-[19px] size-1.5 rounded-full bg-faint"
              aria-hidden
            />
            <span className="num mr-2 text-faint">{timeOf(event.time)}</span>
            {eventKind(event.type).text}
            <span className="text-soft">: {eventDetail(event)}</span>
          </li>
        ))}
      </ol>
    </div>
  );
}
