//! Traces of real systems, played like the made stream: where the folder with them lies beside the workspace.
//!
//! - `read`: requests to traces; `play`: traces to a world.
//!
//! A trace keeps its spans, their parents, names, kinds, durations, errors and bytes. Its spans arrive with the export that
//! comes after their end, every 5 s for each instance of a service, at other moments with each seed: a recording does not say
//! when they were exported. Of a pause
//! without a trace ten seconds are left. Ids are new in every pass and for every seed, and so are the coins. The attribute that
//! no sampler looks at is made up.
//!
//! | stream | what it is |
//! |---|---|
//! | `boutique` | Online Boutique under load with faults, 43 min of 19,107 traces at their own pace |
//! | `tickets` | TrainTicket with faults, 7 h of 4,483 traces at their own pace: one in five seconds |
//! | `hotel` | hotelReservation, six loads of 1,000 traces one after the other, at their own pace: the recording stops in between |
//! | `opbeans` | a demo shop in Node.js, four minutes of 722 traces, three times: one to warm up |
//! | `together` | all of them at once, each in five minutes, three times: one to warm up |
//!
//! What is played once is judged after its first third. What is played again begins up to 5 s earlier or later than before.
//! In the first two and `hotel` no span has an error, and most names have neither kind nor attributes: failures are those of
//! `opbeans`.

mod play;
mod read;

use std::path::{Path, PathBuf};

pub use play::{Play, play};
pub use read::Recordings;

pub const PLAYS: [Play; 5] = [
    Play { name: "boutique", sets: &[BOUTIQUE], squeezed_seconds: None, passes: 1 },
    Play { name: "tickets", sets: &[TICKETS], squeezed_seconds: None, passes: 1 },
    Play { name: "hotel", sets: &[HOTEL], squeezed_seconds: None, passes: 1 },
    Play { name: "opbeans", sets: &[OPBEANS], squeezed_seconds: None, passes: 3 },
    Play { name: "together", sets: &[BOUTIQUE, TICKETS, HOTEL, OPBEANS], squeezed_seconds: Some(300), passes: 3 },
];

/// The small ones.
const QUICK: [&str; 2] = ["hotel", "opbeans"];

const BOUTIQUE: &str = "nezha-onlineboutique-2022-08-22";
const TICKETS: &str = "nezha-trainticket-2023-01-29";
const HOTEL: &str = "traceweaver-hotel";
const OPBEANS: &str = "elastic-opbeans-node";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/traces")
}

/// What the streams need, or `None` with a word about it. `quick` leaves out what takes long to read.
pub fn recordings(quick: bool) -> anyhow::Result<Option<Recordings>> {
    let folder = folder();
    if !folder.is_dir() {
        println!("recorded streams skipped: no ../shared/traces");
        return Ok(None);
    }
    let mut recordings = Recordings::default();
    for set in PLAYS.iter().filter(|play| !quick || QUICK.contains(&play.name)).flat_map(|play| play.sets) {
        recordings.read(set, &folder.join(set))?;
    }
    Ok(Some(recordings))
}
