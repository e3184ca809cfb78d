/** Which page is where, and what of its state is in the address. */
import { createRootRoute, createRoute, createRouter } from "@tanstack/react-router";
import { Shell } from "./components/shell";
import { AccessPage } from "./pages/access";
import { CustomersPage } from "./pages/customers";
import { DeliveriesPage } from "./pages/deliveries";
import { EventsPage } from "./pages/events";
import { Overview } from "./pages/overview";
import { PlansPage } from "./pages/plans";
import { ServicesPage } from "./pages/services";
import { SessionsPage } from "./pages/sessions";
import { sessionsSearch } from "./pages/sessions-view";

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined;

const root = createRootRoute({
  component: Shell,
  notFoundComponent: () => <p className="p-10 text-soft">There is nothing at this address.</p>,
});
const route = <Path extends string, Search extends object>(
  path: Path,
  component: () => React.ReactNode,
  validateSearch: (search: Record<string, unknown>) => Search,
) => createRoute({ getParentRoute: () => root, path, component, validateSearch });
const none = (): object => ({});

interface EventsSearch {
  q?: string;
  type?: string;
}
interface CustomersSearch {
  q?: string;
  presence?: string;
  /** The customer whose drawer is open. */
  customer?: number;
}
interface ServicesSearch {
  q?: string;
  status?: string;
}

const tree = root.addChildren([
  route("/", Overview, none),
  route("/sessions", SessionsPage, sessionsSearch),
  route(
    "/events",
    EventsPage,
    (search): EventsSearch => ({ q: text(search.q), type: text(search.type) }),
  ),
  route("/access", AccessPage, none),
  route(
    "/customers",
    CustomersPage,
    (search): CustomersSearch => ({
      q: text(search.q),
      presence: text(search.presence),
      customer: typeof search.customer === "number" ? search.customer : undefined,
    }),
  ),
  route(
    "/services",
    ServicesPage,
    (search): ServicesSearch => ({
      q: text(search.q),
      status: text(search.status),
    }),
  ),
  route("/plans", PlansPage, none),
  route("/deliveries", DeliveriesPage, none),
]);

export const router = createRouter({ routeTree: tree, defaultPreload: false });

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
