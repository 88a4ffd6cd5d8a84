import { Link } from "@tanstack/react-router";
import { sqlUrl } from "./url";

/** "Open in SQL": the very query that ran. */
export const SqlLink = ({ sql, children = "Open in SQL" }: { sql: string; children?: string }) => (
  <Link to="/sql" search={sqlUrl.write({ q: sql, limit: 1000 })}>
    {children}
  </Link>
);
