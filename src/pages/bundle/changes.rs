//! What changed from one record to the next of its kind: what was added, removed and changed, each with the value before
//! and now. Together with the newest record that is everything in all of them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io::{self, Write};

use maud::html;

use super::value::{Shape, Value, name};
use crate::bundle::manifest::RecordEntry;
use crate::pages::table::{Column, Rows};
use crate::pages::{Page, count, said};
use crate::record::canonical::{KeyField, compare_keys, compare_spelled_names};
use crate::record::document::Document;

/// More changes than these are folded.
const MOST_OPEN: u64 = 20;
/// Of how many arrays changes are counted by themselves.
const MOST_COUNTED: usize = 32;
/// How much of a name from outside is shown as the name of a place, in characters.
const LONGEST_NAME: usize = 500;
/// Where the way to a place is longer than this, in bytes, what is there is told as a whole: the way stands at each of
/// many changes.
const LONGEST_WAY: usize = 200;

/// One difference.
struct Change<'c, 'a> {
    /// The top-level array or member that it is in.
    of: &'c str,
    /// Which entity, by array and key; nothing for the record itself.
    entity: &'c str,
    /// The path in it; nothing where it is the entity as a whole.
    field: &'c str,
    before: Option<Value<'a>>,
    now: Option<Value<'a>>,
}

/// Where the comparison is.
#[derive(Clone, Default)]
struct Place {
    of: String,
    entity: String,
    field: String,
}

/// Hears of changes.
type Hear<'h, 'a> = &'h mut dyn FnMut(&Change<'_, 'a>) -> io::Result<()>;

/// Tells what changed from `base` to `document`.
pub(super) fn write<W: Write>(
    page: &mut Page<W>,
    (before, base): (&RecordEntry, &Document),
    (entry, document): (&RecordEntry, &Document),
) -> io::Result<()> {
    let (old, new) = (Value(base.bytes()), Value(document.bytes()));
    let mut counts = Counts::default();
    record(old, new, &mut |change| {
        counts.add(change);
        Ok(())
    })?;
    page.put(html! {
        h3 { (entry.kind) " " (entry.version) ": " (before.time) " to " (entry.time) }
        p { (counts.text()) }
    })?;
    if counts.all == 0 {
        return Ok(());
    }
    let caption = format!("Changes of {} {}, {} to {}", entry.kind, entry.version, before.time, entry.time);
    let table = |page: &mut Page<W>| {
        let columns = ["what", "field", "before", "now"].map(Column::plain);
        page.table(&caption, &columns, |rows| record(old, new, &mut |change| row(rows, change)))
    };
    if counts.all > MOST_OPEN { page.folded(&count(counts.all, "change"), table) } else { table(page) }
}

fn row<W: Write>(rows: &mut Rows<'_, W>, change: &Change<'_, '_>) -> io::Result<()> {
    rows.open(|row| {
        row.cell(|page| if change.entity.is_empty() { page.put("the record") } else { page.put(said(change.entity)) })?;
        row.cell(|page| match (change.field, change.before, change.now) {
            ("", None, _) => page.put(html! { strong { "added" } }),
            ("", _, None) => page.put(html! { strong { "removed" } }),
            ("", ..) => page.put(html! { strong { "changed" } }),
            (field, ..) => page.put(html! { code { (said(field)) } }),
        })?;
        for value in [change.before, change.now] {
            row.cell(|page| match value {
                Some(value) => page.value(value),
                None => page.put(html! { span.absent { "absent" } }),
            })?;
        }
        Ok(())
    })
}

/// The differences of two records, but for their times.
fn record<'a>(old: Value<'a>, new: Value<'a>, hear: Hear<'_, 'a>) -> io::Result<()> {
    members(old, new, &mut |spelled, before, now| {
        if spelled == b"time" {
            return Ok(());
        }
        let of = shortened(spelled);
        let place = Place { field: of.clone(), of, entity: String::new() };
        differ(&place, before, now, hear)
    })
}

