/** What pages read, and under which names it is cached. */
import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { api, ask, type Range } from "./client";

export const keys = {
  me: ["me"],
  stats: ["stats"],
  bngs: ["bngs"],
  routers: ["access-routers"],
  plans: ["plans"],
  services: ["services"],
  customers: ["customers"],
  events: ["events"],
  history: ["history"],
  deliveries: ["deliveries"],
  traffic: ["traffic"],
  ports: ["ports"],
} as const;

export const useStats = () =>
  useQuery({ queryKey: keys.stats, queryFn: () => ask(api.GET("/api/stats")) });

export const useBngs = () =>
  useQuery({ queryKey: keys.bngs, queryFn: () => ask(api.GET("/api/bngs")) });

export const useAccessRouters = () =>
  useQuery({ queryKey: keys.routers, queryFn: () => ask(api.GET("/api/access-routers")) });

export const usePlans = () =>
  useQuery({ queryKey: keys.plans, queryFn: () => ask(api.GET("/api/plans")) });

export function useTraffic(
  range: Range,
  of: { bng_id?: string; session_id?: string; customer_id?: number } = {},
) {
  return useQuery({
    queryKey: [...keys.traffic, range, of],
    queryFn: () => ask(api.GET("/api/traffic", { params: { query: { range, ...of } } })),
    refetchInterval: range === "15m" ? 10_000 : 30_000,
    placeholderData: keepPreviousData,
  });
}

export function usePorts(bngId: string, remoteId: string) {
  return useQuery({
    queryKey: [...keys.ports, bngId, remoteId],
    queryFn: () =>
      ask(
        api.GET("/api/access-routers/{bng_id}/{remote_id}/ports", {
          params: { path: { bng_id: bngId, remote_id: remoteId } },
        }),
      ),
    enabled: bngId !== "" && remoteId !== "",
  });
}

export function useServices(filter: {
  q?: string;
  status?: ("ACTIVE" | "SUSPENDED" | "TERMINATED")[];
  customer_id?: number;
}) {
  return useInfiniteQuery({
    queryKey: [...keys.services, filter],
    queryFn: ({ pageParam }) =>
      ask(api.GET("/api/services", { params: { query: { ...filter, cursor: pageParam } } })),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    placeholderData: keepPreviousData,
  });
}

export function useCustomers(filter: {
  q?: string;
  presence?: "online" | "offline" | "recent" | "new";
}) {
  return useInfiniteQuery({
    queryKey: [...keys.customers, filter],
    queryFn: ({ pageParam }) =>
      ask(api.GET("/api/customers", { params: { query: { ...filter, cursor: pageParam } } })),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    placeholderData: keepPreviousData,
  });
}

export type EventType =
  | "session-start"
  | "session-update"
  | "session-stop"
  | "policy-apply"
  | "session-rejected"
  | "session-moved"
  | "session-move-denied"
  | "router-update"
  | "system-start";

export function useEvents(filter: {
  q?: string;
  type?: EventType[];
  bng_id?: string;
  session_id?: string;
  customer_id?: number;
}) {
  return useInfiniteQuery({
    queryKey: [...keys.events, filter],
    queryFn: ({ pageParam }) =>
      ask(api.GET("/api/events", { params: { query: { ...filter, cursor: pageParam } } })),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    placeholderData: keepPreviousData,
  });
}

export function useHistory(filter: { q?: string; customer_id?: number }) {
  return useInfiniteQuery({
    queryKey: [...keys.history, filter],
    queryFn: ({ pageParam }) =>
      ask(
        api.GET("/api/sessions/history", { params: { query: { ...filter, cursor: pageParam } } }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    placeholderData: keepPreviousData,
  });
}

export function useDeliveries(state?: "pending" | "delivered") {
  return useInfiniteQuery({
    queryKey: [...keys.deliveries, state],
    queryFn: ({ pageParam }) =>
      ask(api.GET("/api/deliveries", { params: { query: { state, cursor: pageParam } } })),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    placeholderData: keepPreviousData,
  });
}
