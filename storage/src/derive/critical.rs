//! The critical path: which span a trace waited for, moment by moment, backwards from its root's end.
//!
//! At any moment the path is in the child that runs then and ends last, and there in its child that does; where none runs,
//! the time is the span's own. So each span has a window of the path, and its children take theirs out of it:
//!
//! ```text
//! parent     |------------------------------------|        own: p
//! child a        |------------------|                      ends last of those that run: takes all up to its start
//! child b    |------|                                      cut where a begins
//! child c                                  |-----------|   outlives the parent: cut at its end
//! child d                                          |--|    begins when the parent is over: nothing
//!            bbbbaaaaaaaaaaaaaaaaaaappppppppcccccccc
//! ```
//!
//! Children ahead of their parent, which clocks that disagree make, are cut as well. Windows are parts of each other and
//! overlap nowhere, so what is own adds up to the root's duration, and no span has more than the time that no child covers.

use crate::model::UnixNanos;

/// A stretch of time; empty unless it ends after it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub from: UnixNanos,
    pub to: UnixNanos,
}

impl Window {
    /// No part of the path.
    pub const NOWHERE: Self = Self { from: UnixNanos(0), to: UnixNanos(0) };

    fn nanos(self) -> i64 {
        self.to.since(self.from).max(0)
    }
}

/// A span's window while its children take their parts, which they do in the order of their ends, the last one first.
#[derive(Debug)]
pub(super) struct Share {
    from: UnixNanos,
    /// From here on everything is taken or the span's own.
    to: UnixNanos,
    own_nanos: i64,
}

impl Share {
    pub fn new(window: Window) -> Self {
        Self { from: window.from, to: window.to, own_nanos: window.nanos() }
    }

    /// What a child that runs for `child` takes.
    pub fn take(&mut self, child: Window) -> Window {
        let taken = Window { from: child.from.max(self.from), to: child.to.min(self.to) };
        if taken.from >= taken.to {
            return Window::NOWHERE;
        }
        self.own_nanos = self.own_nanos.saturating_sub(taken.nanos());
        self.to = taken.from;
        taken
    }

    /// What no child took.
    pub fn own_nanos(&self) -> i64 {
        self.own_nanos
    }
}
