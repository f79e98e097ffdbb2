//! Charts: lines over time, and bars side by side, as SVG that takes its colours from the page's style. Under each is a
//! table with the same numbers, for those who hear a page and for those who want to know exactly.

mod bars;
mod lines;
mod scale;

use maud::{Markup, Render, html};

pub(crate) use scale::float;

use super::table::{Cells, Column, table};

/// Lines that one drawing can tell apart, by colour, dashes and marks; more become another drawing of the same chart.
pub const MOST_LINES: usize = 6;
/// A table with more rows than these is folded.
const MOST_ROWS: usize = 12;

/// A drawing's width, in its own units; a screen that is wide enough shows them as pixels.
const WIDTH: f64 = 480.0;
/// How wide a character is at most, also where a narrow screen enlarges them.
const CHARACTER: f64 = 10.0;

/// A line: its name, and a value or nothing for each label.
#[derive(Debug, Clone)]
pub struct Series {
    /// What it is.
    pub name: String,
    /// One for each label; values are finite and not negative, anything else counts as absent.
    pub values: Vec<Option<f64>>,
}

/// A chart with the table of its numbers.
#[derive(Debug, Clone)]
pub struct Chart {
    title: String,
    description: String,
    /// What labels are: the heading of the table's first column.
    label: String,
    labels: Vec<String>,
    series: Vec<Series>,
    /// What the table says where there is no value.
    absent: String,
    body: Body,
}

#[derive(Debug, Clone)]
enum Body {
    /// Where the labels are from left to right, in any unit; evenly where nothing is said.
    Lines {
        places: Option<Vec<f64>>,
    },
    Bars,
}

impl Chart {
    /// Lines over labels such as times, which are in order from left to right.
    #[must_use]
    pub fn lines(title: &str, description: &str, labels: Vec<String>, series: Vec<Series>) -> Self {
        let mut chart = Self::new(title, description, labels, series, Body::Lines { places: None });
        "time".clone_into(&mut chart.label);
        chart
    }

    /// Horizontal bars, from top to bottom as given: what each is, and how much.
    #[must_use]
    pub fn bars(title: &str, description: &str, bars: Vec<(String, f64)>) -> Self {
        let (labels, values) = bars.into_iter().map(|(label, value)| (label, Some(value))).unzip();
        let series = vec![Series { name: "number".to_owned(), values }];
        Self::new(title, description, labels, series, Body::Bars)
    }

    fn new(title: &str, description: &str, labels: Vec<String>, series: Vec<Series>, body: Body) -> Self {
        let (title, description) = (title.to_owned(), description.to_owned());
        let (label, absent) = ("what".to_owned(), "absent".to_owned());
        let mut chart = Self { title, description, label, labels, series, absent, body };
        for series in &mut chart.series {
            series.values.resize(chart.labels.len(), None);
            for value in &mut series.values {
                *value = value.filter(|it| it.is_finite() && *it >= 0.0);
            }
        }
        chart
    }

    /// Says what labels and values are: the headings of the table. The value's is that of bars alone, since lines have
    /// names.
    #[must_use]
    pub fn headed(mut self, label: &str, value: &str) -> Self {
        label.clone_into(&mut self.label);
        if let (Body::Bars, Some(series)) = (&self.body, self.series.first_mut()) {
            value.clone_into(&mut series.name);
        }
        self
    }

    /// Says what it means that there is no value: a word of the table.
    #[must_use]
    pub fn without(mut self, absent: &str) -> Self {
        absent.clone_into(&mut self.absent);
        self
    }

    /// Puts the labels of lines where they belong, for example at their times in seconds. One for each label, in order.
    #[must_use]
    pub fn at(mut self, at: Vec<f64>) -> Self {
        if let Body::Lines { places } = &mut self.body
            && at.len() == self.labels.len()
            && at.iter().all(|place| place.is_finite())
        {
            *places = Some(at);
        }
        self
    }

    fn drawings(&self) -> Markup {
        match &self.body {
            Body::Lines { places } => html! {
                @for series in self.series.chunks(MOST_LINES) {
                    (self.drawing(series, &lines::draw(&self.labels, places.as_deref(), series)))
                    (lines::legend(series))
                }
            },
            Body::Bars => {
                let values = self.series.first().map(|it| it.values.as_slice()).unwrap_or_default();
                self.drawing(&self.series, &bars::draw(&self.labels, values))
            }
        }
    }

