//! A JSON value, written as `kubectl` writes JSON and YAML: keys sorted, four or two spaces of indentation.

use std::collections::BTreeMap;
use std::io::{self, Write};

/// A value of a Kubernetes object.
pub enum Value {
    /// True or false.
    Bool(bool),
    /// A number.
    Number(u64),
    /// A string.
    Text(String),
    /// A sequence.
    List(Vec<Value>),
    /// An object.
    Map(BTreeMap<String, Value>),
}

/// Makes an object of `key => value` pairs.
macro_rules! map {
    ($($key:expr => $value:expr),* $(,)?) => {
        $crate::value::Value::Map(std::collections::BTreeMap::from([
            $((String::from($key), $crate::value::Value::from($value))),*
        ]))
    };
}

/// Makes a sequence.
macro_rules! list {
    ($($value:expr),* $(,)?) => {
        $crate::value::Value::List(vec![$($crate::value::Value::from($value)),*])
    };
}

pub(crate) use {list, map};

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl FromIterator<Value> for Value {
    fn from_iter<T: IntoIterator<Item = Value>>(values: T) -> Self {
        Self::List(values.into_iter().collect())
    }
}

impl FromIterator<(String, Value)> for Value {
    fn from_iter<T: IntoIterator<Item = (String, Value)>>(values: T) -> Self {
        Self::Map(values.into_iter().collect())
    }
}

impl Value {
    /// Adds a field to an object; to anything else it does nothing.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        if let Self::Map(map) = self {
            map.insert(key.to_owned(), value.into());
        }
    }

    /// Writes JSON. The cursor is where the value begins, `depth` is how deep that is.
    pub fn write_json(&self, out: &mut dyn Write, depth: usize) -> io::Result<()> {
        match self {
            Self::Bool(value) => write!(out, "{value}"),
            Self::Number(value) => write!(out, "{value}"),
            Self::Text(value) => write_quoted(out, value),
            Self::List(values) if values.is_empty() => out.write_all(b"[]"),
            Self::Map(map) if map.is_empty() => out.write_all(b"{}"),
            Self::List(values) => {
                for (index, value) in values.iter().enumerate() {
                    out.write_all(if index == 0 { b"[" } else { b"," })?;
                    new_line(out, 4 * (depth + 1))?;
                    value.write_json(out, depth + 1)?;
                }
                new_line(out, 4 * depth)?;
                out.write_all(b"]")
            }
            Self::Map(map) => {
                for (index, (key, value)) in map.iter().enumerate() {
                    out.write_all(if index == 0 { b"{" } else { b"," })?;
                    new_line(out, 4 * (depth + 1))?;
                    write_quoted(out, key)?;
                    out.write_all(b": ")?;
                    value.write_json(out, depth + 1)?;
                }
                new_line(out, 4 * depth)?;
                out.write_all(b"}")
            }
        }
    }

    /// Writes YAML up to the end of a line. The cursor is where the value begins, `depth` is how deep that is.
    pub fn write_yaml(&self, out: &mut dyn Write, depth: usize) -> io::Result<()> {
        match self {
            Self::Bool(value) => writeln!(out, "{value}"),
            Self::Number(value) => writeln!(out, "{value}"),
            Self::Text(value) => {
                write_yaml_text(out, value)?;
                out.write_all(b"\n")
            }
            Self::List(values) if values.is_empty() => out.write_all(b"[]\n"),
            Self::Map(map) if map.is_empty() => out.write_all(b"{}\n"),
            Self::List(values) => {
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        spaces(out, 2 * depth)?;
                    }
                    out.write_all(b"- ")?;
                    value.write_yaml(out, depth + 1)?;
                }
                Ok(())
            }
            Self::Map(map) => {
                for (index, (key, value)) in map.iter().enumerate() {
                    if index > 0 {
                        spaces(out, 2 * depth)?;
                    }
                    write_yaml_text(out, key)?;
                    value.write_yaml_field(out, depth)?;
                }
                Ok(())
            }
        }
    }

    /// Writes what follows a key: scalars on its line, sequences below it, objects below it and deeper.
    fn write_yaml_field(&self, out: &mut dyn Write, depth: usize) -> io::Result<()> {
        let depth = match self {
            Self::List(values) if !values.is_empty() => depth,
            Self::Map(map) if !map.is_empty() => depth + 1,
            _ => {
                out.write_all(b": ")?;
                return self.write_yaml(out, depth);
            }
        };
        out.write_all(b":")?;
        new_line(out, 2 * depth)?;
        self.write_yaml(out, depth)
    }
}

fn new_line(out: &mut dyn Write, indentation: usize) -> io::Result<()> {
    out.write_all(b"\n")?;
    spaces(out, indentation)
}

fn spaces(out: &mut dyn Write, count: usize) -> io::Result<()> {
    write!(out, "{:count$}", "")
}

/// Writes a JSON string, which is a YAML string too.
fn write_quoted(out: &mut dyn Write, text: &str) -> io::Result<()> {
    out.write_all(b"\"")?;
    for symbol in text.chars() {
        match symbol {
            '"' | '\\' => write!(out, "\\{symbol}")?,
            '\0'..='\u{1f}' => write!(out, "\\u{:04x}", u32::from(symbol))?,
            _ => write!(out, "{symbol}")?,
        }
    }
    out.write_all(b"\"")
}

/// Writes a string without quotes where YAML can't take it for anything else.
fn write_yaml_text(out: &mut dyn Write, text: &str) -> io::Result<()> {
    const WORDS: &[&str] = &["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
        && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    if plain { out.write_all(text.as_bytes()) } else { write_quoted(out, text) }
}
