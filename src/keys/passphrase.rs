//! Passphrases of private keys.

use std::fmt;
use std::io::{self, Read};

use zeroize::Zeroizing;

/// Longer ones are mistakes: some other file was named.
const MOST_BYTES: usize = 1024;

/// A passphrase. It is wiped when dropped and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl fmt::Debug for Passphrase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Passphrase")
    }
}

/// A text that can't be a passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// It can't be read.
    #[error("the passphrase can't be read")]
    Read(#[from] io::Error),
    /// The first line is empty, or there is none.
    #[error("the passphrase is empty")]
    Empty,
    /// The first line is too long.
    #[error("the passphrase is longer than {MOST_BYTES} bytes")]
    TooLong,
}

impl Passphrase {
    /// Takes the first line of what there is to read, and reads no further, so that what follows stays for others.
    ///
    /// # Errors
    /// See [`PassphraseError`].
    pub fn read_line(mut input: impl Read) -> Result<Self, PassphraseError> {
        // Of its final size from the start: what is moved leaves a copy behind.
        let mut line = Zeroizing::new(Vec::with_capacity(MOST_BYTES + 2));
        let mut byte = Zeroizing::new([0]);
        loop {
            match input.read(byte.as_mut_slice()) {
                Ok(0) => break,
                Ok(_) if byte[0] == b'\n' => break,
                Ok(_) if line.len() > MOST_BYTES => return Err(PassphraseError::TooLong),
                Ok(_) => line.push(byte[0]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        match line.len() {
            0 => Err(PassphraseError::Empty),
            length if length > MOST_BYTES => Err(PassphraseError::TooLong),
            _ => Ok(Self(line)),
        }
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_a_first_line_that_is_neither_empty_nor_endless() {
        let read = |text: &[u8]| Passphrase::read_line(text).map(|it| it.bytes().to_vec());
        assert_eq!(read(b"two words\r\nmore").unwrap(), b"two words");
        assert_eq!(read(b" no end ").unwrap(), b" no end ");
        assert_eq!(read(&[b'x'; MOST_BYTES]).unwrap().len(), MOST_BYTES);
        assert!(matches!(read(b""), Err(PassphraseError::Empty)));
        assert!(matches!(read(b"\nsecond"), Err(PassphraseError::Empty)));
        assert!(matches!(read(&[b'x'; MOST_BYTES + 1]), Err(PassphraseError::TooLong)));
        assert!(matches!(Passphrase::read_line(io::repeat(b'x')), Err(PassphraseError::TooLong)));
    }

    #[test]
    fn what_follows_the_first_line_stays_to_be_read_and_nothing_of_it_is_shown() {
        let mut input: &[u8] = b"secret\nbundle";
        let passphrase = Passphrase::read_line(&mut input).unwrap();
        assert_eq!((input, format!("{passphrase:?}").as_str()), (&b"bundle"[..], "Passphrase"));
    }
}
