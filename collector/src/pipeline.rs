//! From a decoded request to the store, and from pending to decided.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sampling::Policy;
use storage::model::SpanBatch;
use storage::{Appended, Clock, FlushReport, Request, Store};

use crate::remote::{HeadRates, Ledger};
use crate::sampler::{ActivePolicy, AssemblyConfig, Compared, Counts, Deciding, Records, Revised, Shedding};
use crate::{Durable, Error, Limits, Sink};

/// How often due traces are looked for.
const TICK: Duration = Duration::from_millis(100);
/// How often what the sampler knows is written down.
const SAVE: Duration = Duration::from_secs(10);

/// What the sampler of an earlier process knew, and where this one's goes.
#[derive(Debug)]
pub struct Saved {
    pub state: Option<Vec<u8>>,
    pub file: Arc<dyn Durable>,
    /// What is shed while memory runs short.
    pub shedding: Shedding,
}

/// The sink of the receivers, on a store.
#[derive(Debug)]
pub struct Pipeline {
    store: Store,
    clock: Arc<dyn Clock>,
    config: AssemblyConfig,
    policy: Arc<ActivePolicy>,
    deciding: Arc<Mutex<Deciding>>,
    counts: Arc<Counts>,
    state: Arc<dyn Durable>,
    ledger: Arc<Mutex<Ledger>>,
    /// One round of decisions at a time, so that no trace is proposed twice.
    round: Arc<tokio::sync::Mutex<()>>,
    /// One dry run at a time: each has a copy of the sampler.
    previews: tokio::sync::Mutex<()>,
}

impl Pipeline {
    pub fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        config: AssemblyConfig,
        policy: ActivePolicy,
        heads: HeadRates,
        saved: Saved,
    ) -> crate::Result<Arc<Self>> {
        config.validate()?;
        let (policy, ledger) = (Arc::new(policy), Arc::clone(&heads.ledger));
        let deciding = Deciding::new(Arc::clone(&policy), heads, saved.shedding, saved.state.as_deref());
        let deciding = deciding.map_err(|error| Error::Config(error.to_string()))?;
        Ok(Arc::new(Self {
            store,
            clock,
            config,
            policy,
            counts: deciding.counts(),
            deciding: Arc::new(Mutex::new(deciding)),
            state: saved.file,
            ledger,
            round: Arc::default(),
            previews: tokio::sync::Mutex::default(),
        }))
    }

    /// Decides traces as they ripen, until the store closes.
    pub async fn run(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut saved = tokio::time::Instant::now();
        loop {
            ticks.tick().await;
            if saved.elapsed() >= SAVE {
                saved = tokio::time::Instant::now();
                self.save_state().await;
            }
            match self.decide(Deciding::due).await {
                Ok(()) => {}
                Err(storage::Error::Closed) => return,
                Err(error) => tracing::error!(error = %error, "traces could not be decided and are tried again"),
            }
        }
    }

    /// Writes down what the sampler knows, for the next process.
    pub async fn save_state(&self) {
        let (deciding, file) = (Arc::clone(&self.deciding), Arc::clone(&self.state));
        let save = move || {
            let Some(state) = lock(&deciding).state() else { return };
            if let Err(error) = file.replace(&state) {
                lock(&deciding).note_unsaved();
                tracing::warn!(error = %error, "what the sampler knows could not be written; a restart would not know it");
            }
        };
        // One that panicked has written nothing.
        let _ = tokio::task::spawn_blocking(save).await;
    }

    /// Decides everything pending and makes it segments. A budget lets it keep as much as the ticks that it anticipates.
    pub async fn flush(&self) -> storage::Result<FlushReport> {
        self.decide(Deciding::all).await?;
        self.store.flush().await
    }

    /// What was decided since the start.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<Revised> {
        self.policy.get()
    }

    /// What another policy would be, to be written down before it is put in force.
    pub fn revise_policy(&self, policy: Policy) -> Result<Arc<Revised>, sampling::Error> {
        self.policy.revise(policy)
    }

    /// Puts it in force, from the next tick on.
    pub fn set_policy(&self, revised: Arc<Revised>) {
        self.policy.set(revised);
    }

    /// What a policy would have done with the traces decided last, and what the one in force would. Decisions wait for the
    /// copy that is made, and not for what is done with it.
    pub async fn preview(&self, policy: Policy) -> Result<Compared, sampling::Error> {
        policy.validate()?;
        let _one_copy = self.previews.lock().await;
        let deciding = Arc::clone(&self.deciding);
        let preview = move || {
            let rehearsal = lock(&deciding).rehearsal();
            rehearsal.compare(policy)
        };
        tokio::task::spawn_blocking(preview).await.unwrap_or_else(|_| Ok(Compared::default()))
    }

    /// Whether some root may have been told to sample traces when spans of it began. Whose traces they belong to is not known yet.
    fn may_be_thinned(&self, batch: &SpanBatch) -> bool {
        let thinned = self.ledger.lock().unwrap_or_else(PoisonError::into_inner).thinned();
        thinned.is_some_and(|times| batch.heads().iter().any(|head| times.contains(&head.start)))
    }

    async fn decide(
        &self,
        choose: fn(&mut Deciding, &Store, &AssemblyConfig, &dyn Clock) -> Records,
    ) -> Result<(), storage::Error> {
        let (deciding, store, config) = (Arc::clone(&self.deciding), self.store.clone(), self.config.clone());
        let (clock, round) = (Arc::clone(&self.clock), Arc::clone(&self.round));
        // To the end, also where the caller leaves: what a tick has counted and not decided would be decided again, by other
        // probabilities that depend on the coins of the first time.
        let to_the_end = tokio::spawn(async move {
            let _one_round = round.lock().await;
            let open = store.clone();
            // Looking through the pending traces takes time that requests must not wait for.
            let chosen =
                tokio::task::spawn_blocking(move || choose(&mut lock(&deciding), &open, &config, &*clock)).await;
            let Ok(records) = chosen else {
                tracing::error!("a tick of the sampler panicked; its traces wait for the next one");
                return Ok(());
            };
            for record in records {
                store.decide(record).await?;
            }
            Ok(())
        });
        to_the_end.await.unwrap_or(Err(storage::Error::Closed))
    }
}

fn lock(deciding: &Mutex<Deciding>) -> MutexGuard<'_, Deciding> {
    // A tick that panicked has decided nothing; what it counted so far does no harm.
    deciding.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Sink for Pipeline {
    async fn append(&self, mut request: Request, mut batch: SpanBatch) -> Result<Appended, storage::Error> {
        if self.may_be_thinned(&batch) {
            batch.note_thinned();
            // A replay would ask a ledger that knows more, or has forgotten.
            request.judged_by = Limits::judging_thinned(&request.judged_by);
        }
        self.store.append(request, batch).await
    }
}
