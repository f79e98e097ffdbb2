//! What goes wrong with which requests.

use std::time::Duration;

use super::http::{Framing, Request};

/// Something that goes wrong with matching requests, always unless `times` or `after` say otherwise.
#[derive(Debug, Clone)]
pub struct Fault {
    path: Option<String>,
    continued: Option<bool>,
    after: usize,
    times: usize,
    effect: Effect,
}

/// What goes wrong.
#[derive(Debug, Clone)]
pub enum Effect {
    /// kube-apiserver's own error of this code, perhaps with `Retry-After` in seconds.
    Error(u16, Option<u64>),
    /// Another body, with its status and type.
    Body(u16, &'static str, String),
    /// A redirect to another address.
    Redirect(String),
    /// A list whose `items` is this text.
    Items(String),
    /// The connection breaks off after so many bytes of the body.
    Cut(usize, Framing),
    /// Nothing comes any more after so many bytes of the body, and the connection stays.
    Hang(usize),
    /// Nothing comes at all, and the connection stays.
    Silence,
    /// The body comes in pieces of a length with a pause between them.
    Slow(usize, Duration),
    /// A list that never ends, so much of it after each pause.
    Endless(usize, Duration),
}

impl Effect {
    /// The page that a load balancer or a proxy on the way shows.
    pub fn html(status: u16) -> Self {
        let page = format!(
            "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{status}</h1></center>\r\n\
             <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
        );
        Self::Body(status, "text/html", page)
    }

    /// A list with an object that is nested so deep that a careless parser dies of it.
    pub fn deep(depth: usize) -> Self {
        Self::Items(format!(
            r#"[{{"metadata":{{"name":"deep"}},"spec":{}{}}}]"#,
            r#"{"a":"#.repeat(depth) + "1",
            "}".repeat(depth)
        ))
    }
}

impl Fault {
    /// A fault of requests for a path, whatever they ask.
    pub fn at(path: &str, effect: Effect) -> Self {
        Self { path: Some(path.to_owned()), ..Self::everywhere(effect) }
    }

    pub fn everywhere(effect: Effect) -> Self {
        Self { path: None, continued: None, after: 0, times: usize::MAX, effect }
    }

    /// Only requests for the second and later pages.
    pub fn continued(self) -> Self {
        Self { continued: Some(true), ..self }
    }

    /// Only after so many matching requests.
    pub fn after(self, count: usize) -> Self {
        Self { after: count, ..self }
    }

    /// Only so many times.
    pub fn times(self, count: usize) -> Self {
        Self { times: count, ..self }
    }

    /// What goes wrong with this request, if anything.
    pub fn strike(&mut self, request: &Request) -> Option<Effect> {
        let here = self.path.as_ref().is_none_or(|path| *path == request.path)
            && self.continued.is_none_or(|continued| continued == request.is_continued());
        if !here {
            return None;
        }
        if self.after > 0 {
            self.after -= 1;
            return None;
        }
        self.times = self.times.checked_sub(1)?;
        Some(self.effect.clone())
    }
}
