//! Compressing payloads: one gzip member without a name, time or other extras, as the format asks for.
//!
//! Rows are mostly UUIDs, whose digits have nothing in common: a match of three or four of them costs more bits than
//! the digits themselves, and zlib's default strategy takes it all the same. `Filtered` takes no match of five bytes or
//! less, which makes payloads a tenth smaller (`docs/performance.md`).

use std::io::{self, Write};

use zlib_rs::{Deflate, DeflateConfig, DeflateError, DeflateFlush, Method, Status, Strategy};

/// Compresses what is written into `inner`.
pub(super) struct GzipWriter<W> {
    inner: W,
    deflate: Deflate,
    buffer: Vec<u8>,
}

/// A window of 32 KiB, the largest that deflate has, and zlib's way of asking for gzip's header and trailer.
const WINDOW_BITS: i32 = 15 + 16;
/// How much compressed output is held before it is written.
const BUFFER: usize = 64 * 1024;

impl<W: Write> GzipWriter<W> {
    pub fn new(inner: W) -> Self {
        let config = DeflateConfig {
            level: 9,
            method: Method::Deflated,
            window_bits: WINDOW_BITS,
            mem_level: 9,
            strategy: Strategy::Filtered,
        };
        Self { inner, deflate: Deflate::new_with_config(config), buffer: vec![0; BUFFER] }
    }

    /// Writes what is left and gzip's trailer, and gives back what was written to.
    pub fn finish(mut self) -> io::Result<W> {
        while self.step(&[], DeflateFlush::Finish)?.1 != Status::StreamEnd {}
        Ok(self.inner)
    }

    /// Compresses once, and writes what came of it; how much of `input` was taken.
    fn step(&mut self, input: &[u8], flush: DeflateFlush) -> io::Result<(usize, Status)> {
        let (read, made) = (self.deflate.total_in(), self.deflate.total_out());
        let status = self.deflate.compress(input, &mut self.buffer, flush).map_err(broken)?;
        let made = usize::try_from(self.deflate.total_out() - made).unwrap_or(BUFFER);
        self.inner.write_all(&self.buffer[..made])?;
        let read = usize::try_from(self.deflate.total_in() - read).unwrap_or(input.len());
        Ok((read, status))
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, input: &[u8]) -> io::Result<usize> {
        loop {
            let (read, _) = self.step(input, DeflateFlush::NoFlush)?;
            // Nothing taken means that there was output to make room for, and there is room now.
            if read > 0 || input.is_empty() {
                return Ok(read);
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
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
        let mut writer = GzipWriter::new(Vec::new());
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
        for plain in [&noise[..], &noise[..1], b"", &vec![b'a'; 1 << 20]] {
            let packed = compressed(plain, 100_000);
            assert_eq!(compressed(plain, 7), packed, "how it is written does not matter");
            // Magic, deflate, no flags, no time.
            assert_eq!(packed[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
            let mut back = Vec::new();
            flate2::bufread::GzDecoder::new(&packed[..]).read_to_end(&mut back).unwrap();
            assert!(back == plain);
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
