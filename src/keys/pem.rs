//! The blocks of a PEM text (RFC 7468), which may have comments between them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

/// What one `BEGIN` and its `END` enclose.
pub(super) struct Block<'t> {
    /// What the two name.
    pub label: &'t str,
    /// The bytes in between; nothing where they are not base64.
    pub der: Option<Zeroizing<Vec<u8>>>,
}

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

/// The blocks of a text, in order. One that does not end has no bytes, and ends the text.
pub(super) fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let Some((label, after)) = after.split_once(DASHES) else { break };
        let Some((body, after)) = after.split_once(&format!("-----END {label}-----")) else {
            blocks.push(Block { label, der: None });
            break;
        };
        blocks.push(Block { label, der: decode(body) });
        rest = after;
    }
    blocks
}

fn decode(body: &str) -> Option<Zeroizing<Vec<u8>>> {
    // Of the right size from the start: what is moved leaves a copy behind.
    let mut joined = Zeroizing::new(String::with_capacity(body.len()));
    joined.extend(body.split_ascii_whitespace());
    let mut der = Zeroizing::new(vec![0; joined.len() / 4 * 3 + 3]);
    let count = BASE64.decode_slice(joined.as_bytes(), &mut der).ok()?;
    der.truncate(count);
    Some(der)
}

/// A block's text, with lines of 64 digits.
pub(super) fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    let digits = Zeroizing::new(BASE64.encode(der));
    let mut text = Zeroizing::new(String::with_capacity(digits.len() + digits.len() / 64 + 2 * label.len() + 40));
    text.push_str(BEGIN);
    text.push_str(label);
    text.push_str("-----\n");
    let mut rest = digits.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_comes_back_among_comments_and_with_any_line_ends() {
        for length in [0, 1, 47, 48, 49, 200] {
            let der: Vec<u8> = (0..length).collect();
            let text = encode("A KEY", &der);
            assert!(text.lines().all(|line| line.len() <= 64));
            let both = format!("# one\n{}# two\r\n{}", text.as_str(), text.replace('\n', "\r\n"));
            let blocks = blocks(&both);
            assert_eq!(blocks.len(), 2);
            assert!(blocks.iter().all(|block| block.label == "A KEY" && **block.der.as_ref().unwrap() == der));
        }
    }

    #[test]
    fn what_does_not_end_or_is_no_base64_has_no_bytes() {
        for text in ["-----BEGIN X-----\nAAAA", "-----BEGIN X-----\n!\n-----END X-----", "-----BEGIN X-----END X-----"]
        {
            assert!(blocks(text).iter().all(|block| block.der.is_none()), "{text}");
        }
        assert!(blocks("-----BEGIN ").is_empty());
    }
}
