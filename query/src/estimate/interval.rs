//! From sampled traces to an estimate with its 95 % interval (decision 0018).
//!
//! A trace that was kept with probability `1/w` and has `y` stands for `z = w*y`. The traces are kept independently of each
//! other, so `(1 - 1/w) * z^2`, summed, estimates the variance of their sum.

use super::student::{NORMAL, t_quantile};

/// With fewer effective traces no interval is worth showing.
pub(super) const FEWEST_TRACES: f64 = 10.0;

/// By how much sums of many terms may be off, relative to them.
const ROUNDING: f64 = 1e-9;

/// What is known of a trace in a group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Trace {
    /// How many traces it stands for; the largest of its rows'.
    pub(super) weight: f64,
    /// Its values, each times its row's weight.
    pub(super) sum: f64,
    /// Its rows, each times its weight.
    pub(super) count: f64,
    /// Which of the group's strata it is in, if weights were calibrated by strata.
    pub(super) stratum: Option<u32>,
}

/// Traces whose weights were scaled to a count that is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stratum {
    pub(super) id: i64,
    /// What the weights of all its sampled traces add up to, those outside of the group included.
    pub(super) count: f64,
    /// `(1 - 1/w) * w^2` over the same.
    pub(super) spread: f64,
}

impl Trace {
    /// The probability that it might not have been kept.
    fn missed(&self) -> f64 {
        (1.0 - self.weight.recip()).max(0.0)
    }
}

/// A value of a trace of the group, which `trace` numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Value {
    pub(super) trace: usize,
    pub(super) value: f64,
    pub(super) weight: f64,
}

/// The answer for a group.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Estimated {
    pub(super) estimate: Option<f64>,
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
    /// As many equally weighted traces would say as much.
    pub(super) effective: f64,
    /// Whether every row stood for itself alone.
    pub(super) exact: bool,
}

/// The traces of a group, and whether rows without a weight of their own were among theirs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample<'a> {
    traces: &'a [Trace],
    strata: &'a [Stratum],
    exact: bool,
    effective: f64,
}

impl<'a> Sample<'a> {
    pub(super) fn new(traces: &'a [Trace], strata: &'a [Stratum], left_out: bool) -> Self {
        let sum: f64 = traces.iter().map(|trace| trace.weight).sum();
        let squares: f64 = traces.iter().map(|trace| trace.weight * trace.weight).sum();
        Self {
            traces,
            strata,
            exact: !left_out && !traces.is_empty() && traces.iter().all(|trace| trace.weight == 1.0),
            effective: if squares > 0.0 { sum * sum / squares } else { 0.0 },
        }
    }

    /// The sum of the values, or of the rows where values are 1.
    pub(super) fn total(&self) -> Estimated {
        // A sum of nothing is minus zero in Rust.
        let total = self.traces.iter().map(|trace| trace.sum).sum::<f64>() + 0.0;
        let spread = self.spread(self.traces.iter().map(|trace| (trace, trace.sum)));
        if !spread.is_known() {
            return self.answer(total, |_| None);
        }
        self.answer(total, |_| {
            let (low, high) = spread.around(total, self.is_positive());
            // What was seen has happened.
            let seen: f64 = self.traces.iter().map(|trace| trace.sum / trace.weight.max(1.0)).sum();
            Some((Some(if self.is_positive() { low.max(seen).min(total) } else { low }), Some(high)))
        })
    }

    /// The mean of the values.
    pub(super) fn mean(&self) -> Estimated {
        let Some((mean, spread)) = self.ratio(|trace| trace.sum) else { return self.nothing() };
        self.answer(mean, |_| {
            let (low, high) = spread.around(mean, self.is_positive());
            Some((Some(low), Some(high)))
        })
    }

    /// The mean of values that are 0 or 1, whose interval stays between them (Wilson).
    pub(super) fn share(&self) -> Estimated {
        let Some((share, spread)) = self.ratio(|trace| trace.sum) else { return self.nothing() };
        self.answer(share, |effective| {
            let traces = if spread.variance > 0.0 { share * (1.0 - share) / spread.variance } else { effective };
            let z = spread.quantile();
            let square = z * z / traces;
            let centre = share + square / 2.0;
            let reach = (square * share * (1.0 - share) + square * square / 4.0).sqrt();
            let bound = |bound: f64| Some((bound / (1.0 + square)).clamp(0.0, 1.0));
            Some((bound(centre - reach), bound(centre + reach)))
        })
    }

