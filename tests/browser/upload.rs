//! What a person does who has a stick: look, upload, save the receipt, carry it back.

use serde_json::json;

use crate::made::{Made, make, private};
use crate::people::{Scene, export, part, slot, tar};
use crate::support::Desk;

#[test]
fn a_bundle_is_shown_then_sent_and_its_receipt_is_taken_by_the_site() {
    let Some(scene) = Scene::open("") else { return };
    let (desk, browser) = (&scene.desk, &scene.browser);
    export(desk, "bundle.tar", "CHG-0815");
    let client = desk.line("keys show --json").ok().json()["client"].as_str().unwrap().to_owned();

    assert!(!browser.is_shown(&part("upload")), "there is nothing to upload yet");
    scene.choose("bundle.tar");
    let summary = browser.wait_for(&part("summary"), "Nothing has been sent yet");
    for text in [
        &format!("Client {client}"),
        "Sequence number 1",
        "2 (1 kubermatic, 1 kubernetes)",
        "Note CHG-0815",
        "bundle.tar, 9,216 bytes",
        "UTC",
    ] {
        assert!(summary.contains(text), "`{text}` is not in {summary}");
    }
    for absent in ["Left out by the site", "Removed at the site"] {
        assert!(!summary.contains(absent), "{summary}");
    }
    scene.sent_nothing();

    browser.click(&part("upload"));
    let told = browser.wait_for(&part("accepted"), "The bundle has arrived");
    for text in ["Records taken 2", "Records known before 0", "Records not taken 0", "Now save the receipt"] {
        assert!(told.contains(text), "`{text}` is not in {told}");
    }
    for absent in ["missing here", "same number", "were not taken"] {
        assert!(!told.contains(absent), "{told}");
    }
    let (name, receipt) = scene.save_receipt();
    assert!(name.starts_with(&client) && name.ends_with(".receipt.tar"), "{name}");
    desk.file(&name, &receipt);
    let taken = desk.line(&format!("receipt {name} --receipt-key archive/receipt-key.pub.pem --json")).ok().json();
    assert_eq!((&taken["receipts"][0]["acknowledged"], &taken["pending"]), (&2.into(), &0.into()));

    scene.upload("bundle.tar");
    let told = browser.wait_for(&part("accepted"), "This bundle had arrived before");
    assert!(told.contains("Nothing was stored twice"), "{told}");
    browser.picture("again");
    assert_eq!(scene.save_receipt(), (name.clone(), receipt.clone()), "the same receipt");
    // It is also there for those who come back.
    browser.click(&part("later-link"));
    assert_eq!(browser.downloaded(), (name, receipt));
    scene.is_content();
}

#[test]
fn gaps_forks_and_rejected_records_are_told_in_words() {
    let Some(scene) = Scene::open("") else { return };
    let key = private("snakeoil-client.pem");
    let made = |sequence, previous, record| Made { key: &key, sequence, previous, record };
    let first = make(&scene.desk, "1.tar", &made(1, None, (1, "x")));
    let second = make(&scene.desk, "2.tar", &made(2, Some(first), (2, "x")));
    make(&scene.desk, "2b.tar", &made(2, Some(first), (1, "x")));
    let missing = make(&scene.desk, "3.tar", &made(3, Some(second), (4, "x")));
    make(&scene.desk, "4.tar", &made(4, Some(missing), (1, "y")));
    let words = ["An earlier bundle is missing", "Another bundle has the same number", "Some records were not taken"];
    for (name, sequence, outcome, expected) in [
        ("1.tar", 1, "Records taken 1 Records known before 0 Records not taken 0", [false, false, false]),
        ("2.tar", 2, "Records taken 1 Records known before 0 Records not taken 0", [false, false, false]),
        ("4.tar", 4, "Records taken 0 Records known before 0 Records not taken 1", [true, false, true]),
        ("2b.tar", 2, "Records taken 0 Records known before 1 Records not taken 0", [false, true, false]),
    ] {
        scene.upload(name);
        let told = scene.browser.wait_for(&part("accepted"), &format!("Sequence number {sequence}"));
        assert!(told.contains(outcome), "{name}: {told}");
        assert_eq!(words.map(|word| told.contains(word)), expected, "{name}: {told}");
        if name == "4.tar" {
            scene.browser.picture("gap-and-rejected");
        }
    }
    scene.is_content();
}

