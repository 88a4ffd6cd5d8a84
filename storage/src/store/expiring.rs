//! Keeps the retention in force: segments that are too old or too many go whole, and then one by one those of which a rule takes
//! rows, between merges.

use std::sync::Arc;

use tokio::time::Instant;

use super::committing::with_causes;
use super::maintaining::{AVOIDED, Ask, Upkeep};
use super::{Shared, Store, lock};
use crate::catalog::Replacing;
use crate::config::RetentionSettings;
use crate::retention::{self, Due, Going, Preview, Settled, Tables};
use crate::schema::{ByTable, Table};
use crate::snapshot::Segment;
use crate::{Result, compact};

impl Store {
    /// Puts another retention in force, and waits until all that goes whole is gone. Rows that rules take out follow.
    pub async fn set_retention(&self, settings: RetentionSettings) -> Result<()> {
        settings.validate()?;
        *lock(&self.shared.retention) = settings;
        self.ask(|done| Ask::Expire { done }).await
    }

    /// What the retention in force would take out of tables now. Reads segments that rules have not looked at yet, and writes
    /// nothing.
    pub async fn expiring(&self) -> Result<(RetentionSettings, Preview)> {
        let shared = &self.shared;
        let _one_at_a_time = shared.previewing.lock().await;
        let settings = lock(&shared.retention).clone();
        let settled = lock(&shared.settled).under(&settings).clone();
        let preview = shared.preview(shared.tables(), &settings, settled).await?;
        Ok((settings, preview))
    }
}

impl Shared {
    pub(super) fn tables(&self) -> Tables {
        let memory = lock(&self.memory);
        Tables {
            live: ByTable::new(|table| memory.tables.table(table).segments.clone()),
            promoted: Arc::clone(&memory.tables.spans.promoted),
        }
    }

    /// `tables` may be those of a moment ago: merges and the vacuum go on.
    pub(super) async fn preview(
        &self,
        tables: Tables,
        settings: &RetentionSettings,
        settled: Settled,
    ) -> Result<Preview> {
        let is_live = |segment: &Segment| {
            let memory = lock(&self.memory);
            memory.tables.spans.segments.iter().any(|live| live.location == segment.location)
        };
        retention::preview(tables, &self.objects, settings, self.clock.now(), settled, is_live).await
    }

    fn plan_retention(&self, tables: &Tables, settings: &RetentionSettings) -> retention::Plan {
        let mut settled = lock(&self.settled);
        let settled = settled.under(settings);
        settled.retain(&tables.live.spans);
        retention::plan(&tables.live, self.clock.now(), settings, settled)
    }

    fn settle(&self, settings: &RetentionSettings, segment: &Segment, due: Due) {
        lock(&self.settled).under(settings).insert(segment.location.clone(), due);
    }

    pub(super) fn note_expiring(&self, error: &crate::Error, what: &'static str) {
        let why = with_causes(error);
        tracing::error!(error = why, "{what}");
        lock(&self.expired).last_error = Some(why);
    }
}

impl Upkeep {
    pub(super) async fn keep_retention(&self) {
        if let Err(error) = self.expire().await {
            self.shared.note_expiring(&error, "retention could not be kept; it is tried again");
        }
    }

    /// Takes out of the tables what is to be stored no longer as a whole.
    pub(super) async fn expire(&self) -> Result<()> {
        let settings = lock(&self.shared.retention).clone();
        let tables = self.shared.tables();
        let mut expiring = self.shared.plan_retention(&tables, &settings).whole.into_iter().peekable();
        while let Some(first) = expiring.next() {
            let mut of_table = vec![first];
            while let Some(next) = expiring.next_if(|next| next.table == of_table[0].table) {
                of_table.push(next);
            }
            let segments = of_table.iter().flat_map(|expiry| &expiry.segments);
            let removed = segments.map(|segment| segment.location.clone()).collect();
            self.replace(of_table[0].table, removed, Vec::new(), Replacing::Expired).await?;
            let mut status = lock(&self.shared.expired);
            for expiry in of_table {
                tracing::info!(
                    table = expiry.table.name(),
                    date = expiry.date,
                    segments = expiry.segments.len(),
                    rows = expiry.rows(),
                    bytes = expiry.bytes(),
                    limit = &*expiry.why.text(&settings),
                    "expired"
                );
                status.expired_segments += expiry.segments.len() as u64;
                status.expired_rows += expiry.rows();
                status.expired_bytes += expiry.bytes();
            }
        }
        Ok(())
    }

    /// Looks at the next segment of which rows may go by rules, and takes them out. Whether there was one.
    pub(super) async fn expire_rows_next(&mut self) -> Result<bool> {
        let settings = lock(&self.shared.retention).clone();
        if settings.rules.is_empty() {
            return Ok(false);
        }
        let tables = self.shared.tables();
        let mut due = self.shared.plan_retention(&tables, &settings).examine.into_iter();
        let Some((segment, due)) = due.find(|(segment, _)| !self.avoided.contains_key(&segment.location)) else {
            return Ok(false);
        };
        let expired = self.expire_rows(&segment, due, &tables, &settings).await;
        if expired.is_err() {
            self.avoided.insert(segment.location.clone(), Instant::now() + AVOIDED);
        }
        expired.map(|()| true)
    }

    async fn expire_rows(
        &self,
        segment: &Arc<Segment>,
        due: Due,
        tables: &Tables,
        settings: &RetentionSettings,
    ) -> Result<()> {
        let shared = &self.shared;
        let (promoted, digests) = (Arc::clone(&tables.promoted), &tables.live.traces);
        let found = retention::look(segment, due, Arc::clone(&promoted), digests, settings, &shared.objects).await?;
        let Some(going) = found else {
            shared.settle(settings, segment, due);
            return Ok(());
        };
        let mut left = Vec::new();
        if going.rows() < segment.row_count {
            let kept = going.kept.clone();
            left.push(compact::rewrite(Table::Spans, promoted, segment, kept, &shared.objects).await?);
        }
        if *lock(&shared.retention) != *settings {
            // What goes is gone for good, so the new settings look again. The file goes with the vacuum.
            return Ok(());
        }
        let stays = left.first().map(|new| Arc::new(new.segment.clone()));
        self.replace(Table::Spans, vec![segment.location.clone()], left, Replacing::Expired).await?;
        if let Some(stays) = &stays {
            shared.settle(settings, stays, due);
        }
        self.count_rows(segment, &going, stays.as_deref(), settings);
        Ok(())
    }

    fn count_rows(&self, segment: &Segment, going: &Going, stays: Option<&Segment>, settings: &RetentionSettings) {
        for (_, of) in retention::rows_expiring(segment, going, settings) {
            tracing::info!(
                table = of.table.name(),
                date = of.date,
                segment = %segment.location,
                rows = of.rows,
                bytes = of.bytes,
                limit = of.why,
                "expired"
            );
        }
        let mut status = lock(&self.shared.expired);
        status.expired_segments += u64::from(stays.is_none());
        status.expired_rows += going.rows();
        status.expired_bytes += segment.size_bytes.saturating_sub(stays.map_or(0, |stays| stays.size_bytes));
    }
}
