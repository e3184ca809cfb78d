/** One event stream for the whole page. */
import { useQueryClient } from "@tanstack/react-query";
import {
  createContext,
  type ReactNode,
  useContext,
  useEffect,
  useState,
  useSyncExternalStore,
} from "react";
import { keys } from "../api/queries";
import { follow, LiveStore } from "./store";

const Context = createContext<LiveStore | null>(null);

/** Hints come in bursts; the queries that they make stale are read at most this often. */
const HINT_PAUSE = 1000;

export function Live({ children, onRefused }: { children: ReactNode; onRefused: () => void }) {
  const client = useQueryClient();
  const [store] = useState(() => new LiveStore());
  useEffect(() => {
    const stale = new Set<readonly string[]>();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const mark = (...queries: (readonly string[])[]) => {
      for (const query of queries) stale.add(query);
      timer ??= setTimeout(() => {
        timer = undefined;
        for (const queryKey of stale) void client.invalidateQueries({ queryKey });
        stale.clear();
      }, HINT_PAUSE);
    };
    const stop = follow(store, {
      onRefused,
      onHint: (what) => {
        if (what === "health" || what === "bngs") mark(keys.bngs);
        else if (what === "deliveries") mark(keys.deliveries, keys.plans, keys.services);
        else if (what === "events") mark(keys.events, keys.stats, keys.history, keys.routers);
        else mark(keys.stats, keys.services, keys.customers);
      },
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [client, store, onRefused]);
  return <Context.Provider value={store}>{children}</Context.Provider>;
}

/** The live data; the component renders again with every change of it. */
export function useLive(): LiveStore {
  const store = useContext(Context);
  if (!store) throw new Error("useLive outside of <Live>");
  useSyncExternalStore(store.subscribe, store.getVersion);
  return store;
}
