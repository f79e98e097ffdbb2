//! Values of records as they lie in canonical bytes, and how they are shown. No tree of values is built, so that a record
//! takes no more memory here than it does anyway.

use std::borrow::Cow;
use std::io::{self, Write};

use maud::{PreEscaped, html};

use crate::pages::{Page, said};
use crate::record::canonical::walk::{self, Elements, Members};
use crate::record::canonical::{KeyField, text_of};
use crate::record::outline::Rows;

/// How deep JSON is indented. What lies deeper stays on its line.
const DEEPEST: usize = 8;

/// Where the way to a field is longer than this, in bytes, what is there is shown as JSON: the way stands at each of many
/// fields.
const LONGEST_WAY: usize = 200;

/// A value: its canonical text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Value<'a>(pub &'a [u8]);

/// What a value is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Object,
    Array,
    Scalar,
}

impl<'a> Value<'a> {
    pub fn shape(self) -> Shape {
        match self.0.first() {
            Some(b'{') => Shape::Object,
            Some(b'[') => Shape::Array,
            _ => Shape::Scalar,
        }
    }

    /// The members of an object, in their order, with names as they are spelled.
    pub fn members(self) -> impl Iterator<Item = (&'a [u8], Value<'a>)> {
        let text = if self.shape() == Shape::Object { self.0 } else { b"{}" };
        Members::of_object(text, 0).map(move |member| (member.name, Value(&text[member.value])))
    }

    /// The member of a name that needs no escapes.
    pub fn member(self, name: &str) -> Option<Value<'a>> {
        self.members().find(|(spelled, _)| *spelled == name.as_bytes()).map(|(_, value)| value)
    }

    /// What a path of names with dots leads to.
    pub fn at(self, path: &str) -> Option<Value<'a>> {
        path.split('.').try_fold(self, Value::member)
    }

    /// The elements of an array.
    pub fn elements(self) -> impl Iterator<Item = Value<'a>> {
        let text = if self.shape() == Shape::Array { self.0 } else { b"[]" };
        Elements::new(text, 0).map(move |element| Value(&text[element]))
    }

    /// The text of a string.
    pub fn string(self) -> Option<Cow<'a, str>> {
        walk::string(self.0, 0..self.0.len()).map(text_of)
    }

    /// What an array is keyed by, if it is keyed.
    pub fn keyed_by(self) -> Option<KeyField> {
        (self.shape() == Shape::Array).then(|| Rows::of(self.0)).flatten().map(|rows| rows.field)
    }

    /// The rows of a keyed array: keys as they are spelled.
    pub fn rows(self, field: KeyField) -> impl Iterator<Item = (&'a [u8], Value<'a>)> {
        let text = self.0;
        let rows = walk::Rows::new(text, 0);
        rows.filter_map(move |row| row.key(field).map(|key| (key, Value(&text[row.start..row.end]))))
    }

    /// Whether it is a scalar, or a list of nothing else.
    pub fn is_plain(self) -> bool {
        match self.shape() {
            Shape::Scalar => true,
            Shape::Object => false,
            Shape::Array => self.elements().all(|element| element.shape() == Shape::Scalar),
        }
    }

    /// Its JSON text.
    fn json(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.0)
    }
}

/// A name as it is spelled, for people.
pub(super) fn name(spelled: &[u8]) -> Cow<'_, str> {
    text_of(spelled)
}

impl<W: Write> Page<W> {
    /// Shows a value in a table: scalars and lists of them as their text, an object as its fields, anything else as JSON.
    pub(super) fn value(&mut self, value: Value<'_>) -> io::Result<()> {
        match value.shape() {
            _ if value.is_plain() => self.plain(value),
            Shape::Object => self.fields("", value),
            _ => self.code(value),
        }
    }

    fn plain(&mut self, value: Value<'_>) -> io::Result<()> {
        if let Some(text) = value.string() {
            return if text.is_empty() { self.put(html! { code { "\"\"" } }) } else { self.put(said(&text)) };
        }
        if value.shape() == Shape::Scalar {
            return self.text(&value.json());
        }
        let mut is_empty = true;
        for element in value.elements() {
            if !is_empty {
                self.put(", ")?;
            }
            is_empty = false;
            self.plain(element)?;
        }
        if is_empty { self.put(html! { span.absent { "an empty list" } }) } else { Ok(()) }
    }

