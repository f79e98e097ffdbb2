//! The alert rules, as Prometheus understands them and on days that go well and badly.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::helm::{AIR_GAPPED, Helm, of_kind};
use crate::support::{Printed, say, skip};

const CRONJOB: &str = r#"namespace="telemetry-system",cronjob="telemetry""#;

/// The rules that values render, if they render any.
fn rules(helm: &Helm, values: &str) -> Option<Value> {
    Some(of_kind(&helm.objects(values), "PrometheusRule")?["spec"].clone())
}

#[test]
fn rules_look_at_the_cronjob_and_its_jobs_alone_and_only_where_there_is_one() {
    let Some(helm) = Helm::offline() else { return };
    assert!(rules(&helm, "").is_none(), "unless they are asked for");
    assert!(rules(&helm, &format!("{AIR_GAPPED}alerts: {{enabled: true}}")).is_none());
    let rules = rules(&helm, "alerts: {enabled: true, labels: {release: monitoring}, severity: page}").unwrap();
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    for rule in rules {
        let expression = rule["expr"].as_str().unwrap();
        for metric in
            expression.split(|it: char| !it.is_ascii_alphanumeric() && it != '_').filter(|it| it.contains('_'))
        {
            let known = ["kube_cronjob_", "kube_job_"].iter().any(|prefix| metric.starts_with(prefix));
            assert!(known || metric == "job_name", "{metric} in {expression}");
        }
        assert_eq!(rule["labels"]["severity"], "page");
    }
}

/// One course of things: its series, when to look, and the alerts that fire then.
fn course(series: &[(&str, &str)], at: &str, alerts: &[&str]) -> Value {
    let series: Vec<_> = series.iter().map(|(name, values)| json!({ "series": name, "values": values })).collect();
    let all = ["KubermaticTelemetryOverdue", "KubermaticTelemetryFailed"];
    // What an alert says is not compared, but whether there is one: how often the metric ALERTS is there.
    let counted = all.map(|alert| {
        let expected = if alerts.contains(&alert) { json!([{ "labels": "{}", "value": 1 }]) } else { json!([]) };
        let expr = format!(r#"count(ALERTS{{alertname="{alert}",alertstate="firing"}})"#);
        json!({ "expr": expr, "eval_time": at, "exp_samples": expected })
    });
    json!({ "interval": "1m", "input_series": series, "promql_expr_test": counted })
}

#[test]
fn alerts_fire_when_nothing_succeeds_any_more_and_not_before() {
    let Some(helm) = Helm::offline() else { return };
    if Command::new("promtool").arg("--version").output().is_err() {
        return skip("there is no promtool (Debian: prometheus)");
    }
    let success = format!("kube_cronjob_status_last_successful_time{{{CRONJOB}}}");
    let created = format!("kube_cronjob_created{{{CRONJOB}}}");
    let suspended = format!("kube_cronjob_spec_suspend{{{CRONJOB}}}");
    let job = |metric: &str, name: &str| format!(r#"{metric}{{namespace="telemetry-system",job_name="{name}"}}"#);
    let (begun, failed) = (job("kube_job_created", "telemetry-29"), job("kube_job_status_failed", "telemetry-29"));
    let (others, theirs) = (job("kube_job_created", "telemetry-b-29"), job("kube_job_status_failed", "telemetry-b-29"));
    let (always, off) = ("0x9000", "1x9000");
    // Times are seconds; the clock of the tests begins at zero.
    let courses = [
        course(&[(&success, always), (&created, always), (&suspended, always)], "2d", &[]),
        course(&[(&success, always), (&created, always), (&suspended, always)], "4d", &["KubermaticTelemetryOverdue"]),
        course(&[(&created, always), (&suspended, always)], "4d", &["KubermaticTelemetryOverdue"]),
        course(&[(&success, always), (&created, always), (&suspended, off)], "4d", &[]),
        course(
            &[(&success, always), (&created, always), (&suspended, always), (&begun, "3600x9000"), (&failed, off)],
            "3h",
            &["KubermaticTelemetryFailed"],
        ),
        course(
            &[(&created, always), (&suspended, always), (&begun, "3600x9000"), (&failed, off)],
            "3h",
            &["KubermaticTelemetryFailed"],
        ),
        course(
            &[(&success, "7200x9000"), (&created, always), (&suspended, always), (&begun, "3600x9000"), (&failed, off)],
            "3h",
            &[],
        ),
        course(
            &[(&success, always), (&created, always), (&suspended, always), (&others, "3600x9000"), (&theirs, off)],
            "3h",
            &[],
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    let rules = rules(&helm, "alerts: {enabled: true}").unwrap();
    fs::write(folder.path().join("rules.yaml"), rules.to_string()).unwrap();
    let tests = json!({ "rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": courses });
    fs::write(folder.path().join("tests.yaml"), tests.to_string()).unwrap();
    let run = |arguments: &[&str]| {
        let printed = Command::new("promtool").args(arguments).current_dir(folder.path()).output().unwrap();
        Printed::of(printed).ok()
    };
    run(&["check", "rules", "rules.yaml"]).prints("2 rules found");
    run(&["test", "rules", "tests.yaml"]);
    say("measured", &format!("{} courses of things", courses.len()));
}
