//! Values as people type them: times, sizes, numbers.

#[cfg(feature = "agent")]
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
#[cfg(any(feature = "agent", feature = "ingest"))]
use std::time::Duration;

#[cfg(any(feature = "agent", feature = "ingest"))]
use jiff::{Span, SpanRelativeTo};

/// `90s`, `15m`, `1h30m`, `14d`; a day has 24 hours.
#[cfg(any(feature = "agent", feature = "ingest"))]
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = |_| "write it like 90s, 15m, 1h30m or 14d".to_owned();
    let span: Span = text.parse().map_err(wrong)?;
    let parsed = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(wrong)?;
    let parsed = Duration::try_from(parsed).map_err(|_| "it can't be negative".to_owned())?;
    if parsed > Duration::from_hours(24 * 366) {
        return Err("that is more than a year".to_owned());
    }
    if parsed.is_zero() { Err("it can't be zero".to_owned()) } else { Ok(parsed) }
}

/// The addresses to listen on, of which the first that can be had is taken.
#[cfg(feature = "agent")]
#[derive(Debug, Clone)]
pub struct Addresses(pub Vec<SocketAddr>);

/// `127.0.0.1:8080`, `[::1]:8080`, or `:8080` for every address.
#[cfg(feature = "agent")]
pub fn addresses(text: &str) -> Result<Addresses, String> {
    let wrong = || "write it like 127.0.0.1:8080 or :8080".to_owned();
    match text.strip_prefix(':') {
        Some(port) => {
            let port: u16 = port.parse().map_err(|_| wrong())?;
            // Where there is no IPv6 the second will do.
            Ok(Addresses(vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()]))
        }
        None => Ok(Addresses(vec![text.parse().map_err(|_| wrong())?])),
    }
}

/// A size as people write it: bytes, or with a unit, of which `KiB`, `MiB` and `GiB` count in 1024s.
pub fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 9] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1_000),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
        ("", 1),
    ];
    let wrong = || "write it like 10MB, 10MiB or 10000000".to_owned();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(wrong)?.1;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let size = number.checked_mul(factor).ok_or_else(|| "that is too much".to_owned())?;
    if size == 0 { Err("it can't be zero".to_owned()) } else { Ok(size) }
}

/// A number of things of which there has to be one.
#[cfg(feature = "ingest")]
pub fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "a number from 1 is expected".to_owned())
}