    /// The value that a share `wanted` of all values does not exceed; its interval inverts their distribution (Woodruff).
    pub(super) fn quantile(&self, values: &mut [Value], wanted: f64) -> Estimated {
        values.sort_unstable_by(|one, other| one.value.total_cmp(&other.value));
        let total: f64 = values.iter().map(|value| value.weight).sum();
        let Some(quantile) = reached(values, wanted * total) else { return self.nothing() };
        self.answer(quantile, |_| {
            let mut below: Vec<f64> = vec![0.0; self.traces.len()];
            for value in values.iter().take_while(|value| value.value <= quantile) {
                below[value.trace] += value.weight;
            }
            let share = below.iter().sum::<f64>() / total;
            let residuals = self.traces.iter().zip(&below).map(|(trace, below)| (trace, below - share * trace.count));
            // Of the rare side of a high or low quantile the sample may hold nothing: one trace more, as heavy as the
            // heaviest, is what it may have missed there.
            let heaviest = self.traces.iter().map(|trace| trace.weight).fold(1.0, f64::max);
            let rare = wanted.max(1.0 - wanted);
            let variance = self.spread(residuals).variance + heaviest * (heaviest - 1.0) * rare * rare;
            let reach = NORMAL * variance.sqrt() / total;
            let low = (wanted - reach > 0.0).then(|| reached(values, (wanted - reach) * total)).flatten();
            let high = (wanted + reach < 1.0).then(|| reached(values, (wanted + reach) * total)).flatten();
            Some((low, high))
        })
    }

    /// A sum over the traces by their rows, and how the residuals around it spread.
    fn ratio(&self, part: impl Fn(&Trace) -> f64) -> Option<(f64, Spread)> {
        let count: f64 = self.traces.iter().map(|trace| trace.count).sum();
        let ratio = self.traces.iter().map(&part).sum::<f64>() / count;
        if !ratio.is_finite() {
            return None;
        }
        let residuals = self.traces.iter().map(|trace| (trace, (part(trace) - ratio * trace.count) / count));
        Some((ratio, self.spread(residuals)))
    }

    /// How a sum over the traces varies, each with its part in it. Within a stratum whose count is known, only what differs
    /// from the stratum's mean does; the mean is over all its traces, those without a part included.
    fn spread<'b>(&self, parts: impl Iterator<Item = (&'b Trace, f64)>) -> Spread {
        let (mut free, mut all, mut uncertainty) = (0.0, 0.0, 0.0);
        let mut strata = vec![Part::default(); self.strata.len()];
        for (trace, part) in parts {
            let variance = trace.missed() * part * part;
            all += variance;
            uncertainty += trace.missed() * variance * variance;
            match trace.stratum.and_then(|stratum| strata.get_mut(stratum as usize)) {
                Some(stratum) => {
                    stratum.sum += part;
                    stratum.squares += variance;
                    stratum.products += trace.missed() * part * trace.weight;
                }
                None => free += variance,
            }
        }
        let within = self.strata.iter().zip(&strata).map(|(stratum, part)| {
            let mean = if stratum.count > 0.0 { part.sum / stratum.count } else { 0.0 };
            let left = part.squares - 2.0 * mean * part.products + mean * mean * stratum.spread;
            // What is left of sums that cancel out is their rounding.
            if left > part.squares * ROUNDING { left } else { 0.0 }
        });
        let degrees = if uncertainty > 0.0 { 2.0 * all * all / uncertainty } else { 0.0 };
        Spread { variance: free + within.sum::<f64>(), degrees }
    }

    fn is_positive(&self) -> bool {
        self.traces.iter().all(|trace| trace.sum >= 0.0)
    }

    fn nothing(&self) -> Estimated {
        Estimated { effective: self.effective, exact: self.exact, ..Estimated::default() }
    }

    fn answer(&self, estimate: f64, interval: impl FnOnce(f64) -> Option<(Option<f64>, Option<f64>)>) -> Estimated {
        let (low, high) = if self.exact {
            (Some(estimate), Some(estimate))
        } else if self.effective < FEWEST_TRACES {
            (None, None)
        } else {
            let (low, high) = interval(self.effective).unwrap_or_default();
            // Values or weights beyond all measure bound nothing.
            (low.filter(|low| low.is_finite()), high.filter(|high| high.is_finite()))
        };
        Estimated { estimate: Some(estimate), low, high, effective: self.effective, exact: self.exact }
    }
}

