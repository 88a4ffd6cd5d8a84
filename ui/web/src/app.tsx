// Routes and what all pages share.

import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import {
  createRootRoute,
  createRoute,
  createRouter,
  Link,
  Navigate,
  RouterProvider,
} from "@tanstack/react-router";
import { lazy } from "react";
import { ApiError } from "./api/client";
import { formatSearch, parseSearch, type Search } from "./base/search";
import { Shell } from "./shell/shell";
import { EmptyState } from "./widgets/states";

/** URLs hold flat text; each page's url.ts gives it meaning. */
const validateSearch = (raw: Record<string, unknown>): Search => {
  const search: Search = {};
  for (const [key, value] of Object.entries(raw)) if (typeof value === "string") search[key] = value;
  return search;
};

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound });
const home = createRoute({
  getParentRoute: () => root,
  path: "/",
  component: () => <Navigate to="/explore" search={{}} replace />,
});
const explore = createRoute({
  getParentRoute: () => root,
  path: "/explore",
  validateSearch,
  component: lazy(() => import("./pages/explore/index")),
});
const trace = createRoute({
  getParentRoute: () => root,
  path: "/trace/$id",
  validateSearch,
  component: lazy(() => import("./pages/trace/index")),
});
const sql = createRoute({
  getParentRoute: () => root,
  path: "/sql",
  validateSearch,
  component: lazy(() => import("./pages/sql/index")),
});
const ingest = createRoute({
  getParentRoute: () => root,
  path: "/ingest",
  validateSearch,
  component: lazy(() => import("./pages/ingest/index")),
});
const setup = createRoute({
  getParentRoute: () => root,
  path: "/setup",
  validateSearch,
  component: lazy(() => import("./pages/setup/index")),
});

const router = createRouter({
  routeTree: root.addChildren([home, explore, trace, sql, ingest, setup]),
  parseSearch,
  stringifySearch: formatSearch,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}

const client = new QueryClient({
  defaultOptions: {
    queries: {
      refetchOnWindowFocus: false,
      // What the server refused it will refuse again; only a server that is starting is worth a second try.
      retry: (count, error) => error instanceof ApiError && error.code === "unavailable" && count < 3,
      throwOnError: false,
    },
  },
});

function NotFound() {
  return (
    <main>
      <EmptyState
        title="There is no such page"
        actions={
          <Link to="/explore" search={{}}>
            Explore traces
          </Link>
        }
      />
    </main>
  );
}

export const App = () => (
  <QueryClientProvider client={client}>
    <RouterProvider router={router} />
  </QueryClientProvider>
);
