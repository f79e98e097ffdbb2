//! For tests: file-system operations that fail, one or all from one on, as if the process had died.

use std::cell::RefCell;
use std::io;

/// What becomes of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process dies just before this operation, counted from 1: it and everything after it does not happen.
    Death(u64),
    /// This operation fails, and the process goes on.
    Failure(u64, io::ErrorKind),
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    count: u64,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// Runs something with a fault, and tells how many operations there were.
pub(crate) fn with<T>(fault: Option<Fault>, work: impl FnOnce() -> T) -> (T, u64) {
    STATE.with_borrow_mut(|state| *state = State { fault, count: 0 });
    let result = work();
    let count = STATE.with_borrow_mut(|state| std::mem::take(state).count);
    (result, count)
}

pub(crate) fn step(_: &'static str) -> io::Result<()> {
    STATE.with_borrow_mut(|state| {
        state.count += 1;
        match state.fault {
            Some(Fault::Death(at)) if state.count >= at => Err(io::Error::other("the process is dead")),
            Some(Fault::Failure(at, kind)) if state.count == at => Err(kind.into()),
            _ => Ok(()),
        }
    })
}

pub(crate) fn is_dead() -> bool {
    STATE.with_borrow(|state| matches!(state.fault, Some(Fault::Death(at)) if state.count >= at))
}
