//! The only place that prints.

use std::fmt::Write as _;
use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::{Value, json};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use kubermatic_telemetry::clock::{Environment as _, System};
use kubermatic_telemetry::text::is_safe;

pub use kubermatic_telemetry::text::escaped;

use super::failure::Failure;

/// How long something may take before a progress bar appears.
const PATIENCE: Duration = Duration::from_secs(1);

/// What lines on stderr look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Where output goes and how much of it there is.
#[derive(Debug)]
pub struct Output {
    json: bool,
    quiet: bool,
    log: LogFormat,
}

impl Output {
    pub fn new(json: bool, quiet: bool, log: LogFormat) -> Self {
        Self { json, quiet, log }
    }

    pub fn is_json(&self) -> bool {
        self.json
    }

    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    #[expect(clippy::unused_self, reason = "what prints has an Output in hand")]
    /// Prints data. A reader that has gone away is none of this program's business.
    pub fn data(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.map_err(|error| Failure::from(error).context("can't write to stdout")),
        }
    }

    /// Prints a line of data, or several.
    pub fn line(&self, text: &str) -> Result<(), Failure> {
        self.data(printable(&format!("{text}\n")).as_bytes())
    }

    #[expect(clippy::unused_self, reason = "what prints has an Output in hand")]
    /// Prints a JSON document, indented, and escapes more in it than JSON asks for.
    pub fn document<T: Serialize>(&self, document: &T) -> Result<(), Failure> {
        let text = serde_json::to_string(document)?;
        let mut stdout = BufWriter::new(io::stdout().lock());
        match write_indented(&text, &mut stdout).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.map_err(|error| Failure::from(error).context("can't write to stdout")),
        }
    }

    /// Says something to the person.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.say("INFO", "", text, None);
        }
    }

    /// Warns of something.
    pub fn warning(&self, text: &str, hint: Option<&str>) {
        if !self.quiet {
            self.say("WARN", "warning: ", text, hint);
        }
    }

    /// Tells of a failure: error, blank line, hint.
    pub fn failure(&self, failure: &Failure) {
        let (message, hint) = (failure.message(), failure.find_hint());
        match self.log {
            LogFormat::Json => self.say("ERROR", "", &message, hint.as_deref()),
            LogFormat::Text => {
                tell(&format!("error: {message}"));
                if let Some(hint) = hint {
                    tell(&format!("\nhint: {hint}"));
                }
            }
        }
    }

    fn say(&self, level: &str, word: &str, text: &str, hint: Option<&str>) {
        match self.log {
            LogFormat::Json => tell_json(level, text, hint),
            LogFormat::Text => {
                tell(&format!("{word}{text}"));
                if let Some(hint) = hint {
                    tell(&format!("hint: {hint}"));
                }
            }
        }
    }

    /// A progress bar that appears if the work takes longer than a second, and only on a terminal.
    pub fn progress(&self, what: &'static str) -> Progress {
        let visible = !self.quiet && self.log == LogFormat::Text && io::stderr().is_terminal();
        Progress { what, started: visible.then(Instant::now), bar: None }
    }
}

/// Prints a line to stderr. Where that can't be written, a full disk say, what is being done matters more than words.
fn tell(text: &str) {
    let _ = io::stderr().write_all(printable(&format!("{text}\n")).as_bytes());
}

/// Prints a JSON object to stderr, shaped like the log's.
fn tell_json(level: &str, message: &str, hint: Option<&str>) {
    let mut line = json!({
        "timestamp": System.now().to_string(),
        "level": level,
        "message": message,
        "target": concat!(env!("CARGO_CRATE_NAME"), "::cli"),
    });
    if let Some(hint) = hint {
        line["hint"] = Value::from(hint);
    }
    let mut text = String::new();
    for c in line.to_string().chars() {
        if is_safe(c) {
            text.push(c);
        } else {
            text.push_str(&unicode_escape(c));
        }
    }
    let _ = io::stderr().write_all((text + "\n").as_bytes());
}

/// Tells of a command line that can't be understood, or prints what was asked for: help, or the version.
pub fn usage(error: &clap::Error, log: LogFormat) {
    if error.use_stderr() && log == LogFormat::Json {
        let text = error.to_string();
        let text = text.trim().strip_prefix("error: ").unwrap_or(text.trim());
        tell_json("ERROR", text, None);
    } else {
        // clap knows what goes to stdout and what to stderr.
        let _ = error.print();
    }
}

/// Lines with whatever would act on a terminal escaped: a net below those who compose them.
fn printable(lines: &str) -> String {
    lines
        .split_inclusive('\n')
        .map(|line| line.strip_suffix('\n').map_or(escaped(line), |line| escaped(line) + "\n"))
        .collect()
}

