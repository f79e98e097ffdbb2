//! The report on all installations together: what a [`Fleet`] tells, which has nothing in it that may not be told.

mod lines;

use std::io::{self, Write};

use maud::{PreEscaped, html};

use self::lines::{Over, lines};
use super::chart::{Chart, Series};
use super::table::{Cells, Column, Rows};
use super::{Page, count, number};
use crate::tables::fleet::{
    Adoption, Division, FEW, FOLDED, Fleet, Installations, MOST_MONTHS, Month, Name, Pace, Subject, WINDOW,
};

/// What a table says where something is folded.
const NOT_SHOWN: &str = "not shown";

/// Writes the page of the months from `since` to `until`, and says at its end what `origin` is.
///
/// # Errors
/// It can't be written.
pub fn write(out: impl Write, fleet: &Fleet, since: Option<&str>, until: &str, origin: &str) -> io::Result<()> {
    let mut page = Page::begin(out, "The fleet")?;
    let period = since.map_or_else(|| format!("to {until}"), |since| format!("{since} to {until}"));
    page.put(html! {
        h1 { "The fleet" }
        p {
            "What installations of the Kubermatic Kubernetes Platform tell of themselves, all together. "
            "Asked for: months " (period) ", in UTC."
        }
    })?;
    if fleet.is_too_small {
        page.put(html! {
            div.note { p {
                strong { "Too few to show anything." }
                " Fewer than " (words(FEW)) " installations sent records in these months."
            } }
        })?;
        return page.finish(origin).map(drop);
    }
    let Some(newest) = fleet.months.iter().rev().find(|month| month.complete.is_some()) else {
        page.put(html! {
            div.note { p {
                strong { "Nothing to show." }
                " In none of these months " (words(FEW)) " installations sent complete records."
            } }
        })?;
        return page.finish(origin).map(drop);
    };
    rules(&mut page)?;
    let report = Report { months: &fleet.months, newest };
    report.installations(&mut page)?;
    report.clusters(&mut page)?;
    report.kubernetes(&mut page, &fleet.kubernetes)?;
    report.kubermatic(&mut page, &fleet.kubermatic)?;
    report.features(&mut page)?;
    report.machines(&mut page)?;
    report.countries(&mut page)?;
    page.finish(origin).map(drop)
}

/// A table whose columns are numbers but for the first.
fn numbers<W: Write>(
    page: &mut Page<W>,
    caption: &str,
    columns: &[Column],
    fill: impl FnOnce(&mut Rows<'_, W>) -> io::Result<()>,
) -> io::Result<()> {
    page.put(PreEscaped("<div class=\"numbers\">"))?;
    page.table(caption, columns, fill)?;
    page.put(PreEscaped("</div>"))
}

fn words(number: u64) -> String {
    if number == 5 { "five".to_owned() } else { number.to_string() }
}

/// How to read the page.
fn rules<W: Write>(page: &mut Page<W>) -> io::Result<()> {
    let few = words(FEW);
    page.section("rules", "How to read this", |page| {
        page.put(html! {
            ul {
                li {
                    "Of each installation and month its newest complete record counts. "
                    "What was withheld or could not be found out is “not told”, never nought."
                }
                li {
                    "What fewer than " (few) " installations have in a month is not shown by itself, "
                    "but in “" (FOLDED) "”. "
                    "If that would be one group, or one of fewer than " (few) " installations, the next smallest group is "
                    "in it, too, so that nothing can be told from the difference. "
                    "Where not even all together are " (few) ", nothing is shown."
                }
                li {
                    "“At least” stands where fewer than " (few) " lack what the others have: how few they are is not "
                    "shown, and charts and shares are drawn with the smallest number that it can be."
                }
                li {
                    "New and silent installations, and those without a complete record, are counted in steps of " (few)
                    ", rounded down."
                }
                li {
                    "A month that is not over counts those that have sent by now. "
                    "At most " (MOST_MONTHS) " months are shown."
                }
            }
        })
    })
}

/// What the sections are made of.
struct Report<'f> {
    months: &'f [Month],
    /// The newest month with enough complete records.
    newest: &'f Month,
}

