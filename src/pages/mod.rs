//! Pages for people: self-contained HTML that a browser opens from a file, without a server and without a network.
//!
//! A page has one style and no script, fetches nothing, and forbids itself everything else by its policy. Whatever is put
//! into it is escaped by the templates (`maud`). It is written piece by piece, so that a page of many rows takes no more
//! memory than one of few. Files and printing are other people's business.

pub mod bundle;
pub mod chart;
#[cfg(feature = "ingest")]
pub mod fleet;
pub mod table;

use std::io::{self, Write};
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, Render, html};
use sha2::Digest as _;

use crate::text::escaped;

/// The one style that a page has.
const STYLE: &str = include_str!("style.css");

/// What a page may do: have its own style, which is named by its digest. Nothing is fetched, run, sent or framed.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = STANDARD.encode(sha2::Sha256::digest(STYLE.as_bytes()));
    format!("default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'")
});

/// How much of a long text is in memory a second time, in bytes.
const PIECE: usize = 16 * 1024;

/// The most bytes that a page may have. What somebody sends can be a few bytes for each row of a table, and no browser
/// shows as much as this.
pub const LARGEST: u64 = 512 << 20;

/// More than a page may have.
#[derive(Debug, thiserror::Error)]
#[error("the page would be larger than {LARGEST} bytes")]
pub struct TooLarge;

/// A page that is being written.
#[derive(Debug)]
pub struct Page<W> {
    out: W,
    /// How many bytes it may still get.
    room: u64,
}

impl<W: Write> Page<W> {
    /// Begins a page, up to where its main part begins.
    ///
    /// # Errors
    /// It can't be written.
    pub fn begin(out: W, title: &str) -> io::Result<Self> {
        let mut page = Self { out, room: LARGEST };
        page.put(html! {
            (DOCTYPE)
            (PreEscaped("<html lang=\"en\">"))
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(*POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) " · Kubermatic telemetry" }
                style { (PreEscaped(STYLE)) }
            }
            (PreEscaped("<body>"))
            header { "Kubermatic telemetry" }
            (PreEscaped("<main>"))
        })?;
        Ok(page)
    }

    /// Adds a piece.
    ///
    /// # Errors
    /// It can't be written, or there is no room for it ([`TooLarge`]).
    pub fn put(&mut self, piece: impl Render) -> io::Result<()> {
        let text = piece.render().into_string();
        let Some(room) = self.room.checked_sub(text.len() as u64) else { return Err(io::Error::other(TooLarge)) };
        self.room = room;
        self.out.write_all(text.as_bytes())
    }

    /// Adds a section: a heading of the second level, which links reach by `id`, and what `fill` writes below it.
    ///
    /// # Errors
    /// It can't be written, or `fill` fails.
    pub fn section<E: From<io::Error>>(
        &mut self,
        id: &'static str,
        heading: &str,
        fill: impl FnOnce(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.put(PreEscaped("<section>"))?;
        self.put(html! { h2 id=(id) { (heading) } })?;
        fill(self)?;
        Ok(self.put(PreEscaped("</section>"))?)
    }

    /// Adds what is seen once it is asked for, and always on paper.
    ///
    /// # Errors
    /// It can't be written, or `fill` fails.
    pub fn folded<E: From<io::Error>>(
        &mut self,
        summary: &str,
        fill: impl FnOnce(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.put(PreEscaped("<details>"))?;
        self.put(html! { summary { (summary) } })?;
        fill(self)?;
        Ok(self.put(PreEscaped("</details>"))?)
    }

    /// Adds text, however long, piece by piece: control and invisible characters are spelled out, as [`said`] does.
    ///
    /// # Errors
    /// It can't be written.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        let mut rest = text;
        while !rest.is_empty() {
            let piece = &rest[..rest.floor_char_boundary(PIECE)];
            rest = &rest[piece.len()..];
            self.put(escaped(piece))?;
        }
        Ok(())
    }

    /// Ends the page with a line about where it comes from, and gives back where it was written to.
    ///
    /// # Errors
    /// It can't be written.
    pub fn finish(mut self, origin: &str) -> io::Result<W> {
        self.put(PreEscaped("</main>"))?;
        self.put(html! { footer { (origin) } })?;
        self.put(PreEscaped("</body></html>\n"))?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Text that somebody else wrote: characters that can't be seen, or that turn the text around them, are spelled out, and
/// its direction ends where it does.
#[must_use]
pub fn said(text: &str) -> Markup {
    html! { bdi.said { (escaped(text)) } }
}

/// A number with commas between its thousands.
#[must_use]
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things: `1 record`, `2,000 records`.
#[must_use]
pub fn count(amount: u64, noun: &str) -> String {
    if amount == 1 { format!("1 {noun}") } else { format!("{} {noun}s", number(amount)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(fill: impl FnOnce(&mut Page<Vec<u8>>) -> io::Result<()>) -> String {
        let mut page = Page::begin(Vec::new(), "a <b>title</b>").unwrap();
        fill(&mut page).unwrap();
        String::from_utf8(page.finish("made here").unwrap()).unwrap()
    }

    #[test]
    fn the_policy_allows_the_style_that_is_there_and_nothing_else() {
        let page = page(|_| Ok(()));
        let (_, style) = page.split_once("<style>").unwrap();
        let (style, _) = style.split_once("</style>").unwrap();
        let digest = STANDARD.encode(sha2::Sha256::digest(style.as_bytes()));
        let policy =
            format!("content=\"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'\"");
        assert!(page.contains(&policy), "{page}");
        for absent in ["<script", "<link", "<img", "http://", "https://", "style=", "url(", "@import"] {
            assert!(!page.contains(absent), "{absent} in {page}");
        }
    }

    #[test]
    fn whatever_is_put_into_a_page_is_text() {
        let hostile = "</style></title><script>alert(1)</script>&lt;\"'\u{202e}\u{0}";
        let page = page(|page| {
            page.section("a", hostile, |page| page.folded(hostile, |page| page.put(said(hostile))))?;
            page.put(html! { p title=(hostile) { (hostile) } })
        });
        assert!(page.contains("<title>a &lt;b&gt;title&lt;/b&gt; · "), "{page}");
        assert!(!page.contains("<script"), "{page}");
        let spelled = "&lt;/style&gt;&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;lt;&quot;'\\u{202e}\\u{0}";
        assert!(page.contains(&format!("<bdi class=\"said\">{spelled}</bdi>")), "{page}");
    }

    #[test]
    fn long_text_is_all_there() {
        let long = "ä<世\u{7}".repeat(20_000);
        let page = page(|page| page.text(&long));
        assert!(page.contains(&"ä&lt;世\\u{7}".repeat(20_000)));
    }

    #[test]
    fn a_page_without_end_is_refused() {
        let mut page = Page::begin(Vec::new(), "t").unwrap();
        page.room = 10;
        page.put("0123456789").unwrap();
        let refused = page.put("x").unwrap_err();
        assert!(refused.get_ref().and_then(|it| it.downcast_ref::<TooLarge>()).is_some(), "{refused}");
        assert!(refused.to_string().contains("larger than 536870912 bytes"), "{refused}");
        assert!(page.out.ends_with(b"0123456789"));
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([1, 2000].map(|it| count(it, "record")), ["1 record", "2,000 records"]);
    }
}
