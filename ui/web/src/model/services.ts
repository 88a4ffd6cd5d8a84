// What each service has in one trace.

import { at, type SpanColumns } from "./columns";

export interface ServiceShare {
  service: string;
  spans: number;
  errors: number;
  /** Sum of the self times that are known. */
  selfNanos: number;
}

/** Sorted by name, as the colours are. */
export function serviceShares(columns: SpanColumns): ServiceShare[] {
  const shares = columns.service.words.map((service) => ({ service, spans: 0, errors: 0, selfNanos: 0 }));
  for (let row = 0; row < columns.count; row += 1) {
    const share = shares[at(columns.service.codes, row)];
    if (!share) continue;
    share.spans += 1;
    share.errors += at(columns.isError, row);
    const self = at(columns.self, row);
    if (!Number.isNaN(self)) share.selfNanos += self;
  }
  return shares
    .filter((share) => share.spans > 0)
    .sort((left, right) => (left.service < right.service ? -1 : left.service > right.service ? 1 : 0));
}
