// The few drawn signs, as inline SVG: the content security policy allows no data: images.

const PATHS = {
  search: "M7 12.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11ZM11 11l4 4",
  sql: "M5.5 4 2 8l3.5 4M10.5 4 14 8l-3.5 4",
  ingest: "M8 1.5v8M4.5 6 8 9.5 11.5 6M2 11v2.5h12V11",
  setup:
    "M8 10.2a2.2 2.2 0 1 0 0-4.4 2.2 2.2 0 0 0 0 4.4ZM8 1.5v2M8 12.500v2M1.500 8h2M12.500 8h2M3.400 3.400l1.400 1.400M11.200 11.200l1.400 1.400M12.600 3.400l-1.400 1.400M4.800 11.200l-1.400 1.400",
  chevron: "M6 4l4 4-4 4",
  down: "M4 6l4 4 4-4",
  close: "M4 4l8 8M12 4l-8 8",
  copy: "M5.500 5.500h8v8h-8zM3 10.500H2.500v-8h8V3",
  check: "M3 8.500l3.500 3.500L13 4.500",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  error: "M8 1.800 14.800 14H1.200ZM8 6.200v3.600M8 11.600v.6",
  clock: "M8 14.500a6.500 6.500 0 1 0 0-13 6.500 6.500 0 0 0 0 13ZM8 4.500V8l2.500 1.700",
  live: "M8 9.500a1.500 1.500 0 1 0 0-3 1.500 1.500 0 0 0 0 3ZM4.800 11.200a4.500 4.500 0 0 1 0-6.400M11.200 4.800a4.500 4.500 0 0 1 0 6.400M2.700 13.300a7.500 7.500 0 0 1 0-10.600M13.300 2.700a7.500 7.500 0 0 1 0 10.600",
  play: "M5 3l8 5-8 5z",
  stop: "M4 4h8v8H4z",
  download: "M8 2v8M4.500 6.500 8 10l3.500-3.500M3 13.500h10",
  link: "M6.500 9.500l3-3M7 4.500l1.500-1.500a3 3 0 0 1 4.500 4.500L11.500 9M9 11.500 7.500 13A3 3 0 0 1 3 8.500L4.500 7",
  up: "M4 10l4-4 4 4",
  sun: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM8 1v1.500M8 13.500V15M1 8h1.500M13.500 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
  moon: "M13.500 9.500A6 6 0 0 1 6.500 2.500a6 6 0 1 0 7 7Z",
  system: "M2 3h12v8H2zM5.500 14h5M8 11v3",
  scale:
    "M8 2v12M4.500 14h7M2.500 4.500 8 3.500l5.500 1M2.500 4.500 .8 9a1.900 1.900 0 0 0 3.400 0ZM13.500 4.500 11.800 9a1.900 1.900 0 0 0 3.400 0Z",
  help: "M6 6a2 2 0 1 1 2.800 1.800C8.200 8.100 8 8.500 8 9.300M8 11.600v.6",
  waterfall: "M2 3.500h9M4.500 8h7M8 12.500h6",
  table: "M2 3h12v10H2zM2 6.500h12M6.500 3v10",
  history: "M2.500 8a5.500 5.500 0 1 0 1.800-4.100M2.500 2.500v2.700h2.700M8 5v3l2 1.500",
  external: "M9 3h4v4M13 3 7.500 8.500M11 9v4H3V5h4",
  menu: "M2.500 4.500h11M2.500 8h11M2.500 11.500h11",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}

/** Roof and three spans. */
export function Mark({ size = 22 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="7" fill="#17324d" />
      <path
        d="M7 15 16 7.500 25 15"
        fill="none"
        stroke="#f2f6fa"
        strokeWidth="2.4"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
      <rect x="8" y="17" width="16" height="2.6" rx="1.3" fill="#5bb8f5" />
      <rect x="12" y="21" width="9" height="2.6" rx="1.3" fill="#f2b65a" />
      <rect x="15" y="25" width="4" height="2.6" rx="1.3" fill="#7ed0a6" />
    </svg>
  );
}