/// The differences of two values in one place.
fn differ<'a>(place: &Place, before: Option<Value<'a>>, now: Option<Value<'a>>, hear: Hear<'_, 'a>) -> io::Result<()> {
    let (Some(old), Some(new)) = (before, now) else { return tell(place, before, now, hear) };
    if old == new {
        return Ok(());
    }
    if (old.shape(), new.shape()) == (Shape::Object, Shape::Object) && place.field.len() <= LONGEST_WAY {
        return members(old, new, &mut |spelled, before, now| {
            let separator = if place.field.is_empty() { "" } else { "." };
            let field = format!("{}{separator}{}", place.field, shortened(spelled));
            differ(&Place { field, ..place.clone() }, before, now, hear)
        });
    }
    if place.entity.len() > LONGEST_WAY {
        return tell(place, before, now, hear);
    }
    match (old.keyed_by(), new.keyed_by()) {
        (Some(field), Some(other)) if field == other => keyed(place, old, new, field, hear),
        (Some(field), None) if new.0 == b"[]" => keyed(place, old, new, field, hear),
        (None, Some(field)) if old.0 == b"[]" => keyed(place, old, new, field, hear),
        _ => tell(place, before, now, hear),
    }
}

/// The differences of the rows of two arrays.
fn keyed<'a>(place: &Place, old: Value<'a>, new: Value<'a>, field: KeyField, hear: Hear<'_, 'a>) -> io::Result<()> {
    let above = if place.entity.is_empty() { String::new() } else { format!("{}, ", place.entity) };
    merged(old.rows(field), new.rows(field), compare_keys, &mut |key, before, now| {
        let entity = format!("{above}{} {}", place.field, shortened(key));
        differ(&Place { of: place.of.clone(), entity, field: String::new() }, before, now, hear)
    })
}

fn tell<'a>(place: &Place, before: Option<Value<'a>>, now: Option<Value<'a>>, hear: Hear<'_, 'a>) -> io::Result<()> {
    hear(&Change { of: &place.of, entity: &place.entity, field: &place.field, before, now })
}

fn shortened(spelled: &[u8]) -> String {
    crate::text::shortened(&name(spelled), LONGEST_NAME)
}

/// Hears a name, and what it has before and now.
type HearBoth<'h, 'a> = &'h mut dyn FnMut(&'a [u8], Option<Value<'a>>, Option<Value<'a>>) -> io::Result<()>;

/// The members of two objects side by side.
fn members<'a>(old: Value<'a>, new: Value<'a>, hear: HearBoth<'_, 'a>) -> io::Result<()> {
    merged(old.members(), new.members(), compare_spelled_names, hear)
}

/// Two sorted lists side by side.
fn merged<'a>(
    old: impl Iterator<Item = (&'a [u8], Value<'a>)>,
    new: impl Iterator<Item = (&'a [u8], Value<'a>)>,
    compare: fn(&[u8], &[u8]) -> Ordering,
    hear: HearBoth<'_, 'a>,
) -> io::Result<()> {
    let (mut old, mut new) = (old.peekable(), new.peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((left, _)), Some((right, _))) => compare(left, right),
        };
        let before = if order.is_le() { old.next() } else { None };
        let now = if order.is_ge() { new.next() } else { None };
        if let Some(name) = before.or(now).map(|(name, _)| name) {
            hear(name, before.map(|(_, value)| value), now.map(|(_, value)| value))?;
        }
    }
}

/// How many changes of each array there are.
#[derive(Default)]
struct Counts {
    all: u64,
    /// Added, removed, changed; of the record itself as well.
    of: BTreeMap<String, [u64; 3]>,
    /// Entities are counted once, however much of them changed.
    last: String,
}

impl Counts {
    fn add(&mut self, change: &Change<'_, '_>) {
        self.all += 1;
        if !change.entity.is_empty() && change.entity == self.last {
            return;
        }
        change.entity.clone_into(&mut self.last);
        let kind = match (change.field, change.before, change.now) {
            ("", None, _) => 0,
            ("", _, None) => 1,
            _ => 2,
        };
        let of = if change.entity.is_empty() { "fields of the record" } else { change.of };
        let of = if self.of.len() < MOST_COUNTED || self.of.contains_key(of) { of } else { "others" };
        self.of.entry(of.to_owned()).or_default()[kind] += 1;
    }

