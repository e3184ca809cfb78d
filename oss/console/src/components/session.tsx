/** Who is logged in; without anybody, the login page stands where the console would. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useCallback, useContext, useEffect } from "react";
import { ApiError, api, ask, type Me, onLoggedOut, setCsrfToken } from "../api/client";
import { keys } from "../api/queries";
import { Live } from "../live/context";
import { Login } from "../pages/login";
import { Failure } from "./ui";

const Context = createContext<Me | null>(null);

/** The user. Only inside of the console, where there is one. */
export function useMe(): Me {
  const me = useContext(Context);
  if (!me) throw new Error("useMe outside of <Session>");
  return me;
}

export function useMayWrite(): boolean {
  return useMe().role !== "viewer";
}

export function Session({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const me = useQuery({
    queryKey: keys.me,
    queryFn: async () => {
      try {
        return await ask(api.GET("/api/auth/me"));
      } catch (error) {
        if (error instanceof ApiError && error.status === 401) return null;
        throw error;
      }
    },
    staleTime: Number.POSITIVE_INFINITY,
  });
  setCsrfToken(me.data?.csrf_token ?? null);
  const askAgain = useCallback(
    () => void client.invalidateQueries({ queryKey: keys.me }),
    [client],
  );
  useEffect(() => onLoggedOut(askAgain), [askAgain]);

  if (me.isPending) return null;
  if (me.isError) return <Failure error={me.error} retry={askAgain} />;
  if (me.data === null) {
    return (
      <Login
        onDone={(user) => {
          client.clear();
          client.setQueryData(keys.me, user);
        }}
      />
    );
  }
  return (
    <Context.Provider value={me.data}>
      <Live onRefused={askAgain}>{children}</Live>
    </Context.Provider>
  );
}