    /// Shows the fields of an object, each on a line, those of objects in it with the path to them.
    fn fields(&mut self, above: &str, object: Value<'_>) -> io::Result<()> {
        let mut is_empty = true;
        for (spelled, value) in object.members() {
            is_empty = false;
            let path = if above.is_empty() { name(spelled) } else { format!("{above}.{}", name(spelled)).into() };
            if value.shape() == Shape::Object && value != Value(b"{}") && path.len() <= LONGEST_WAY {
                self.fields(&path, value)?;
                continue;
            }
            self.put(PreEscaped("<span class=\"field\">"))?;
            self.put(html! { code { (said(&path)) } " " })?;
            if value.is_plain() {
                self.plain(value)?;
            } else {
                self.code(value)?;
            }
            self.put(PreEscaped("</span>"))?;
        }
        if is_empty { self.put(html! { code { "{}" } }) } else { Ok(()) }
    }

    fn code(&mut self, value: Value<'_>) -> io::Result<()> {
        self.put(PreEscaped("<code>"))?;
        self.text(&value.json())?;
        self.put(PreEscaped("</code>"))
    }

    /// Shows JSON, indented.
    pub(super) fn indented(&mut self, value: Value<'_>) -> io::Result<()> {
        self.put(PreEscaped("<pre tabindex=\"0\">"))?;
        self.indent(value, 0)?;
        self.put(PreEscaped("</pre>"))
    }

    fn indent(&mut self, value: Value<'_>, depth: usize) -> io::Result<()> {
        let (open, close) = match value.shape() {
            Shape::Object => ("{", "}"),
            Shape::Array => ("[", "]"),
            Shape::Scalar => return self.text(&value.json()),
        };
        if depth >= DEEPEST || value.0.len() <= 2 {
            return self.text(&value.json());
        }
        let line = |depth: usize| format!("\n{:1$}", "", 2 * depth);
        let mut before = open;
        for (spelled, member) in value.members() {
            self.put(format!("{before}{}\"", line(depth + 1)))?;
            self.text(&String::from_utf8_lossy(spelled))?;
            self.put("\": ")?;
            self.indent(member, depth + 1)?;
            before = ",";
        }
        for element in value.elements() {
            self.put(format!("{before}{}", line(depth + 1)))?;
            self.indent(element, depth + 1)?;
            before = ",";
        }
        self.put(format!("{}{close}", line(depth)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(json: &str) -> String {
        let mut page = Page::begin(Vec::new(), "t").unwrap();
        let start = page.out.len();
        page.value(Value(json.as_bytes())).unwrap();
        String::from_utf8(page.out.split_off(start)).unwrap()
    }

    #[test]
    fn values_are_shown_as_what_they_are() {
        for (json, expected) in [
            (r#""a<b\u0007""#, r#"<bdi class="said">a&lt;b\u{7}</bdi>"#),
            ("true", "true"),
            ("-1.5", "-1.5"),
            ("null", "null"),
            (r#""""#, "<code>&quot;&quot;</code>"),
            (r#"[1,"x"]"#, r#"1, <bdi class="said">x</bdi>"#),
            ("[]", r#"<span class="absent">an empty list</span>"#),
            ("{}", "<code>{}</code>"),
            ("[[1]]", "<code>[[1]]</code>"),
        ] {
            assert_eq!(shown(json), expected, "{json}");
        }
        let object = shown(r#"{"a":{"b":1,"c":{}},"d":[{"<":2}]}"#);
        for expected in
            [">a.b</bdi></code> 1</span>", ">a.c</bdi></code> <code>{}</code>", "<code>[{&quot;&lt;&quot;:2}]"]
        {
            assert!(object.contains(expected), "{expected} in {object}");
        }
    }

    #[test]
    fn json_is_indented_as_serde_would() {
        let value = serde_json::json!({"a": [], "b": {}, "c": [1, {"d": "x,]}"}], "e\"": null});
        let mut page = Page { out: Vec::new(), room: 1 << 20 };
        page.indented(Value(value.to_string().as_bytes())).unwrap();
        let text = String::from_utf8(page.out).unwrap().replace("&quot;", "\"");
        let expected = serde_json::to_string_pretty(&value).unwrap();
        assert_eq!(text, format!("<pre tabindex=\"0\">{expected}</pre>"));
    }
}
