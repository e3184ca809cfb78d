/** The frame: navigation, who is logged in, whether the data is live. */
import { useQueryClient } from "@tanstack/react-query";
import { Link, Outlet } from "@tanstack/react-router";
import {
  Activity,
  Cable,
  Gauge,
  History,
  LogOut,
  type LucideIcon,
  Moon,
  Network,
  Package,
  Send,
  Sun,
  Users,
} from "lucide-react";
import { useState } from "react";
import { api } from "../api/client";
import { keys, useStats } from "../api/queries";
import { useLive } from "../live/context";
import { useMe } from "./session";
import { cx, IconButton } from "./ui";

const GROUPS: { title: string; items: { to: string; text: string; icon: LucideIcon }[] }[] = [
  {
    title: "Network",
    items: [
      { to: "/", text: "Overview", icon: Gauge },
      { to: "/sessions", text: "Live sessions", icon: Activity },
      { to: "/events", text: "Events", icon: History },
      { to: "/access", text: "Access nodes", icon: Network },
    ],
  },
  {
    title: "Subscribers",
    items: [
      { to: "/customers", text: "Customers", icon: Users },
      { to: "/services", text: "Services", icon: Cable },
      { to: "/plans", text: "Plans", icon: Package },
      { to: "/deliveries", text: "Deliveries", icon: Send },
    ],
  },
];

export function Shell() {
  const stats = useStats();
  return (
    <div className="flex h-full">
      <aside className="flex w-14 shrink-0 flex-col border-r border-line bg-panel lg:w-56">
        <div className="flex h-14 items-center gap-2.5 px-3.5 lg:px-4">
          <img src="/icon.svg" alt="" className="size-7" />
          <span className="hidden text-[15px] font-semibold tracking-tight lg:block">Aether</span>
        </div>
        <nav aria-label="Main" className="flex-1 space-y-5 overflow-y-auto px-2 py-3">
          {GROUPS.map((group) => (
            <div key={group.title}>
              <p className="mb-1 hidden px-2.5 text-[11px] font-medium text-faint lg:block">
                {group.title}
              </p>
              <ul className="space-y-0.5">
                {group.items.map(({ to, text, icon: Icon }) => (
                  <li key={to}>
                    <Link
                      to={to}
                      title={text}
                      activeOptions={{ exact: to === "/", includeSearch: false }}
                      activeProps={{ className: "bg-accent-wash text-accent font-medium" }}
                      inactiveProps={{ className: "text-soft hover:bg-raised hover:text-ink" }}
                      className="flex h-8.5 items-center gap-2.5 rounded-lg px-2.5 text-[13px] transition-colors"
                    >
                      <Icon className="size-4 shrink-0" strokeWidth={1.9} />
                      <span className="hidden lg:block">{text}</span>
                      {to === "/deliveries" && !!stats.data?.deliveries_pending && (
                        <span className="num ml-auto hidden rounded-full bg-warn/15 px-1.5 text-[11px] text-warn lg:block">
                          {stats.data.deliveries_pending}
                        </span>
                      )}
                    </Link>
                  </li>
                ))}
              </ul>
            </div>
          ))}
        </nav>
        <UserBox />
      </aside>
      <main className="min-w-0 flex-1 overflow-y-auto">
        <Outlet />
      </main>
    </div>
  );
}

const LIVE_TEXT = { live: "Live", connecting: "Connecting", lost: "Reconnecting" } as const;

function UserBox() {
  const me = useMe();
  const client = useQueryClient();
  const live = useLive();
  const [dark, setDark] = useState(document.documentElement.dataset.theme === "dark");
  const toggle = () => {
    const next = dark ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    localStorage.setItem("theme", next);
    setDark(!dark);
  };
  const logout = async () => {
    await api.POST("/api/auth/logout");
    await client.invalidateQueries({ queryKey: keys.me });
  };
  return (
    <div className="border-t border-line p-2">
      <p
        role="status"
        title={LIVE_TEXT[live.state]}
        className="flex h-7 items-center gap-2 px-2.5 text-[12px] text-faint"
      >
        <span
          className={cx(
            "size-2 shrink-0 rounded-full",
            live.state === "live" ? "bg-good" : "animate-pulse bg-warn",
          )}
        />
        <span className="hidden lg:block">{LIVE_TEXT[live.state]}</span>
      </p>
      <div className="flex flex-col items-center justify-between gap-1 lg:flex-row lg:pl-2.5">
        <span className="hidden min-w-0 truncate text-[13px] lg:block" title={me.role}>
          {me.username}
        </span>
        <span className="flex flex-col lg:flex-row">
          <IconButton label={dark ? "Light theme" : "Dark theme"} onClick={toggle}>
            {dark ? <Sun className="size-4" /> : <Moon className="size-4" />}
          </IconButton>
          <IconButton label="Log out" onClick={logout}>
            <LogOut className="size-4" />
          </IconButton>
        </span>
      </div>
    </div>
  );
}
