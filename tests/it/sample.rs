//! Records for pages: an installation over some days, and records that somebody made to do harm.

use serde_json::{Value, json};

use crate::support::Desk;

/// What would be markup, script, a link, or the end of what it stands in.
pub const MARKUP: &str =
    "</td></style></title><script>document.title='run'</script><img src=x onerror=\"alert('1')\">&lt;";

/// The test installation as it could have been on each of these days of January: clusters come and go, one is upgraded
/// every day, and there are more and more users. `MARKUP` and the like are nowhere in it.
pub fn days(desk: &Desk, days: usize) -> Vec<Value> {
    desk.collect();
    let lines = desk.line("preview").ok().stdout;
    let record = |kind: &str| -> Value {
        let mut records = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        records.rfind(|record| record["kind"] == kind).unwrap()
    };
    let (kubermatic, kubernetes) = (record("kubermatic"), record("kubernetes"));
    let mut all = Vec::new();
    for day in 1..=days {
        let time = format!("2026-01-{day:02}T04:00:00Z");
        let (mut first, mut second) = (kubermatic.clone(), kubernetes.clone());
        first["time"] = time.clone().into();
        second["time"] = time.into();
        first["clusters"][0]["kubernetesServerVersion"] = format!("1.30.{day}").into();
        let clusters = first["clusters"].as_array_mut().unwrap();
        clusters.truncate(clusters.len() - day % 3);
        let user = |number: usize| json!({"uuid": format!("00000000-0000-8000-8000-{number:012}"), "isAdmin": number.is_multiple_of(7), "isServiceAccount": false});
        first["users"].as_array_mut().unwrap().extend((0..day * 2).map(user));
        all.extend([first, second]);
    }
    all
}

/// Records in which everything that can be is [`MARKUP`], or steers a terminal, or turns text around.
pub fn hostile() -> Vec<Value> {
    let odd = "\u{202e}\u{7}\u{1b}[2J\u{200b}";
    let cluster = |version: &str| {
        json!({
            "uuid": MARKUP, "seedUUID": odd, "cloud": {"provider": MARKUP, MARKUP: MARKUP}, "mla": MARKUP,
            "kubernetesServerVersion": version, "phase": {MARKUP: [MARKUP]}, "password": "hunter2",
        })
    };
    let kubermatic = |day: u32, version: &str, users: Value| {
        json!({
            "kind": "kubermatic", "version": "v1", "time": format!("2026-01-0{day}T00:00:00Z"), "complete": false,
            "kubermaticVersion": MARKUP, "clusters": [cluster(version)], "users": users, "projects": MARKUP,
            "seeds": [{"uuid": "s", "location": MARKUP, "datacenters": [{"uuid": MARKUP, "location": odd}, MARKUP]}],
            "problems": [{"category": MARKUP, "step": MARKUP}, MARKUP], "withheld": ["locations", MARKUP],
            MARKUP: MARKUP,
        })
    };
    let other = |day: u32, value: &str| {
        json!({
            "kind": "other", "version": "v1", "time": format!("2026-01-0{day}T00:00:00Z"), MARKUP: [MARKUP, [1, {}]],
            "things": [{"id": MARKUP, "value": value}], "lists": [], "deep": {MARKUP: {MARKUP: value}},
        })
    };
    vec![
        kubermatic(1, "1", json!([{"uuid": MARKUP, "isAdmin": MARKUP}])),
        kubermatic(2, MARKUP, json!([{"uuid": "u", "isAdmin": true}, 7])),
        json!({"kind": "kubermatic", "version": "v2", "time": "2026-01-03T00:00:00Z", "later": MARKUP}),
        other(1, "1"),
        other(2, MARKUP),
    ]
}