    fn drawing(&self, series: &[Series], drawing: &Drawing) -> Markup {
        let names: Vec<_> = series.iter().map(|it| it.name.as_str()).collect();
        html! {
            svg viewBox=(format!("0 0 {WIDTH} {}", drawing.height)) role="img" {
                title { (self.title) ": " (names.join(", ")) }
                desc { (self.description) }
                (drawing.shapes)
            }
        }
    }

    fn numbers(&self) -> Markup {
        let mut columns = vec![Column::plain(&self.label)];
        columns.extend(self.series.iter().map(|series| Column::plain(&series.name)));
        let rows = self.labels.iter().enumerate().map(|(index, label)| {
            let mut cells: Cells = vec![html! { (label) }];
            cells.extend(self.series.iter().map(|series| value(series.values[index], &self.absent)));
            cells
        });
        let table = table(&self.title, &columns, rows);
        html! {
            @if self.labels.len() > MOST_ROWS {
                details {
                    summary { "The numbers of “" (self.title) "”" }
                    (table)
                }
            } @else {
                (table)
            }
        }
    }
}

impl Render for Chart {
    fn render(&self) -> Markup {
        html! {
            figure {
                figcaption { (self.title) }
                (self.drawings())
                (self.numbers())
            }
        }
    }
}

/// What is in an SVG.
struct Drawing {
    height: f64,
    shapes: Markup,
}

/// A number in a table, or that there is none.
fn value(value: Option<f64>, absent: &str) -> Markup {
    html! {
        @if let Some(value) = value {
            span.number { (scale::text(value)) }
        } @else {
            span.absent { (absent) }
        }
    }
}

/// How wide a text is at most.
fn width(text: &str) -> f64 {
    scale::float(text.chars().count() as u64) * CHARACTER
}