/// The smallest value at which the weights of all up to it reach `weight`.
fn reached(values: &[Value], weight: f64) -> Option<f64> {
    // Sums of weights are off by their rounding.
    let weight = weight * (1.0 - 1e-12);
    let mut sum = 0.0;
    let found = values.iter().find(|value| {
        sum += value.weight;
        sum >= weight
    });
    found.or(values.last()).map(|value| value.value)
}

/// The estimated variance of a sum over traces, and of how many of them it is made.
#[derive(Debug, Clone, Copy)]
struct Spread {
    variance: f64,
    /// Degrees of freedom by Satterthwaite: a variance that few heavy traces make is itself uncertain.
    degrees: f64,
}

/// What the traces of a stratum add to a variance.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    sum: f64,
    squares: f64,
    /// Between the parts and the weights.
    products: f64,
}

impl Spread {
    fn is_known(&self) -> bool {
        self.degrees > 0.0
    }

    fn quantile(&self) -> f64 {
        if self.is_known() { t_quantile(self.degrees) } else { NORMAL }
    }

    /// Sums of weighted traces are skewed to the right: where nothing is negative, the interval is symmetric in logarithms.
    fn around(&self, estimate: f64, is_positive: bool) -> (f64, f64) {
        let reach = self.quantile() * self.variance.sqrt();
        if is_positive && estimate > 0.0 {
            let factor = (reach / estimate).exp();
            (estimate / factor, estimate * factor)
        } else {
            (estimate - reach, estimate + reach)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each (weight, spans) with a value of 1 a span.
    fn counted(traces: &[(f64, f64)]) -> Vec<Trace> {
        traces
            .iter()
            .map(|(weight, n)| Trace { weight: *weight, sum: weight * n, count: weight * n, stratum: None })
            .collect()
    }

    fn sampled(traces: &[Trace]) -> Sample<'_> {
        Sample::new(traces, &[], false)
    }

    #[track_caller]
    fn near(value: Option<f64>, expected: f64) {
        assert!(value.is_some_and(|value| (value / expected - 1.0).abs() < 1e-4), "{value:?} is not {expected}");
    }

    #[test]
    fn a_count_has_the_interval_that_a_hand_calculates() {
        // 25 traces of weight 4 with 2 spans: N = 200, V = 25 * 4 * 3 * 4 = 1200, 2 * 25 / .75 = 66.7 degrees of freedom,
        // t = 1.9962, exp(t * 34.641 / 200) = 1.41302.
        let traces = counted(&[(4.0, 2.0); 25]);
        let answer = sampled(&traces).total();
        near(answer.estimate, 200.0);
        near(answer.low, 141.541);
        near(answer.high, 282.604);
        assert_eq!((answer.effective, answer.exact), (25.0, false));
    }

    #[test]
    fn a_low_end_is_never_below_what_was_seen() {
        let mut traces = counted(&[(1.0, 1.0); 500]);
        traces.extend(counted(&[(2.0, 1.0); 2]));
        assert!(sampled(&traces).total().low.is_some_and(|low| low >= 502.0));
    }

    #[test]
    fn weights_of_one_are_exact_unless_rows_were_left_out() {
        let traces = counted(&[(1.0, 2.0); 30]);
        let exact = sampled(&traces).total();
        assert_eq!((exact.low, exact.estimate, exact.high, exact.exact), (Some(60.0), Some(60.0), Some(60.0), true));
        let tainted = Sample::new(&traces, &[], true).total();
        assert_eq!((tainted.low, tainted.estimate, tainted.high, tainted.exact), (None, Some(60.0), None, false));
    }

    #[test]
    fn few_effective_traces_have_no_interval() {
        // (9 * 10 + 90)^2 / (9 * 100 + 8100) = 3.6
        let mut traces = counted(&[(10.0, 1.0); 9]);
        traces.extend(counted(&[(90.0, 1.0)]));
        let answer = sampled(&traces).total();
        assert!((answer.effective - 3.6).abs() < 1e-9);
        assert_eq!((answer.low, answer.high), (None, None));
    }

    #[test]
    fn sums_of_either_sign_have_symmetric_intervals() {
        let traces: Vec<Trace> = (0..40)
            .map(|number| Trace { weight: 2.0, sum: 2.0 * f64::from(number % 2 * 4 - 1), count: 2.0, stratum: None })
            .collect();
        // N = 20 * 2 * (3 - 1) = 80; V = 20 * 2 * (9 + 1) = 400.
        let answer = sampled(&traces).total();
        let (low, high) = (answer.low.unwrap(), answer.high.unwrap());
        assert!((answer.estimate, low + high) == (Some(80.0), 160.0) && (high - 80.0) / 20.0 > 1.96, "{answer:?}");
    }

    #[test]
    fn what_is_infinite_bounds_nothing() {
        let mut traces = counted(&[(2.0, 1.0); 30]);
        traces[0].sum = 1e300;
        let answer = sampled(&traces).mean();
        assert!(answer.estimate.is_some_and(f64::is_finite) && answer.high.is_none(), "{answer:?}");
    }

    #[test]
    fn a_mean_spreads_by_its_residuals() {
        // Values 0 and 2, one span each: m = 1, residuals 1: V = 40 * 5 * 4, over 40 * 5: sd = 28.284 / 200 = .141421,
        // 2 * 40 / .8 = 100 degrees of freedom, t = 1.9840.
        let traces: Vec<Trace> = (0..40)
            .map(|number| Trace { weight: 5.0, sum: 5.0 * f64::from(number % 2 * 2), count: 5.0, stratum: None })
            .collect();
        let answer = sampled(&traces).mean();
        near(answer.estimate, 1.0);
        near(answer.high, (1.9840_f64 * 0.141_421).exp());
        near(answer.low, (-1.9840_f64 * 0.141_421).exp());
    }

    #[test]
    fn a_share_that_was_never_met_is_still_possible() {
        let traces: Vec<Trace> = (0..36).map(|_| Trace { weight: 3.0, sum: 0.0, count: 3.0, stratum: None }).collect();
        let answer = sampled(&traces).share();
        assert_eq!((answer.estimate, answer.low), (Some(0.0), Some(0.0)));
        // z^2 / (n + z^2)
        near(answer.high, 3.841_459 / 39.841_459);
    }

    #[test]
    fn a_quantile_inverts_the_distribution_and_leaves_open_what_it_cannot_bound() {
        let traces = counted(&[(10.0, 1.0); 100]);
        let values = |count: usize| -> Vec<Value> {
            (0..count).map(|trace| Value { trace, value: trace as f64 + 1.0, weight: 10.0 }).collect()
        };
        let median = sampled(&traces).quantile(&mut values(100), 0.5);
        // V = 100 * 90 * .25 + 90 * .25 = 2272.5; 1.96 * 47.67 / 1000 = .0934: 41st to 60th.
        assert_eq!((median.estimate, median.low, median.high), (Some(50.0), Some(41.0), Some(60.0)));
        let tail = sampled(&traces).quantile(&mut values(100), 0.99);
        assert_eq!((tail.estimate, tail.high), (Some(99.0), None));
        assert!(tail.low.is_some());
        for (wanted, value) in [(0.0, 1.0), (1.0, 100.0)] {
            assert_eq!(sampled(&traces).quantile(&mut values(100), wanted).estimate, Some(value));
        }
    }

    #[test]
    fn within_a_stratum_only_what_differs_from_its_mean_varies() {
        // 40 traces of weight 5 in a stratum of 200: all of them counted vary by nothing.
        let stratum = Stratum { id: 1, count: 200.0, spread: 40.0 * 5.0 * 4.0 };
        let inside = |traces: &[Trace]| -> Vec<Trace> {
            traces.iter().map(|trace| Trace { stratum: Some(0), ..*trace }).collect()
        };
        let all = inside(&counted(&[(5.0, 1.0); 40]));
        let answer = Sample::new(&all, &[stratum], false).total();
        near(answer.low, 200.0);
        near(answer.high, 200.0);
        // 10 of them: 10 parts of 5 against a mean of 1/4 each: 10 * 4/5 * 25 - 2 * 1/4 * 200 + 1/16 * 800 = 150;
        // 2 * 10 / .8 = 25 degrees of freedom, t = 2.0595.
        let some = inside(&counted(&[(5.0, 1.0); 10]));
        let answer = Sample::new(&some, &[stratum], false).total();
        near(answer.high, 50.0 * (2.0595 * 150_f64.sqrt() / 50.0).exp());
        // Without strata: 200.
        let free = counted(&[(5.0, 1.0); 10]);
        near(sampled(&free).total().high, 50.0 * (2.0595 * 200_f64.sqrt() / 50.0).exp());
    }
}