    fn text(&self) -> String {
        let of = |(name, counts): (&String, &[u64; 3])| {
            let words = ["added", "removed", "changed"];
            let counts = counts.iter().zip(words).filter(|(count, _)| **count > 0);
            let counts: Vec<_> =
                counts.map(|(count, word)| format!("{} {word}", crate::pages::number(*count))).collect();
            format!("{name}: {}", counts.join(", "))
        };
        if self.all == 0 {
            return "Nothing but the time.".to_owned();
        }
        self.of.iter().map(of).collect::<Vec<_>>().join("; ") + "."
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(old: &str, new: &str) -> (Vec<String>, String) {
        let (mut all, mut counts) = (Vec::new(), Counts::default());
        let text = |value: Option<Value<'_>>| value.map_or("-".into(), |it| String::from_utf8_lossy(it.0).into_owned());
        record(Value(old.as_bytes()), Value(new.as_bytes()), &mut |change| {
            all.push(format!("{}|{}|{}|{}", change.entity, change.field, text(change.before), text(change.now)));
            counts.add(change);
            Ok(())
        })
        .unwrap();
        (all, counts.text())
    }

    #[test]
    fn added_removed_and_changed_things_are_told_with_their_values() {
        let old = r#"{"a":1,"rows":[{"c":{"d":1,"e":2},"uuid":"1"},{"uuid":"2"},{"in":[{"n":1,"uuid":"x"}],"uuid":"3"}],"time":"1"}"#;
        let new = r#"{"b":[1],"rows":[{"c":{"d":2,"f":2},"uuid":"1"},{"in":[{"n":2,"uuid":"x"}],"uuid":"3"},{"uuid":"4"}],"time":"2"}"#;
        let (all, text) = changes(old, new);
        assert_eq!(
            all,
            [
                "|a|1|-",
                "|b|-|[1]",
                "rows 1|c.d|1|2",
                "rows 1|c.e|2|-",
                "rows 1|c.f|-|2",
                r#"rows 2||{"uuid":"2"}|-"#,
                "rows 3, in x|n|1|2",
                r#"rows 4||-|{"uuid":"4"}"#,
            ]
        );
        assert_eq!(text, "fields of the record: 2 changed; rows: 1 added, 1 removed, 2 changed.");
    }

    #[test]
    fn the_time_alone_is_no_change() {
        let (all, text) = changes(r#"{"a":[],"time":"1"}"#, r#"{"a":[],"time":"2"}"#);
        assert_eq!((all.len(), text.as_str()), (0, "Nothing but the time."));
    }

    #[test]
    fn arrays_without_keys_and_other_types_are_told_as_a_whole() {
        let (all, _) = changes(
            r#"{"a":[1,2],"b":[{"uuid":"1"}],"c":[],"d":{"x":1},"k":[{"id":"1"}]}"#,
            r#"{"a":[1],"b":[],"c":[{"uuid":"1"}],"d":[],"k":[{"uuid":"1"}]}"#,
        );
        assert_eq!(
            all,
            [
                "|a|[1,2]|[1]",
                r#"b 1||{"uuid":"1"}|-"#,
                r#"c 1||-|{"uuid":"1"}"#,
                r#"|d|{"x":1}|[]"#,
                r#"|k|[{"id":"1"}]|[{"uuid":"1"}]"#,
            ]
        );
    }

    #[test]
    fn names_with_escapes_are_compared_in_the_order_of_the_format() {
        let (all, _) = changes(r#"{"😀":1,"דּ":1}"#, r#"{"\u0001":2,"😀":2,"דּ":1}"#);
        assert_eq!(all, ["|\\u{1}|-|2", "|😀|1|2"]);
    }
}
