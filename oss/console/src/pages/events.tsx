import { getRouteApi } from "@tanstack/react-router";
import { History } from "lucide-react";
import { useCallback } from "react";
import type { JournalEvent } from "../api/client";
import { useEvents } from "../api/queries";
import { SearchBox } from "../components/search";
import { type Column, Table } from "../components/table";
import { Badge, Empty, PageTitle, Select } from "../components/ui";
import { fullTime, portOf, timeOf } from "../lib/format";
import { EVENT_TYPES, eventDetail, eventKind, type KnownType } from "./event-text";

const route = getRouteApi("/events");

const COLUMNS: Column<JournalEvent>[] = [
  {
    title: "Time",
    className: "num whitespace-nowrap text-soft w-36",
    render: (event) => <span title={fullTime(event.time)}>{timeOf(event.time)}</span>,
  },
  {
    title: "Event",
    className: "w-36",
    render: (event) => (
      <Badge tone={eventKind(event.type).tone}>{eventKind(event.type).text}</Badge>
    ),
  },
  {
    title: "Subscriber",
    render: (event) => event.customer_name ?? <span className="text-faint">–</span>,
  },
  {
    title: "Access line",
    className: "text-soft whitespace-nowrap",
    render: (event) =>
      event.remote_id
        ? `${event.bng_id} / ${event.remote_id} port ${portOf(event.circuit_id)}`
        : event.bng_id,
  },
  { title: "What happened", render: (event) => eventDetail(event) },
  { title: "Number", numeric: true, className: "text-faint", render: (event) => event.seq },
];

export function EventsPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const setQuery = useCallback(
    (q: string | undefined) =>
      void navigate({ search: (before) => ({ ...before, q }), replace: true }),
    [navigate],
  );
  const type = search.type && search.type in EVENT_TYPES ? (search.type as KnownType) : undefined;
  const events = useEvents({ q: search.q, type: type && [type] });
  const rows = events.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <div className="space-y-4 p-4 lg:p-6">
      <PageTitle title="Events">
        <SearchBox label="Search events" value={search.q} onChange={setQuery} />
        <Select
          aria-label="Type"
          className="w-40"
          value={type ?? ""}
          onChange={(event) =>
            void navigate({
              search: (before) => ({ ...before, type: event.target.value || undefined }),
              replace: true,
            })
          }
        >
          <option value="">All types</option>
          {Object.entries(EVENT_TYPES).map(([value, { text }]) => (
            <option key={value} value={value}>
              {text}
            </option>
          ))}
        </Select>
      </PageTitle>
      <Table
        query={events}
        columns={COLUMNS}
        rows={rows}
        rowKey={(event) => `${event.bng_id} ${event.seq}`}
        empty={
          <Empty icon={<History />} title={search.q || type ? "No event matches" : "No events yet"}>
            Every start, change and end of a session is kept here, in the order of the BNG's
            journal.
          </Empty>
        }
      />
    </div>
  );
}
