//! How many there were of everything, record by record, as charts.

use std::io::{self, Write};

use maud::{PreEscaped, html};

use super::shape;
use crate::bundle::manifest::RecordEntry;
use crate::pages::chart::{Chart, Series, float};
use crate::pages::{Page, count};
use crate::record::canonical::text_of;
use crate::record::canonical::walk::Elements;
use crate::record::document::Document;
use crate::text::shortened;

/// Of how many arrays of a kind there are counts; this program's kinds have fewer.
const MOST_NAMES: usize = 64;
/// How much of a name is shown, in characters.
const LONGEST_NAME: usize = 60;
/// How many lines a chart of names has that nothing is known of.
const LINES: usize = 4;

/// Counts that are of about the same size, and belong together.
const TOGETHER: &[(&str, &[&str])] = &[
    ("User clusters and machine deployments", &["clusters", "machineDeployments"]),
    ("Users, projects and SSH keys", &["users", "projects", "sshKeys"]),
    ("Seeds", &["seeds"]),
    ("Nodes", &["nodes"]),
    ("Problems", &["problems"]),
];

/// The counts of all records of a kind and version.
#[derive(Debug)]
struct Group {
    kind: String,
    version: String,
    times: Vec<String>,
    names: Vec<Counted>,
    /// Whether there are arrays beyond those that are counted.
    more: bool,
}

#[derive(Debug)]
struct Counted {
    name: String,
    /// One for each record so far in which it was, or was passed.
    values: Vec<Option<f64>>,
}

/// The counts of all records.
#[derive(Debug, Default)]
pub(super) struct Counts {
    groups: Vec<Group>,
}

impl Counts {
    /// Counts a record; those of a kind and version come one behind the other.
    pub fn add(&mut self, entry: &RecordEntry, document: &Document) {
        let (kind, version) = (entry.kind.as_str(), entry.version.as_str());
        if self.groups.last().is_none_or(|group| (group.kind.as_str(), group.version.as_str()) != (kind, version)) {
            let (kind, version) = (kind.to_owned(), version.to_owned());
            self.groups.push(Group { kind, version, times: Vec::new(), names: Vec::new(), more: false });
        }
        if let Some(group) = self.groups.last_mut() {
            group.add(entry, document);
        }
    }

    pub fn write<W: Write>(&self, page: &mut Page<W>) -> io::Result<()> {
        self.groups.iter().try_for_each(|group| group.write(page))
    }
}

impl Group {
    fn add(&mut self, entry: &RecordEntry, document: &Document) {
        let text = document.bytes();
        let index = self.times.len();
        self.times.push(entry.time.to_string());
        let arrays = document.outline().members(text).filter(|member| text.get(member.value.start) == Some(&b'['));
        // Names of what is missing are no rows.
        let is_rows = |name: &[u8]| shape::known(&self.kind, &self.version).is_none() || name != b"withheld";
        for member in arrays.filter(|member| is_rows(member.name)) {
            let name = text_of(member.name);
            let place = self.names.iter().position(|it| it.name == name).or_else(|| {
                (self.names.len() < MOST_NAMES).then(|| {
                    self.names.push(Counted { name: name.into_owned(), values: Vec::new() });
                    self.names.len() - 1
                })
            });
            let Some(place) = place else {
                self.more = true;
                break;
            };
            let rows = member.rows(text).map(|rows| u64::from(rows.count));
            let number = rows.unwrap_or_else(|| Elements::new(text, member.value.start).count() as u64);
            let values = &mut self.names[place].values;
            values.resize(index, None);
            values.push(Some(float(number)));
        }
    }

    fn write<W: Write>(&self, page: &mut Page<W>) -> io::Result<()> {
        page.put(html! { h3 { "Records of kind " (self.kind) " " (self.version) } })?;
        if self.names.is_empty() {
            return page.put(html! { p { "They have no lists that could be counted." } });
        }
        if self.more {
            page.put(html! {
                p { "They have more lists than the " (MOST_NAMES) " that are counted here." }
            })?;
        }
        page.put(PreEscaped("<div class=\"charts\">"))?;
        for (title, names) in self.charts() {
            page.put(self.chart(&title, &names))?;
        }
        page.put(PreEscaped("</div>"))
    }

