//! Text from outside, made safe to show to a person: it can neither move a terminal's cursor nor hide what stands
//! beside it, and it is no longer than a line or two.

use std::fmt::Write as _;

/// Text with control and invisible characters escaped.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    text.chars().for_each(|c| push_escaped(&mut safe, c));
    safe
}

/// As [`escaped`], and at most `most` characters of it: what is longer ends with its length instead.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    let Some((cut, _)) = text.char_indices().nth(most) else { return escaped(text) };
    format!("{}... ({} bytes)", escaped(&text[..cut]), text.len())
}

/// Bytes that should be text, escaped and shortened; what is not UTF-8 shows as U+FFFD.
#[must_use]
pub fn shortened_bytes(bytes: &[u8], most: usize) -> String {
    shortened(&String::from_utf8_lossy(bytes), most)
}

/// Whether a character shows as itself and leaves the text around it alone.
#[must_use]
pub fn is_safe(c: char) -> bool {
    !c.is_control() && !is_invisible(c)
}

/// Characters that change how text around them looks, and could hide or turn what a person reads.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

fn push_escaped(safe: &mut String, c: char) {
    if is_safe(c) {
        safe.push(c);
    } else {
        // Writing to a string does not fail.
        let _ = write!(safe, "{}", c.escape_unicode());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_act_on_a_terminal_is_spelled_out() {
        assert_eq!(escaped("a\u{1b}[2Jb\u{202e}c\u{9b}d\u{7f}"), r"a\u{1b}[2Jb\u{202e}c\u{9b}d\u{7f}");
        assert_eq!(escaped("ä 世界 \u{1f600} \"'\\"), "ä 世界 \u{1f600} \"'\\");
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöü", 2), "äö... (6 bytes)");
        assert_eq!(shortened_bytes(b"\xff\x00x", 5), "\u{fffd}\\u{0}x");
    }
}