impl Report<'_> {
    fn names(&self) -> Vec<String> {
        self.months.iter().map(|month| month.name.clone()).collect()
    }

    fn newest(&self, subject: Subject) -> Division {
        self.newest.division(subject).cloned().unwrap_or_default()
    }

    /// A chart of numbers by month.
    fn course(&self, title: &str, description: &str, series: Vec<Series>) -> Chart {
        Chart::lines(title, description, self.names(), series).headed("month", "").without(NOT_SHOWN)
    }

    /// A chart of a subject's groups by month, or the word that there is nothing.
    fn groups<W: Write>(
        &self,
        page: &mut Page<W>,
        (title, description): (&str, &str),
        subject: Subject,
        over: Over,
    ) -> io::Result<()> {
        let series = lines(self.months, subject, over);
        if series.is_empty() {
            return page.put(html! { p.absent { (title) ": too few to show anything." } });
        }
        page.put(self.course(title, description, series))
    }

    fn installations<W: Write>(&self, page: &mut Page<W>) -> io::Result<()> {
        let line = |name: &str, value: fn(&Month) -> Option<u64>| Series {
            name: name.to_owned(),
            values: self.months.iter().map(|month| value(month).map(lines::float)).collect(),
        };
        page.section("installations", "Installations", |page| {
            page.put(html! { p {
                "In " (self.newest.name) " " (count(self.newest.complete.unwrap_or_default(), "installation"))
                " sent complete records."
            } })?;
            let series = vec![
                line("complete records", |month| month.complete),
                line("any record (at least)", |month| month.any),
                line("new (steps of five)", |month| Some(month.new)),
                line("silent (steps of five)", |month| Some(month.silent)),
            ];
            let about = "How many installations sent complete records and any records in each month, how many of them were \
                         heard of for the first time, and how many that had been heard of before sent nothing.";
            page.put(self.course("Installations by month", about, series))
        })
    }

    fn clusters<W: Write>(&self, page: &mut Page<W>) -> io::Result<()> {
        page.section("clusters", "User clusters", |page| {
            let all = self.months.iter().map(|month| month.division(Subject::Provider).and_then(Division::items));
            let all = Series { name: "clusters".to_owned(), values: all.map(|it| it.map(lines::float)).collect() };
            page.put(self.course(
                "User clusters by month",
                "How many user clusters there were in each month.",
                vec![all],
            ))?;
            let about = (
                "User clusters by provider and month",
                "How many user clusters each cloud provider had in each month.",
            );
            self.groups(page, about, Subject::Provider, Over::Items)?;
            self.table(page, Subject::Provider, ("provider", "clusters"), "User clusters by provider")
        })
    }

    fn kubernetes<W: Write>(&self, page: &mut Page<W>, adoptions: &[Adoption]) -> io::Result<()> {
        page.section("kubernetes", "Kubernetes versions of user clusters", |page| {
            let about = (
                "Installations with a Kubernetes version, percent",
                "Of the installations that tell of versions, how many percent had a user cluster of this minor version in \
                 each month. \
                 An installation can have several.",
            );
            self.groups(page, about, Subject::Kubernetes, Over::Installations)?;
            let about =
                ("User clusters by Kubernetes version", "How many user clusters had each minor version in each month.");
            self.groups(page, about, Subject::Kubernetes, Over::Items)?;
            self.table(page, Subject::Kubernetes, ("version", "clusters"), "User clusters by Kubernetes version")?;
            adoption(page, "How fast Kubernetes versions are adopted", adoptions)
        })
    }

    fn kubermatic<W: Write>(&self, page: &mut Page<W>, adoptions: &[Adoption]) -> io::Result<()> {
        page.section("kubermatic", "KKP versions of installations", |page| {
            let about = (
                "Installations with a KKP version, percent",
                "Of the installations that tell their version, how many percent had this minor version at the end of \
                 each month.",
            );
            self.groups(page, about, Subject::Kubermatic, Over::Installations)?;
            self.table(page, Subject::Kubermatic, ("version", ""), "Installations by KKP version")?;
            adoption(page, "How fast KKP versions are adopted", adoptions)
        })
    }

    fn machines<W: Write>(&self, page: &mut Page<W>) -> io::Result<()> {
        page.section("machines", "Machine deployments", |page| {
            let about = (
                "Machine deployments by operating system and month",
                "How many machine deployments had each operating system in each month.",
            );
            self.groups(page, about, Subject::Machines, Over::Items)?;
            let what = ("operating system", "machine deployments");
            self.table(page, Subject::Machines, what, "Machine deployments by operating system")
        })
    }

    fn countries<W: Write>(&self, page: &mut Page<W>) -> io::Result<()> {
        page.section("countries", "Countries", |page| {
            page.put(
                html! { p { "Where installations have seeds or datacenters; one can be in several countries." } },
            )?;
            self.table(page, Subject::Country, ("country", ""), "Installations by country")
        })
    }

    /// The groups of the newest month: a chart, and the table with installations. Where the things are installations
    /// themselves they have no name.
    fn table<W: Write>(
        &self,
        page: &mut Page<W>,
        subject: Subject,
        (what, items): (&str, &str),
        title: &str,
    ) -> io::Result<()> {
        let (division, title) = (self.newest(subject), format!("{title}, {}", self.newest.name));
        if division.items().is_none() {
            return page.put(html! { p.absent { (title) ": too few to show anything." } });
        }
        let rest = division.others.map(|(items, installations)| (FOLDED.to_owned(), items, installations));
        let parts = division.parts.iter().map(|part| (part.name.label().to_owned(), part.items, part.installations));
        let rows: Vec<_> = parts.chain(rest).collect();
        let value =
            |items: u64, all: Installations| if subject_is_of_installations(subject) { all.count } else { items };
        let bars = rows.iter().map(|(name, items, all)| (name.clone(), lines::float(value(*items, *all))));
        let unit = if items.is_empty() { "installations" } else { items };
        page.put(Chart::bars(&title, &format!("{title}: how many {unit}."), bars.collect()).headed(what, unit))?;
        if !items.is_empty() || rows.iter().any(|(.., all)| all.is_least) {
            let columns = [what, "installations"].map(Column::plain);
            numbers(page, &format!("Installations: {}", lower(&title)), &columns, |table| {
                rows.iter().try_for_each(|(name, _, all)| table.row(vec![html! { (name) }, installations(*all)]))
            })?;
        }
        untold(page, &division)
    }

    fn features<W: Write>(&self, page: &mut Page<W>) -> io::Result<()> {
        page.section("features", "Features", |page| {
            let series: Vec<_> = FEATURES
                .iter()
                .filter_map(|(name, subject)| lines::share_of_yes(self.months, *subject, name))
                .collect();
            if !series.is_empty() {
                let about = "Of the user clusters that tell, how many percent used each feature in each month.";
                page.put(self.course("User clusters with a feature, percent", about, series))?;
            }
            self.feature_table(page)?;
            let about = (
                "User clusters by network plug-in and month",
                "How many user clusters had each CNI plug-in in each month.",
            );
            self.groups(page, about, Subject::Cni, Over::Items)?;
            self.table(page, Subject::Cni, ("CNI plug-in", "clusters"), "User clusters by network plug-in")
        })
    }

    fn feature_table<W: Write>(&self, page: &mut Page<W>) -> io::Result<()> {
        let columns = [
            "feature",
            "clusters with it",
            "clusters without",
            "clusters not told",
            "percent with it",
            "installations with it",
        ];
        let title = format!("Features in use, {}", self.newest.name);
        numbers(page, &title, &columns.map(Column::plain), |table| {
            FEATURES.iter().try_for_each(|(name, subject)| table.row(feature(name, &self.newest(*subject))))
        })
    }
}

