// What `estimate_count` and its siblings answer: a figure and the interval that holds the true one in 95 of 100 cases.

import { formatCount } from "../base/format";

export interface Estimate {
  estimate: number;
  /** NULL where the sample cannot bound it. */
  low: number | null;
  high: number | null;
  /** How many equally heavy traces would say as much. */
  nEff: number;
  exact: boolean;
}

/** Below it there is no interval. */
const LEAST_N_EFF = 10;

const SHAPE = /^struct<estimate \w+, low \w+, high \w+, n_eff \w+, exact boolean>$/;

export const isEstimateType = (type: string): boolean => SHAPE.test(type);

const numberOf = (value: unknown): number | null => {
  const read = typeof value === "string" && value !== "" ? Number(value) : value;
  return typeof read === "number" && Number.isFinite(read) ? read : null;
};

export function readEstimate(value: unknown): Estimate | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const { estimate, low, high, n_eff, exact } = value as Record<string, unknown>;
  const figure = numberOf(estimate);
  if (figure === null) return undefined;
  return {
    estimate: figure,
    low: numberOf(low),
    high: numberOf(high),
    nEff: numberOf(n_eff) ?? 0,
    exact: exact === true,
  };
}

const exponentOf = (value: number): number => (value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value))));

/** Rounded to a power of ten; grouped above one. */
function rounded(value: number, exponent: number): string {
  const power = Math.max(-12, Math.min(exponent, 300));
  if (power <= 0) {
    const text = value.toFixed(-power);
    const [whole = "0", rest] = text.split(".");
    const grouped = `${text.startsWith("-") ? "-" : ""}${formatCount(Math.abs(Number(whole)))}`;
    return rest === undefined ? grouped : `${grouped}.${rest}`;
  }
  const step = 10 ** power;
  return formatCount(Math.round(value / step) * step);
}

/** As many digits as a number of its size needs, for figures that are not estimates. */
const plain = (value: number): string =>
  Number.isInteger(value) ? formatCount(value) : rounded(value, exponentOf(value) - 5).replace(/\.?0+$/, "");

export interface EstimateText {
  /** The figure alone. */
  figure: string;
  /** What stands beside it; empty where it is exact. */
  interval: string;
}

/** Digits that the interval shows to be noise are left out. */
export function estimateText({ estimate, low, high, nEff, exact }: Estimate): EstimateText {
  if (exact) return { figure: plain(estimate), interval: "" };
  if (nEff === 0) return { figure: plain(estimate), interval: "none stored" };
  if (low === null && high === null)
    return {
      figure: estimate === 0 ? "≈ 0" : `≈ ${rounded(estimate, exponentOf(estimate) - 1)}`,
      interval: "too few traces",
    };
  const width = low !== null && high !== null ? high - low : 2 * Math.abs(estimate - (low ?? high ?? 0));
  if (width === 0) return { figure: plain(estimate), interval: `[${plain(low ?? estimate)}]` };
  const exponent = exponentOf(width) - 2;
  const end = (value: number | null): string => (value === null ? "?" : rounded(value, exponent));
  return { figure: rounded(estimate, exponent), interval: `[${end(low)} – ${end(high)}]` };
}

/** The same for who asks what it means. */
export function estimateWhy({ estimate, low, high, nEff, exact }: Estimate): string {
  if (exact) return `${plain(estimate)}: exact. Every trace counted here stands for itself alone.`;
  if (nEff === 0)
    return `${plain(estimate)}: nothing that is stored matches. Whether something that was dropped did is not known.`;
  const worth = `Resting on as much as ${plain(Number(nEff.toPrecision(3)))} equally heavy traces would say (n_eff)`;
  if (low === null && high === null)
    return `About ${plain(estimate)}. ${worth}: too few traces for an interval, which needs ${LEAST_N_EFF}.`;
  const open = (value: number | null): string =>
    value === null ? "an end that this sample cannot bound" : plain(value);
  return `About ${plain(estimate)}; in 95 of 100 cases the true figure is between ${open(low)} and ${open(high)}. ${worth}.`;
}
