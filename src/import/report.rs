//! Progress while it goes on, and the sum at the end.

use std::fmt::Display;
use std::time::Duration;

use demo::send::Accepted;
use indicatif::{BinaryBytes, ProgressBar, ProgressStyle};

use super::requests::Prepared;

pub(super) struct Report {
    bar: ProgressBar,
    requests: u64,
    failed: u64,
    /// `None` once a request came whose spans could not be counted.
    accepted_spans: Option<u64>,
    rejected_spans: u64,
    sent_bytes: u64,
}

impl Report {
    /// On a terminal the bar is drawn to standard error, elsewhere not at all.
    pub(super) fn new(total_bytes: u64) -> Self {
        let bar = ProgressBar::new(total_bytes);
        let template = "{bar:30} {percent:>3} %  {binary_bytes_per_sec}  {msg}  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, requests: 0, failed: 0, accepted_spans: Some(0), rejected_spans: 0, sent_bytes: 0 }
    }

    pub(super) fn accepted(&mut self, request: &Prepared, accepted: &Accepted) {
        self.requests += 1;
        self.sent_bytes += request.payload.len_bytes() as u64;
        self.rejected_spans += accepted.rejected_spans;
        let stored = request.spans.map(|spans| spans.saturating_sub(accepted.rejected_spans));
        self.accepted_spans = self.accepted_spans.zip(stored).map(|(sum, spans)| sum + spans);
        if accepted.rejected_spans > 0 {
            self.print(format!("{}: {} spans rejected: {}", request.name, accepted.rejected_spans, accepted.message));
        } else if !accepted.message.is_empty() {
            self.print(format!("{}: {}", request.name, accepted.message));
        }
        self.bar.inc(request.file_bytes);
        self.bar.set_message(format!("{} requests", self.requests));
    }

    pub(super) fn failed_request(&mut self, name: &str, error: &dyn Display) {
        self.requests += 1;
        self.failed += 1;
        self.print(format!("{name}: {error:#}"));
    }

    /// Above the bar, or just to standard error.
    fn print(&self, line: String) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
        println!("{}", self.summary(self.bar.elapsed()));
    }

    fn summary(&self, elapsed: Duration) -> String {
        let spans = self.accepted_spans.map_or_else(|| "uncounted".to_owned(), |spans| spans.to_string());
        format!(
            "requests {}, failed {}, spans accepted {spans}, spans rejected {}, {} in {:.1} s",
            self.requests,
            self.failed,
            self.rejected_spans,
            BinaryBytes(self.sent_bytes),
            elapsed.as_secs_f64(),
        )
    }

    pub(super) const fn requests(&self) -> u64 {
        self.requests
    }

    pub(super) const fn failed(&self) -> u64 {
        self.failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_is_not_known() {
        let mut report = Report::new(0);
        report.failed_request("a.pb", &"no");
        let summary = report.summary(Duration::from_millis(1_250));
        assert_eq!(summary, "requests 1, failed 1, spans accepted 0, spans rejected 0, 0 B in 1.2 s");
        report.accepted_spans = None;
        assert!(report.summary(Duration::ZERO).contains("spans accepted uncounted"));
    }
}
