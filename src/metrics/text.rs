//! The text format of Prometheus, version 0.0.4, which node-exporter's textfile collector reads. The library that the
//! server uses writes `OpenMetrics`, whose counters that collector takes for untyped.

use std::fmt::Write as _;

/// Metrics in the making.
#[derive(Debug, Default)]
pub struct Text(String);

/// What a metric is.
#[derive(Debug, Clone, Copy)]
pub enum Type {
    /// A value that goes up and down.
    Gauge,
    /// A count that only grows; its name ends in `_total`.
    Counter,
}

/// A metric to which samples are added.
#[derive(Debug)]
pub struct Metric<'t> {
    text: &'t mut String,
    name: &'static str,
    head: Option<String>,
}

impl Text {
    /// Begins a metric; without a sample nothing is written of it.
    pub fn metric(&mut self, name: &'static str, kind: Type, help: &str) -> Metric<'_> {
        let kind = match kind {
            Type::Gauge => "gauge",
            Type::Counter => "counter",
        };
        let head = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Metric { text: &mut self.0, name, head: Some(head) }
    }

    /// What was written.
    #[must_use]
    pub fn finish(self) -> String {
        self.0
    }
}

impl Metric<'_> {
    /// Adds a sample.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Into<f64>) -> &mut Self {
        if let Some(head) = self.head.take() {
            self.text.push_str(&head);
        }
        self.text.push_str(self.name);
        for (index, (label, value)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            // Writing to a string does not fail.
            let _ = write!(self.text, "{label}=\"{value}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{close} {}", value.into());
        self
    }

    /// Adds a sample if there is one.
    pub fn maybe(&mut self, labels: &[(&str, &str)], value: Option<f64>) -> &mut Self {
        if let Some(value) = value {
            self.sample(labels, value);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_after_their_head_and_a_metric_without_any_is_left_out() {
        let mut text = Text::default();
        text.metric("a", Type::Gauge, "What a is.").sample(&[], 1).maybe(&[("b", "c\\\"\nd")], Some(0.5));
        text.metric("e_total", Type::Counter, "None.").maybe(&[], None);
        text.metric("f_total", Type::Counter, "Some.").sample(&[("g", "h"), ("i", "j")], 1_770_000_000.0);
        let expected = "# HELP a What a is.\n# TYPE a gauge\na 1\na{b=\"c\\\\\\\"\\nd\"} 0.5\n# HELP f_total Some.\n\
                        # TYPE f_total counter\nf_total{g=\"h\",i=\"j\"} 1770000000\n";
        assert_eq!(text.finish(), expected);
    }
}