/// A coordinate: tenths are finer than a screen.
fn at(place: f64) -> String {
    format!("{place:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, values: &[f64]) -> Series {
        Series { name: name.to_owned(), values: values.iter().copied().map(Some).collect() }
    }

    fn days(count: usize) -> Vec<String> {
        (1..=count).map(|day| format!("2026-01-{day:02}")).collect()
    }

    /// What stands between these two, each time.
    fn between<'t>(text: &'t str, before: &str, after: &str) -> Vec<&'t str> {
        text.split(before).skip(1).filter_map(|rest| rest.split_once(after).map(|(inside, _)| inside)).collect()
    }

    #[test]
    fn a_chart_has_a_name_a_description_and_its_numbers_in_a_table() {
        let values = [series("clusters", &[1.0, 12.0]), series("<users>", &[1500.0])];
        let chart = Chart::lines("Counts", "How many there were.", days(2), values.to_vec()).headed("day", "");
        let html = chart.render().into_string();
        for expected in [
            "<figcaption>Counts</figcaption>",
            "role=\"img\"><title>Counts: clusters, &lt;users&gt;</title><desc>How many there were.</desc>",
            "<caption>Counts</caption>",
            "<th scope=\"col\">day</th><th scope=\"col\">clusters</th><th scope=\"col\">&lt;users&gt;</th>",
            "<th scope=\"row\">2026-01-02</th><td><span class=\"number\">12</span></td><td><span class=\"absent\">absent",
            "<span class=\"number\">1,500</span>",
        ] {
            assert!(html.contains(expected), "{expected} in {html}");
        }
        assert!(!html.contains("style=") && !html.contains("<details>"), "{html}");
        let html = chart.without("few").render().into_string();
        assert!(html.contains("<span class=\"absent\">few</span>") && !html.contains("none"), "{html}");
    }

    #[test]
    fn the_numbers_of_many_labels_are_folded_and_all_there() {
        let values: Vec<_> = (0..31).map(|day| f64::from(day) + 100.0).collect();
        let html = Chart::lines("Counts", "", days(31), vec![series("a", &values)]).render().into_string();
        let (_, folded) = html.split_once("<details>").unwrap();
        assert_eq!(between(folded, "<span class=\"number\">", "<").len(), 31);
        assert!(folded.contains("<summary>The numbers of “Counts”</summary>"), "{folded}");
    }

    #[test]
    fn lines_differ_by_more_than_their_colour() {
        let all: Vec<_> = (0..8).map(|line| series(&format!("line {line}"), &[1.0, 2.0])).collect();
        let html = Chart::lines("Counts", "", days(2), all).render().into_string();
        let drawings: Vec<_> = html.split("role=\"img\"").skip(1).collect();
        assert_eq!(drawings.len(), 2, "six lines, and the other two");
        let lines = between(drawings[0], "<polyline class=\"line ", "\"");
        let dashes: std::collections::BTreeSet<_> = lines.iter().map(|it| it.split(' ').next().unwrap()).collect();
        assert_eq!((lines.len() / 2, dashes.len()), (6, 6), "drawn and in the legend: {lines:?}");
        assert_eq!(between(&html, "<caption>", "<").len(), 1, "and one table of all");
    }

    #[test]
    fn a_line_is_where_its_numbers_are() {
        let gap = Series {
            name: "a".into(),
            values: vec![Some(0.0), Some(10.0), None, Some(5.0), Some(6.0), Some(f64::NAN), Some(1.0)],
        };
        let html = Chart::lines("Counts", "", days(7), vec![gap]).render().into_string();
        let lines = between(&html, "<polyline class=\"line dash-1\" points=\"", "\"");
        assert_eq!(lines.len(), 3, "before the gap, behind it, and in the legend: {lines:?}");
        assert_eq!(html.matches("<circle").count(), 6, "what stands alone has a mark; and the legend's");
        let points: Vec<Vec<f64>> =
            lines[0].split(' ').map(|it| it.split(',').map(|it| it.parse().unwrap()).collect()).collect();
        assert!(points[0][0] < points[1][0] && points[0][1] > points[1][1], "to the right and up: {points:?}");
        let uneven = Chart::lines("Counts", "", days(3), vec![series("a", &[1.0, 1.0, 1.0])]);
        let html = uneven.at(vec![0.0, 1.0, 10.0]).render().into_string();
        let line = between(&html, "<polyline class=\"line dash-1\" points=\"", "\"")[0];
        let xs: Vec<f64> = line.split(' ').map(|it| it.split_once(',').unwrap().0.parse().unwrap()).collect();
        assert!(((xs[1] - xs[0]) * 9.0 - (xs[2] - xs[1])).abs() < 1.0, "{xs:?}");
    }

    #[test]
    fn charts_of_nothing_or_of_one_thing_can_be_drawn() {
        for values in [&[][..], &[0.0], &[7.0], &[0.0, 0.0], &[9e15, 0.0]] {
            let labels = days(values.len());
            let html = Chart::lines("Counts", "", labels.clone(), vec![series("a", values)]).render().into_string();
            let bars = labels.into_iter().zip(values.iter().copied()).collect();
            let html = html + &Chart::bars("Counts", "", bars).render().into_string();
            assert!(!html.contains("NaN") && !html.contains("inf"), "{values:?}: {html}");
        }
        assert!(!Chart::lines("", "", days(1), Vec::new()).render().into_string().contains("NaN"));
    }

    #[test]
    fn bars_are_as_long_as_their_numbers_and_say_them() {
        let long = "a provider with a name that is longer than there is room for";
        let bars = vec![("aws".to_owned(), 40.0), (long.to_owned(), 10.0), ("<other>".to_owned(), 0.0)];
        let html = Chart::bars("Clusters", "By provider.", bars).headed("provider", "clusters").render().into_string();
        let lengths: Vec<f64> = between(&html, "<rect class=\"bar series-1\"", ">")
            .iter()
            .map(|it| between(it, "width=\"", "\"")[0].parse().unwrap())
            .collect();
        assert!((lengths[0] / lengths[1] - 4.0).abs() < 0.05 && lengths[2] == 0.0, "{lengths:?}");
        assert!(html.contains(">40</text>") && html.contains("&lt;other&gt;</text>"), "{html}");
        assert!(html.contains("…</text>") && html.contains(&format!("<th scope=\"row\">{long}</th>")), "{html}");
        assert!(html.contains("<th scope=\"col\">provider</th><th scope=\"col\">clusters</th>"), "{html}");
    }
}
