// Service colours: by the position of the name among the trace's sorted names, so that the same trace always looks
// the same and no two of its first twenty services share a colour (hashes collide).

export const SERVICE_COLOURS = 20;

export function colourIndexes(services: Iterable<string>): ReadonlyMap<string, number> {
  const sorted = [...new Set(services)].sort();
  return new Map(sorted.map((service, index) => [service, index % SERVICE_COLOURS]));
}

/** The CSS token of a service's colour. */
export const colourToken = (index: number): string => `--service-${index % SERVICE_COLOURS}`;