/// What a cluster can use, and the division that tells of it.
const FEATURES: &[(&str, Subject)] = &[
    ("OPA integration", Subject::Opa),
    ("Monitoring (MLA)", Subject::Monitoring),
    ("Logging (MLA)", Subject::Logging),
    ("SSH key agent", Subject::SshKeyAgent),
];

fn feature(name: &str, division: &Division) -> Cells {
    let (yes, no) = lines::yes_and_no(division);
    let is_whole = division.others.is_none() && division.items().is_some();
    // Nobody has it, which five or more do not.
    let items = |part: Option<u64>| match part {
        Some(items) => html! { span.number { (number(items)) } },
        None if is_whole => html! { span.number { "0" } },
        None => html! { span.absent { (NOT_SHOWN) } },
    };
    let percent = lines::percent_of_yes(division);
    let with = division.part(&Name::Is(lines::YES.to_owned()));
    vec![
        html! { (name) },
        items(yes),
        items(no),
        items(division.part(&Name::NotTold).map(|part| part.items)),
        percent.map_or_else(
            || html! { span.absent { (NOT_SHOWN) } },
            |percent| html! { span.number { (lines::spelled(percent)) } },
        ),
        with.map_or_else(|| items(None), |part| installations(part.installations)),
    ]
}

fn subject_is_of_installations(subject: Subject) -> bool {
    matches!(subject, Subject::Country | Subject::Kubermatic)
}

fn lower(title: &str) -> String {
    let mut letters = title.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

fn installations(all: Installations) -> maud::Markup {
    html! { span.number { @if all.is_least { "at least " } (number(all.count)) } }
}

fn untold<W: Write>(page: &mut Page<W>, division: &Division) -> io::Result<()> {
    page.put(html! {
        p.small {
            @if let Some(untold) = division.untold {
                "Of " (count(division.of + untold, "installation")) " " (number(untold)) " tell nothing of it."
            } @else {
                "Of " (count(division.of, "installation")) " none or fewer than " (words(FEW)) " tell nothing of it."
            }
        }
    })
}

/// How fast versions were adopted.
fn adoption<W: Write>(page: &mut Page<W>, title: &str, adoptions: &[Adoption]) -> io::Result<()> {
    if adoptions.is_empty() {
        return page.put(html! { p.absent { (title) ": too few to show anything." } });
    }
    page.put(html! { p {
        "Days from the one on which " (words(FEW)) " installations had a version until a quarter and a half of the "
        "installations had it, "
        "by their newest complete records; who is silent for " (WINDOW) " days does not count."
    } })?;
    let columns = ["version", "days until a quarter", "days until a half"].map(Column::plain);
    let days = |days: Option<u32>| {
        html! {
            @if let Some(days) = days { span.number { (days) } } @else { span.absent { "not yet" } }
        }
    };
    numbers(page, title, &columns, |table| {
        adoptions.iter().try_for_each(|adoption| {
            let cells = match adoption.pace {
                Pace::FromTheStart => [(); 2].map(|()| html! { span.absent { "there from the start" } }),
                Pace::Days { quarter, half } => [days(quarter), days(half)],
            };
            let [quarter, half] = cells;
            table.row(vec![html! { (adoption.version.label()) }, quarter, half])
        })
    })
}