    /// Titles of charts, and what is in each.
    fn charts(&self) -> Vec<(String, Vec<&Counted>)> {
        let is_known = shape::known(&self.kind, &self.version).is_some();
        let together = |names: &[&str]| -> Vec<&Counted> {
            names.iter().filter_map(|name| self.names.iter().find(|it| it.name == *name)).collect()
        };
        let is_alone =
            |counted: &&Counted| !is_known || TOGETHER.iter().all(|(_, names)| !names.contains(&counted.name.as_str()));
        let known = TOGETHER.iter().filter(|_| is_known).map(|(title, names)| ((*title).to_owned(), together(names)));
        let others: Vec<_> = self.names.iter().filter(is_alone).collect();
        let others = others.chunks(LINES).map(|some| (format!("Lists of {}", self.kind), some.to_vec()));
        known.filter(|(_, counted)| !counted.is_empty()).chain(others).collect()
    }

    fn chart(&self, title: &str, counted: &[&Counted]) -> Chart {
        let records = count(self.times.len() as u64, "record");
        let description = format!("How many there were in each of {records} of kind {}.", self.kind);
        if self.times.len() == 1 {
            let value = |it: &&Counted| it.values.first().copied().flatten().unwrap_or_default();
            let bars = counted.iter().map(|it| (shortened(&it.name, LONGEST_NAME), value(it))).collect();
            return Chart::bars(title, &description, bars).headed("list", "number");
        }
        let series = |it: &&Counted| Series { name: shortened(&it.name, LONGEST_NAME), values: it.values.clone() };
        let lines = counted.iter().map(series).collect();
        Chart::lines(title, &description, self.labels(), lines).headed("time", "").at(self.places())
    }

    /// Days, where there is one record a day at most.
    fn labels(&self) -> Vec<String> {
        let day = |time: &String| time.get(..10).unwrap_or(time).to_owned();
        let days: Vec<_> = self.times.iter().map(day).collect();
        if days.windows(2).all(|pair| pair[0] < pair[1]) { days } else { self.times.clone() }
    }

    /// The times in seconds; nothing if they are in another order than their spellings.
    fn places(&self) -> Vec<f64> {
        let seconds = self.times.iter().map_while(|time| time.parse::<jiff::Timestamp>().ok());
        let seconds: Vec<_> = seconds.map(jiff::Timestamp::as_duration).map(|it| it.as_secs_f64()).collect();
        if seconds.is_sorted() { seconds } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::canonical::Bounds;

    fn group(records: &[&str]) -> Group {
        let (kind, version) = ("kubermatic".to_owned(), "v1".to_owned());
        let mut group = Group { kind, version, times: Vec::new(), names: Vec::new(), more: false };
        for (day, record) in records.iter().enumerate() {
            let document = Document::parse(record.as_bytes().to_vec(), &Bounds::default()).unwrap();
            let time = format!("2026-01-{:02}T00:00:00Z", day + 1);
            group.add(&crate::pages::bundle::tests::entry(&time), &document);
        }
        group
    }

    #[test]
    fn what_is_missing_in_a_record_is_no_zero() {
        let group = group(&[r#"{"users":[1,2]}"#, r#"{"clusters":[1]}"#, r#"{"clusters":[],"users":[1]}"#]);
        let charts = group.charts();
        let values: Vec<_> = charts.iter().map(|(title, counted)| (title.as_str(), &counted[0].values)).collect();
        assert_eq!(
            values,
            [
                ("User clusters and machine deployments", &vec![None, Some(1.0), Some(0.0)]),
                ("Users, projects and SSH keys", &vec![Some(2.0), None, Some(1.0)]),
            ]
        );
        assert_eq!(group.labels(), ["2026-01-01", "2026-01-02", "2026-01-03"]);
        assert_eq!(group.places(), [1_767_225_600.0, 1_767_312_000.0, 1_767_398_400.0]);
    }

    #[test]
    fn lists_without_number_are_not_all_counted() {
        let lists: Vec<_> = (0..100).map(|list| format!("\"l{list:03}\":[]")).collect();
        let group = group(&[&format!("{{{}}}", lists.join(","))]);
        assert_eq!((group.names.len(), group.more), (MOST_NAMES, true));
        assert_eq!(group.charts().len(), MOST_NAMES / LINES);
    }
}