#[test]
fn a_file_is_dropped_anywhere_on_the_page() {
    let Some(scene) = Scene::open("") else { return };
    export(&scene.desk, "bundle.tar", "x");
    export(&scene.desk, "other.tar", "x");
    let drop = |names: &[&str]| {
        let files: Vec<_> = names.iter().map(|name| scene.desk.path(name)).collect();
        for kind in ["dragEnter", "dragOver", "drop"] {
            let data = json!({"items": [], "files": files, "dragOperationsMask": 1});
            scene.browser.tools("Input.dispatchDragEvent", &json!({"type": kind, "x": 300, "y": 60, "data": data}));
        }
    };
    drop(&["bundle.tar", "other.tar"]);
    scene.browser.wait_for(&part("refused"), "these are several files");
    assert!(!scene.browser.is_shown(&part("upload")));
    drop(&["bundle.tar"]);
    scene.browser.wait_for(&part("summary"), "bundle.tar, 9,216 bytes");
    assert!(!scene.browser.is_shown(&part("refused")));
    scene.browser.click(&part("upload"));
    scene.browser.wait_for(&part("accepted"), "The bundle has arrived");
    drop(&["archive"]);
    scene.browser.wait_for(&part("refused"), "it can’t be read");
    assert_eq!(scene.browser.run("return location.pathname"), "/", "the browser did not open it");
    scene.is_content();
}

#[test]
fn what_a_bundle_says_of_itself_is_shown_as_text() {
    let Some(scene) = Scene::open("") else { return };
    let markup = "<img src=x onerror=document.title='run'><script>document.title='run'</script>";
    let note = format!("{markup}\u{202e}\u{7}{}", "long".repeat(200));
    scene.desk.collect();
    scene.desk.run(["export", "-o", "bundle.tar", "--note", &note]).ok();
    scene.choose("bundle.tar");
    let shown = scene.browser.wait_for(&slot("note"), "<img");
    assert!(shown.contains(markup) && shown.contains("\\u{202e}\\u{7}longlong"), "{shown}");

    // Nobody signed this one, but the browser can't tell.
    let manifest = json!({
        "format": "kubermatic-telemetry-bundle/1",
        "client": markup,
        "sequence": {"a": 1},
        "created": [markup],
        "records": [{"kind": markup, "time": markup}, {"kind": "__proto__"}, null, 7],
        "note": null,
        "withheld": [markup, {}],
        "dropped": "x",
        "discarded": 3,
    });
    let manifest = manifest.to_string();
    let files: [(&str, &[u8]); 3] =
        [("manifest.json", manifest.as_bytes()), ("manifest.json.sig", &[b'A'; 89]), ("records.tar.gz", b"")];
    tar(&scene.desk.path("<b>hostile&quot;.tar"), &files);
    scene.choose("<b>hostile&quot;.tar");
    let summary = scene.browser.wait_for(&part("summary"), "hostile");
    for text in [
        "<b>hostile&quot;.tar",
        &format!("Client {markup}"),
        "Sequence number ?",
        "Made ?",
        &format!("4 (1 {markup}, 1 __proto__, 2 ?)"),
        &format!("Left out by the site {markup}, ?"),
        "Removed at the site, unsent 3",
    ] {
        assert!(summary.contains(text), "`{text}` is not in {summary}");
    }
    scene.sent_nothing();
    scene.browser.click(&part("upload"));
    scene.browser.wait_for(&part("refused"), "The bundle was not accepted File: <b>hostile&quot;.tar What is wrong: ");
    assert_eq!(scene.browser.run("return document.title"), "Upload a bundle · Kubermatic telemetry");
    assert_eq!(scene.browser.run("return document.querySelectorAll('img, b, main script').length"), 0);
    scene.is_content_but_for(&[422]);
}

#[test]
fn a_closed_server_is_told_its_token_and_the_page_forgets_it() {
    let desk = Desk::new();
    let token = desk.file("token", "snakeoil-0123456789");
    let Some(scene) = Scene::open(&format!("--token-file {}", token.display())) else { return };
    let browser = &scene.browser;
    crate::people::export_large(&scene.desk, "bundle.tar");
    scene.choose("bundle.tar");
    for (token, text) in [
        ("not it: \u{e4}", "the access token has characters that no token has"),
        // The answer comes while the bundle is still being sent.
        ("snakeoil-9876543210", "is not the one that this server expects"),
    ] {
        browser.run("document.getElementById('token').value = ''");
        browser.type_into("#token", token);
        browser.wait_for(&part("upload"), "Upload");
        browser.click(&part("upload"));
        let told = browser.wait_for(&part("refused"), text);
        assert!(told.contains("copy the access token once more"), "{told}");
        browser.picture("closed");
    }
    browser.run("document.getElementById('token').value = ''");
    browser.type_into("#token", " snakeoil-0123456789");
    browser.click(&part("upload"));
    browser.wait_for(&part("accepted"), "The bundle has arrived");
    assert!(!browser.is_shown(&part("later")), "a link carries no token");
    let (name, receipt) = scene.save_receipt();
    scene.desk.file(&name, receipt);
    scene.desk.line(&format!("receipt {name} --receipt-key archive/receipt-key.pub.pem")).ok();
    let stored = "return [localStorage.length, sessionStorage.length, document.cookie.length, location.href]";
    assert_eq!(browser.run(stored), json!([0, 0, 0, scene.server.url()]));
    scene.is_content_but_for(&[401]);
}
