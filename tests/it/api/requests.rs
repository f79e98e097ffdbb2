//! The log of a fake API server: every request, for tests to look at afterwards or to wait for.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::http::Request;

/// How long a test waits for what must come, before it fails.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Debug, Default)]
pub struct Log {
    requests: Mutex<Vec<Request>>,
    arrived: Condvar,
}

impl Log {
    pub fn record(&self, request: Request) {
        self.requests.lock().unwrap().push(request);
        self.arrived.notify_all();
    }

    pub fn all(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Waits until a request for a path has come.
    pub fn wait_for(&self, path: &str) {
        let missing = |requests: &mut Vec<Request>| !requests.iter().any(|request| request.path == path);
        let waited = self.arrived.wait_timeout_while(self.requests.lock().unwrap(), PATIENCE, missing);
        assert!(!waited.unwrap().1.timed_out(), "no request for {path} came");
    }
}

impl Request {
    pub fn asks(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// A request for a list, whichever page of it.
    pub fn lists(&self, path: &str) -> bool {
        self.path == path && self.method == "GET"
    }

    pub fn is_continued(&self) -> bool {
        self.query.contains_key("continue")
    }
}
