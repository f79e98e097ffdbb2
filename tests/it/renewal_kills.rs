//! Starting over as a new client, killed at every system call that changes a file: it is finished by doing it again, and
//! nothing else is done meanwhile.

use std::fs;

use crate::books::leftovers;
use crate::kills::{Scene, Step, can_trace, copy_of, on_two_threads, prepared, what_gets_its_name_is_on_disk};
use crate::support::{Desk, say};

/// An installation with a store, one whose identity is lost, and one without a store.
fn scenes() -> [Scene; 3] {
    let desk = prepared();
    let (lost, bare) = (copy_of(&desk), copy_of(&desk));
    fs::remove_dir_all(lost.path("state/identity")).unwrap();
    fs::remove_dir_all(bare.path("state/store")).unwrap();
    let renewed = |name, desk| Scene::new(name, desk, "init --new-client");
    [renewed("a new client", desk), renewed("a lost client", lost), renewed("a client without a store", bare)]
}

/// Insists that a collection does what it did before, or nothing, but makes no identity of its own.
fn collects_for_the_old_client_or_not(desk: &Desk, old: &str, what: &str) {
    let printed = desk.line("collect --record a.json --allow-kind my-product");
    if printed.code == 0 {
        let shown = desk.line("keys show --json").ok().json();
        assert!(shown["client"] == old || shown["replaces"] == old, "{what}: {shown}");
    } else {
        let told = ["its identity is not in", "a new client was begun in", "belongs to client"];
        assert!(told.iter().any(|text| printed.stderr.contains(text)), "{what}: {}", printed.stderr);
        assert!(printed.stderr.contains("--new-client"), "{what}: {}", printed.stderr);
    }
}

#[test]
fn a_new_client_that_was_killed_at_any_step_is_finished_by_doing_it_again() {
    if !can_trace() {
        return;
    }
    let scenes = scenes();
    let old = scenes[0].desk.line("keys show --json").ok().json()["client"].as_str().unwrap().to_owned();
    let records = scenes[0].desk.tree("state/store/records");
    let mut kills = Vec::new();
    for scene in &scenes {
        what_gets_its_name_is_on_disk(scene);
        kills.extend(scene.steps().into_iter().filter(Step::changes_something).map(|step| (scene, step)));
    }
    on_two_threads(&kills, |(scene, step)| {
        let (desk, _) = scene.stopped(step, "signal=KILL");
        let what = &step.line;
        let before = scene.desk.path("state");
        collects_for_the_old_client_or_not(&copy_of(&desk), &old, what);
        desk.line("init --new-client").ok();
        let shown = desk.line("keys show --json").ok().json();
        assert!(shown["replaces"] == old && shown["client"] != old, "{what}: {shown}");
        let aside = |name: &str| desk.path("state").join(format!("{name}-{old}"));
        assert_eq!(aside("identity").is_dir(), before.join("identity").is_dir(), "{what}");
        if before.join("store").is_dir() {
            assert_eq!(desk.tree(&format!("state/store-{old}/records")), records, "{what}");
        }
        assert!(!desk.path("state/store").exists(), "{what}");
        assert_eq!(leftovers(&desk.state()), Vec::<std::path::PathBuf>::new(), "{what}");
        let names = fs::read_dir(desk.state()).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(names.into_iter().all(|name| name != "identity-new-client"), "{what}");
    });
    say("measured", &format!("{} kills, at every step of {} ways to a new client", kills.len(), scenes.len()));
}
