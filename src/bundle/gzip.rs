//! Compressing payloads: one gzip member without a name, time or other extras, as the format asks for.
//!
//! A payload of a usual size is held until it is whole and then compressed by libdeflate, which looks for the cheapest
//! way to spell all of it: at the level below its highest, which takes more than twice the time to save another three
//! bytes of a thousand. A larger payload is compressed as it comes, by zlib. Both are deflate, and readers can't tell.
//! Rows are mostly UUIDs, whose digits have nothing in common: a match of three or four of them costs more bits than
//! the digits themselves, and zlib's default strategy takes it all the same. `Filtered` takes no match of five bytes or
//! less (`docs/performance.md` has what each is worth).

use std::io::{self, Write};

use libdeflater::{CompressionError, CompressionLvl, Compressor};
use zlib_rs::{Deflate, DeflateConfig, DeflateError, DeflateFlush, Method, Status, Strategy};

/// Compresses what is written into `inner`.
pub(super) struct GzipWriter<W> {
    inner: W,
    effort: Effort,
    held: Vec<u8>,
    /// Once there is more than is held.
    streamed: Option<Streamed>,
}

/// How hard a compressor tries.
#[derive(Debug, Clone, Copy)]
enum Effort {
    /// As long as it pays: for payloads.
    Most,
    /// As little as it can: for whoever wants to know about how well something compresses.
    Least,
}

/// The level below libdeflate's highest.
const MOST_THAT_PAYS: CompressionLvl = level(11);
/// The lowest that compresses; the library's "fastest" does not.
const LEAST: CompressionLvl = level(1);

const fn level(number: i32) -> CompressionLvl {
    match CompressionLvl::new(number) {
        Ok(level) => level,
        Err(_) => CompressionLvl::best(),
    }
}

impl Effort {
    fn of_libdeflate(self) -> CompressionLvl {
        match self {
            Self::Most => MOST_THAT_PAYS,
            Self::Least => LEAST,
        }
    }

    fn of_zlib(self) -> i32 {
        match self {
            Self::Most => 9,
            // The first level that makes codes of its own for what it finds.
            Self::Least => 2,
        }
    }
}

/// The most plain bytes that are held, to be compressed as a whole: ninety days of a large installation.
const MOST_HELD: usize = 4 << 20;

impl<W: Write> GzipWriter<W> {
    /// Compresses as payloads are.
    pub fn new(inner: W) -> Self {
        Self { inner, effort: Effort::Most, held: Vec::new(), streamed: None }
    }

    /// Compresses in less than a tenth of the time, and not as well.
    pub fn quick(inner: W) -> Self {
        Self { effort: Effort::Least, ..Self::new(inner) }
    }

    /// Compresses what is left, and gives back what was written to.
    pub fn finish(mut self) -> io::Result<W> {
        match self.streamed {
            Some(streamed) => streamed.finish(&mut self.inner)?,
            None => self.inner.write_all(&compressed_whole(&self.held, self.effort)?)?,
        }
        Ok(self.inner)
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, input: &[u8]) -> io::Result<usize> {
        if let Some(streamed) = &mut self.streamed {
            return streamed.write(input, &mut self.inner);
        }
        if self.held.len() + input.len() <= MOST_HELD {
            self.held.extend_from_slice(input);
            return Ok(input.len());
        }
        let mut streamed = Streamed::new(self.effort);
        let mut held = &std::mem::take(&mut self.held)[..];
        while !held.is_empty() {
            let taken = streamed.write(held, &mut self.inner)?;
            held = &held[taken..];
        }
        self.streamed.insert(streamed).write(input, &mut self.inner)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn compressed_whole(plain: &[u8], effort: Effort) -> io::Result<Vec<u8>> {
    let mut compressor = Compressor::new(effort.of_libdeflate());
    let mut compressed = vec![0; compressor.gzip_compress_bound(plain.len())];
    let length = compressor.gzip_compress(plain, &mut compressed);
    // The bound is what any input of this length fits into.
    let length = length.map_err(|CompressionError::InsufficientSpace| io::ErrorKind::InvalidInput)?;
    compressed.truncate(length);
    Ok(compressed)
}

/// Compresses piece by piece.
struct Streamed {
    deflate: Deflate,
    buffer: Vec<u8>,
}

/// A window of 32 KiB, the largest that deflate has, and zlib's way of asking for gzip's header and trailer.
const WINDOW_BITS: i32 = 15 + 16;
/// How much compressed output is held before it is written.
const BUFFER: usize = 64 * 1024;

impl Streamed {
    fn new(effort: Effort) -> Self {
        let config = DeflateConfig {
            level: effort.of_zlib(),
            method: Method::Deflated,
            window_bits: WINDOW_BITS,
            mem_level: 9,
            strategy: Strategy::Filtered,
        };
        Self { deflate: Deflate::new_with_config(config), buffer: vec![0; BUFFER] }
    }

    fn write(&mut self, input: &[u8], out: &mut impl Write) -> io::Result<usize> {
        loop {
            let (read, _) = self.step(input, DeflateFlush::NoFlush, out)?;
            // Nothing taken means that there was output to make room for, and there is room now.
            if read > 0 || input.is_empty() {
                return Ok(read);
            }
        }
    }

    /// Writes what is left and gzip's trailer.
    fn finish(mut self, out: &mut impl Write) -> io::Result<()> {
        while self.step(&[], DeflateFlush::Finish, out)?.1 != Status::StreamEnd {}
        Ok(())
    }

    /// Compresses once, and writes what came of it; how much of `input` was taken.
    fn step(&mut self, input: &[u8], flush: DeflateFlush, out: &mut impl Write) -> io::Result<(usize, Status)> {
        let (read, made) = (self.deflate.total_in(), self.deflate.total_out());
        let status = self.deflate.compress(input, &mut self.buffer, flush).map_err(broken)?;
        let made = usize::try_from(self.deflate.total_out() - made).unwrap_or(BUFFER);
        out.write_all(&self.buffer[..made])?;
        let read = usize::try_from(self.deflate.total_in() - read).unwrap_or(input.len());
        Ok((read, status))
    }
}

fn broken(error: DeflateError) -> io::Error {
    io::Error::other(error.as_str())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn compressed(plain: &[u8], step: usize) -> Vec<u8> {
        written(GzipWriter::new(Vec::new()), plain, step)
    }

    fn written(mut writer: GzipWriter<Vec<u8>>, plain: &[u8], step: usize) -> Vec<u8> {
        for piece in plain.chunks(step) {
            writer.write_all(piece).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn what_is_compressed_comes_back_and_the_header_is_bare() {
        let mut noise = 1_u64;
        let noise = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            noise.to_be_bytes()[0]
        });
        let noise: Vec<u8> = noise.take(300_000).collect();
        let (most, more) = (noise.repeat(14)[..MOST_HELD].to_vec(), noise.repeat(20));
        for plain in [&noise[..], &noise[..1], b"", &vec![b'a'; 1 << 20], &most, &more] {
            let packed = compressed(plain, 100_000);
            assert_eq!(compressed(plain, 7), packed, "how it is written does not matter");
            // Magic, deflate, no flags, no time.
            assert_eq!(packed[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
            for packed in [packed, written(GzipWriter::quick(Vec::new()), plain, 100_000)] {
                let mut back = Vec::new();
                flate2::bufread::GzDecoder::new(&packed[..]).read_to_end(&mut back).unwrap();
                assert!(back == plain);
            }
        }
    }

    #[test]
    fn a_failure_to_write_is_told() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut writer = GzipWriter::new(Full);
        let written = writer.write_all(b"something").and_then(|()| writer.finish().map(drop));
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