/// How deep a document is indented. What lies deeper stays on its line: spaces before each of many brackets would be far
/// more than the document.
const DEEPEST: usize = 8;

/// Writes compact JSON indented by two spaces, piece by piece: a document from outside can be large.
fn write_indented(json: &str, out: &mut impl io::Write) -> io::Result<()> {
    let (mut depth, mut in_string, mut is_escaped) = (0, false, false);
    let mut characters = json.chars().peekable();
    while let Some(c) = characters.next() {
        if in_string {
            (in_string, is_escaped) = (is_escaped || c != '"', !is_escaped && c == '\\');
            if is_safe(c) {
                write!(out, "{c}")?;
            } else {
                out.write_all(unicode_escape(c).as_bytes())?;
            }
            continue;
        }
        match c {
            '{' | '[' => {
                write!(out, "{c}")?;
                // An empty object or array stays on its line.
                if let Some(close) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    write!(out, "{close}")?;
                } else {
                    depth += 1;
                    if depth <= DEEPEST {
                        new_line(depth, out)?;
                    }
                }
            }
            '}' | ']' => {
                if depth <= DEEPEST {
                    new_line(depth - 1, out)?;
                }
                depth -= 1;
                write!(out, "{c}")?;
            }
            ',' => {
                write!(out, ",")?;
                if depth <= DEEPEST {
                    new_line(depth, out)?;
                }
            }
            ':' => write!(out, ": ")?,
            _ => {
                in_string = c == '"';
                write!(out, "{c}")?;
            }
        }
    }
    writeln!(out)
}

fn new_line(depth: usize, out: &mut impl io::Write) -> io::Result<()> {
    write!(out, "\n{:1$}", "", 2 * depth)
}

/// A progress bar in waiting.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    /// Nothing where no bar will ever be shown.
    started: Option<Instant>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Hears how far the work has come.
    pub fn update(&mut self, done: u64, total: u64) {
        if self.started.is_none_or(|started| started.elapsed() < PATIENCE) {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{msg} [{bar:40}] {percent}% {eta}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.with_message(self.what)
        });
        bar.set_length(total);
        bar.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Starts the log on stderr, or not at all.
pub fn start_log(verbosity: Option<u8>, format: LogFormat) {
    let level = match verbosity {
        None => LevelFilter::OFF,
        Some(0) => LevelFilter::WARN,
        Some(1) => LevelFilter::INFO,
        Some(2) => LevelFilter::DEBUG,
        Some(_) => LevelFilter::TRACE,
    };
    // Only this program's own words: libraries log hosts, paths and names.
    let own = Targets::new().with_target("kubermatic_telemetry", level);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false).log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    // Nothing else in this process starts one.
    let _ = tracing_subscriber::registry().with(lines).with(own).try_init();
}

/// A character as JSON escapes it.
fn unicode_escape(c: char) -> String {
    let mut text = String::new();
    for unit in c.encode_utf16(&mut [0; 2]) {
        // Writing to a string does not fail.
        let _ = write!(text, "\\u{unit:04x}");
    }
    text
}

/// A number of bytes for people.
pub fn bytes(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + " bytes"
}

/// A number of things: `1 record`, `2 records`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_look_as_serde_would_indent_them() {
        let document = serde_json::json!({
            "a": [], "b": {}, "c": [1, -2.5e30, true, null], "d": {"e": "[{,:\\\"}", "f": [[], [{}]]}, "": "",
        });
        let mut out = Vec::new();
        write_indented(&document.to_string(), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string_pretty(&document).unwrap() + "\n");
    }

    #[test]
    fn what_lies_deep_in_a_document_stays_on_its_line() {
        let document = "[".repeat(DEEPEST) + "[1,[2,{\"a\":3}]],4" + &"]".repeat(DEEPEST);
        let mut out = Vec::new();
        write_indented(&document, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 2 * DEEPEST + 2);
        let deepest = "  ".repeat(DEEPEST);
        assert!(text.contains(&format!("\n{deepest}[1,[2,{{\"a\": 3}}]],\n{deepest}4\n")), "{text}");
    }

    #[test]
    fn what_acts_on_a_terminal_is_escaped_in_lines_and_documents() {
        assert_eq!(printable("a\u{1b}[2J\nb\r\n\u{202e}"), "a\\u{1b}[2J\nb\\u{d}\n\\u{202e}");
        let mut out = Vec::new();
        write_indented(&serde_json::json!(["\u{9b}\u{e0041}"]).to_string(), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "[\n  \"\\u009b\\udb40\\udc41\"\n]\n");
    }
}
