//! The page as a document: its assets in one piece, what it says, and the headers that fence it in.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;

use super::super::receipts::TAR;
use super::super::{Problem, Settings};
use crate::ingest::Accepted;
use crate::receipt::{Chain, RecordStatus};
use crate::text::is_invisible;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = concat!(include_str!("look.js"), include_str!("page.js"));
const TOKEN: &str = include_str!("token.html");

/// The largest receipt that is written into the page itself, in bytes: browsers save links of two megabytes at most.
const INLINE: usize = 1 << 20;

/// The page with style and script in it.
static PAGE: LazyLock<String> = LazyLock::new(|| {
    include_str!("page.html").replacen("<style></style>", &format!("<style>{STYLE}</style>"), 1).replacen(
        "<script></script>",
        &format!("<script>{SCRIPT}</script>"),
        1,
    )
});

/// What the page may do: run its own script and style, which are named by their digests, talk to this server, and be
/// shown in no other page. Its script can't make markup out of text (trusted types).
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = |text: &str| STANDARD.encode(sha2::Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data:; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'",
        digest(SCRIPT),
        digest(STYLE)
    )
});

/// The other headers of the page. Its own address is told to itself alone, where a form's origin is checked by it.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), display-capture=(), geolocation=(), microphone=(), midi=(), payment=(), usb=()",
    ),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// The page while it is filled in.
#[derive(Debug)]
pub(super) struct Document {
    html: String,
    /// Whether a link can't fetch a receipt, because it carries no token.
    closed: bool,
}

impl Document {
    /// The page as it is before an upload.
    pub fn new(settings: &Settings) -> Self {
        let limits = &settings.limits;
        let closed = settings.token.is_some();
        let html = PAGE.replacen("<!-- token -->", if closed { TOKEN } else { "" }, 1);
        let mut document = Self { html, closed };
        document.insert("data-part=\"form\"", &format!(" data-limit=\"{}\"", limits.bundle_bytes));
        document.insert("data-part=\"form\"", &format!(" data-manifest-limit=\"{}\"", limits.manifest_bytes));
        document.fill("limit", &size(limits.bundle_bytes));
        document
    }

    /// The page after a bundle was accepted.
    pub fn accepted(mut self, accepted: &Accepted) -> Response {
        let receipt = &accepted.document;
        let digest = receipt.manifest_sha256.to_string();
        let file = receipt.file_name();
        let again = accepted.again;
        self.title(if again { "This bundle had arrived before" } else { "The bundle has arrived" });
        self.show("accepted");
        for part in if again { ["again", "again-text"] } else { ["new", "new-text"] } {
            self.show(part);
        }
        let later = format!("v1/receipts/{digest}");
        if !self.closed {
            self.link("receipt", &later, &file);
            self.link("later", &later, &file);
            self.show("later");
        } else if accepted.receipt.len() <= INLINE {
            self.link("receipt", &format!("data:{TAR};base64,{}", STANDARD.encode(&accepted.receipt)), &file);
        } else {
            self.hide("receipt");
            self.show("receipt-by-hand");
        }
        let became = |status| receipt.records.iter().filter(|record| record.status == status).count();
        let rejected = became(RecordStatus::Rejected);
        self.fill("receipt-file", &file);
        self.fill("client", &receipt.client.to_string());
        self.fill("sequence", &receipt.sequence.to_string());
        self.fill("received", &receipt.received.as_str().replace('T', " ").replace('Z', " UTC"));
        self.fill("taken", &became(RecordStatus::Accepted).to_string());
        self.fill("known", &became(RecordStatus::Duplicate).to_string());
        self.fill("refused-records", &rejected.to_string());
        if rejected > 0 {
            self.show("rejected");
        }
        match receipt.chain {
            Chain::Ok => {}
            Chain::Gap => self.show("gap"),
            Chain::Fork => self.show("fork"),
        }
        self.answer(if again { StatusCode::OK } else { StatusCode::CREATED })
    }

    /// The page after a bundle was refused; `request` is the id that the log has for it.
    pub fn refused(mut self, problem: Problem, request: &str) -> Response {
        let later = problem.status.is_server_error()
            || matches!(problem.status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
        self.title(if later { "The server can’t take the bundle now" } else { "The bundle was not accepted" });
        for part in ["refused", if later { "delayed" } else { "denied" }, "kept-nothing", "reference", "request-part"] {
            self.show(part);
        }
        self.fill("detail", &problem.detail);
        self.fill("code", problem.code);
        self.fill("request", request);
        let hint = match problem.status {
            // The problem's own is for programs.
            StatusCode::UNAUTHORIZED => Some("copy the access token once more, or ask whoever runs the server for it"),
            _ => problem.hint.as_deref(),
        };
        if let Some(hint) = hint {
            self.show("advice");
            self.fill("hint", hint);
        }
        if let Some(wait) = problem.retry_after {
            self.show("retry");
            let seconds = wait.as_secs().max(1);
            let wait =
                if seconds < 100 { format!("{seconds} seconds") } else { format!("{} minutes", seconds.div_ceil(60)) };
            self.fill("wait", &wait);
        }
        let mut response = problem.into_response();
        *response.body_mut() = Body::from(std::mem::take(&mut self.html));
        fence(response)
    }

    /// The page as an answer.
    pub fn answer(self, status: StatusCode) -> Response {
        fence((status, self.html).into_response())
    }

    fn title(&mut self, text: &str) {
        self.html = self.html.replacen("<title>", &format!("<title>{text} · "), 1);
    }

    fn show(&mut self, part: &str) {
        self.replace(&format!("data-part=\"{part}\" hidden"), &format!("data-part=\"{part}\""));
    }

    fn hide(&mut self, part: &str) {
        self.insert(&format!("data-part=\"{part}\""), " hidden");
    }

    /// Puts text into a slot, never markup.
    fn fill(&mut self, slot: &str, text: &str) {
        self.insert(&format!("data-slot=\"{slot}\">"), &escaped(text));
    }

    /// Makes a link, which stands there as `#name`, lead to a file.
    fn link(&mut self, name: &str, address: &str, file: &str) {
        self.replace(&format!("href=\"#{name}\""), &format!("href=\"{}\"", escaped(address)));
        if name == "receipt" {
            self.replace(" download>", &format!(" download=\"{}\">", escaped(file)));
        }
    }

    fn insert(&mut self, behind: &str, what: &str) {
        self.replace(behind, &format!("{behind}{what}"));
    }

    fn replace(&mut self, what: &str, with: &str) {
        debug_assert!(self.html.contains(what), "the page lacks {what}");
        self.html = self.html.replacen(what, with, 1);
    }
}

/// Adds what fences the page in.
fn fence(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.extend(HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value))));
    if let Ok(policy) = HeaderValue::from_str(&POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Text for HTML, also within quotes; what could turn or hide what is around it is spelled out.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() || is_invisible(c) => {
                let _ = write!(safe, "{}", c.escape_unicode());
            }
            c => safe.push(c),
        }
    }
    safe
}

/// A size for people.
#[expect(clippy::cast_precision_loss, reason = "one digit behind the point is shown")]
fn size(bytes: u64) -> String {
    match bytes {
        0..100_000 => format!("{bytes} bytes"),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
