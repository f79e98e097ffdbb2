//! Reading one manifest file: YAML or JSON, compressed or not, one object or list after another.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use flate2::read::MultiGzDecoder;

use super::super::prune::{Document, Pruned};
use super::ManifestError;

/// Takes one object.
pub(super) type Take<'t> = &'t mut dyn FnMut(Pruned) -> Result<(), ManifestError>;

/// Reads every object of a file.
pub(super) fn read(path: &Path, limit: u64, take: Take<'_>) -> Result<(), ManifestError> {
    let failed = |source| ManifestError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    // Compressed or not, what does not fit as it lies on disk does not fit.
    if file.metadata().map_err(failed)?.len() > limit {
        return Err(ManifestError::TooLarge { path: path.to_owned(), limit });
    }
    // By what is in it: names get lost on the way.
    let mut file = BufReader::new(file);
    let compressed = file.fill_buf().map_err(failed)?.starts_with(b"\x1f\x8b");
    let plain: Box<dyn Read> = if compressed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let state = Rc::new(State::default());
    let limited = Limited { inner: plain, left: limit, state: Rc::clone(&state) };
    let mut reader = BufReader::with_capacity(64 * 1024, limited);
    let result = match first_character(&mut reader) {
        Ok(Some(b'{')) => read_json(path, reader, take),
        Ok(Some(_)) => read_yaml(path, &mut reader, take),
        Ok(None) => Err(ManifestError::EmptyFile { path: path.to_owned() }),
        Err(error) => Err(failed(error)),
    };
    // What the parser makes of a failing reader says less than the reader's own word.
    if state.exceeded.get() {
        return Err(ManifestError::TooLarge { path: path.to_owned(), limit });
    }
    match state.failed.take() {
        Some(source) => Err(failed(source)),
        None => result,
    }
}

/// The first character that means anything; a brace opens JSON.
fn first_character(reader: &mut BufReader<Limited<Box<dyn Read>>>) -> io::Result<Option<u8>> {
    loop {
        let buffer = reader.fill_buf()?;
        let blank = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        match buffer.get(blank) {
            Some(byte) => return Ok(Some(*byte)),
            None if buffer.is_empty() => return Ok(None),
            None => reader.consume(blank),
        }
    }
}

fn read_json(path: &Path, reader: impl Read, take: Take<'_>) -> Result<(), ManifestError> {
    for document in serde_json::Deserializer::from_reader(reader).into_iter::<Document>() {
        let document = document.map_err(|error| json_error(path, &error))?;
        document.objects.into_iter().try_for_each(&mut *take)?;
    }
    Ok(())
}

fn json_error(path: &Path, error: &serde_json::Error) -> ManifestError {
    let path = path.to_owned();
    // serde_json has no category for it.
    if error.to_string().starts_with("recursion limit exceeded") {
        return ManifestError::Expands { path };
    }
    ManifestError::Parse { path, line: error.line() as u64, column: error.column() as u64, format: "JSON" }
}

fn read_yaml(path: &Path, reader: &mut impl Read, take: Take<'_>) -> Result<(), ManifestError> {
    // The size of the file bounds the work; only what aliases add to it needs bounds of its own.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_reader_input_bytes: None,
            max_events: 1 << 28,
            max_nodes: 1 << 28,
            max_documents: 1 << 20,
            max_total_scalar_bytes: 1 << 30,
            max_depth: 100,
        },
        // kubectl writes no aliases, so that what a file has of them is suspicious.
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000 },
        strict_booleans: true,
        with_snippet: false,
    };
    for document in serde_saphyr::read_with_options::<_, Document>(reader, options) {
        let document = document.map_err(|error| yaml_error(path, &error))?;
        document.objects.into_iter().try_for_each(&mut *take)?;
    }
    Ok(())
}

fn yaml_error(path: &Path, error: &serde_saphyr::Error) -> ManifestError {
    use serde_saphyr::Error as E;
    let path = path.to_owned();
    let mut error = error.without_snippet();
    while let E::AliasError { error: inner, .. } = error {
        error = inner.without_snippet();
    }
    match error {
        E::Budget { .. }
        | E::AliasReplayCounterOverflow { .. }
        | E::AliasReplayLimitExceeded { .. }
        | E::AliasExpansionLimitExceeded { .. }
        | E::AliasReplayStackDepthExceeded { .. } => ManifestError::Expands { path },
        _ => {
            let place = error.location();
            let (line, column) = place.map_or((1, 1), |place| (place.line(), place.column()));
            ManifestError::Parse { path, line, column, format: "YAML" }
        }
    }
}

/// What happened below a parser.
#[derive(Default)]
struct State {
    exceeded: Cell<bool>,
    failed: Cell<Option<io::Error>>,
}

/// A reader that stops at a limit and remembers why it stopped.
struct Limited<R> {
    inner: R,
    left: u64,
    state: Rc<State>,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(count) if count as u64 > self.left => {
                self.state.exceeded.set(true);
                Err(io::Error::other("too large"))
            }
            Ok(count) => {
                self.left -= count as u64;
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let same = io::Error::new(error.kind(), "unreadable");
                self.state.failed.set(Some(error));
                Err(same)
            }
        }
    }
}
