//! Which keys get a column.

use std::collections::HashSet;

use super::counts::KeyCounts;
use crate::config::PromotionSettings;
use crate::schema::promoted::Promoted;

/// Of fewer spans, nothing is said about what is frequent.
const LEAST_SPANS: f64 = 1_000.0;

/// The keys that should have a column beside those of `promoted`, the most frequent first.
pub(super) fn choose(counts: &KeyCounts, promoted: &[Promoted], settings: &PromotionSettings) -> Vec<Promoted> {
    let room = settings.columns.saturating_sub(promoted.len());
    if room == 0 || counts.spans() < LEAST_SPANS {
        return Vec::new();
    }
    let least = counts.spans() * settings.share;
    let mut frequent: Vec<(&Promoted, f64)> = counts.keys().filter(|(_, count)| *count >= least).collect();
    frequent
        .sort_unstable_by(|(one, a), (other, b)| b.total_cmp(a).then_with(|| one.to_string().cmp(&other.to_string())));
    // Engines that ignore case would see two columns of one name.
    let folded = |promoted: &Promoted| promoted.to_string().to_ascii_lowercase();
    let mut names: HashSet<String> = promoted.iter().map(folded).collect();
    let chosen = frequent.into_iter().filter(|(key, _)| names.insert(folded(key)));
    chosen.take(room).map(|(key, _)| key.clone()).collect()
}
