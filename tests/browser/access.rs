//! The page with a keyboard and with a screen reader.

use std::env;
use std::fs;

use serde_json::{Value, json};

use crate::driver::Browser;
use crate::people::{Scene, export, part, slot};
use crate::support::{say, skip};

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

fn focus(browser: &Browser) -> Value {
    browser.run("const e = document.activeElement; return e.id || e.dataset.part || e.dataset.slot || e.tagName")
}

#[test]
fn a_keyboard_is_enough() {
    let Some(scene) = Scene::open("") else { return };
    let browser = &scene.browser;
    export(&scene.desk, "bundle.tar", "x");
    scene.desk.file("empty.tar", "");
    // The file chooser is the system's own and has no window here; that it opens is seen in what the browser tells.
    browser.tools("Page.setInterceptFileChooserDialog", &json!({"enabled": true}));
    browser.press(TAB);
    assert_eq!(focus(browser), "bundle");
    browser.press(ENTER);
    let opened = browser.chooser_opened();
    let choose = |name: &str| {
        let file = scene.desk.path(name);
        browser.tools("DOM.setFileInputFiles", &json!({"files": [file], "backendNodeId": opened}));
    };
    choose("empty.tar");
    browser.wait_for(&part("refused"), "it is empty");
    assert_eq!(focus(browser), "refused", "what went wrong is read out");
    browser.press(TAB);
    assert_eq!(focus(browser), "bundle");
    choose("bundle.tar");
    browser.wait_for(&part("summary"), "Nothing has been sent yet");
    assert_eq!(focus(browser), "bundle", "the focus stays where it was");
    browser.press(TAB);
    assert_eq!(focus(browser), "upload");
    let ring = "const s = getComputedStyle(document.activeElement); return [s.outlineStyle, s.outlineWidth]";
    assert_eq!(browser.run(ring), json!(["solid", "3px"]), "the focus can be seen");
    browser.press(ENTER);
    browser.wait_for(&part("accepted"), "The bundle has arrived");
    assert_eq!(focus(browser), "accepted", "the result is read out");
    browser.press(TAB);
    assert_eq!(focus(browser), "receipt");
    browser.press(ENTER);
    let (name, _) = browser.downloaded();
    assert!(name.ends_with(".receipt.tar"), "{name}");
    for next in ["later-link", "bundle"] {
        browser.press(TAB);
        assert_eq!(focus(browser), next);
    }
    scene.is_content();
}

#[test]
fn an_upload_is_cancelled_by_keyboard() {
    let Some(scene) = Scene::open("") else { return };
    let browser = &scene.browser;
    crate::people::export_large(&scene.desk, "large.tar");
    scene.server.signal("STOP");
    scene.choose("large.tar");
    browser.wait_for(&part("summary"), "Nothing has been sent yet");
    browser.run("document.querySelector('[data-part=upload]').focus()");
    browser.press(ENTER);
    browser.wait_for(&slot("progress-text"), " MB of ");
    assert_eq!(focus(browser), "cancel");
    browser.press(ENTER);
    browser.wait_for(&part("refused"), "The upload was cancelled");
    assert_eq!(focus(browser), "refused");
    scene.server.signal("CONT");
}

/// Role and name of what a screen reader finds, in its order.
fn heard(browser: &Browser) -> Vec<(String, String)> {
    browser.tools("Accessibility.enable", &json!({}));
    let tree = browser.tools("Accessibility.getFullAXTree", &json!({}));
    let nodes = tree["nodes"].as_array().unwrap().iter().filter(|node| node["ignored"] == false);
    let text = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
    nodes.map(|node| (text(&node["role"]), text(&node["name"]))).collect()
}

#[test]
fn a_screen_reader_finds_names_roles_and_news() {
    let Some(scene) = Scene::open("") else { return };
    let browser = &scene.browser;
    export(&scene.desk, "bundle.tar", "x");
    let has = |role: &str, name: &str| {
        let found = heard(browser);
        assert!(found.iter().any(|(r, n)| r == role && n.contains(name)), "no {role} `{name}` in {found:?}");
    };
    has("banner", "");
    has("main", "");
    has("heading", "Upload a bundle");
    has("button", "The bundle");
    has("status", "");
    let described = "return document.getElementById('bundle').getAttribute('aria-describedby')";
    assert_eq!(browser.run(described), "bundle-help");
    scene.choose("bundle.tar");
    browser.wait_for(&part("summary"), "Nothing has been sent yet");
    let news = "return document.querySelector('[role=status]').textContent";
    assert!(browser.run(news).as_str().unwrap().contains("with 2 records. Nothing was sent yet."));
    has("region", "What is in the file");
    has("button", "Upload");
    has("term", "Client");
    scene.server.signal("STOP");
    browser.click(&part("upload"));
    browser.wait_for(&slot("progress-text"), "Everything is sent");
    has("progressbar", "Uploading");
    has("button", "Cancel");
    assert!(browser.run(news).as_str().unwrap().contains("The server is checking the bundle"));
    scene.server.signal("CONT");
    browser.wait_for(&part("accepted"), "The bundle has arrived");
    has("region", "The bundle has arrived");
    has("link", "Save the receipt");
    let levels = "return [...document.querySelectorAll('h1, h2, h3')].filter(h => h.checkVisibility())\
                  .map(h => h.tagName).join(' ')";
    assert_eq!(browser.run(levels), "H1 H2");
    scene.is_content();
}

#[test]
fn axe_finds_nothing_to_complain_of() {
    let Some(axe) = env::var_os("AXE_CORE").and_then(|path| fs::read_to_string(path).ok()) else {
        skip("AXE_CORE does not name the file axe.min.js");
        return;
    };
    let desk = crate::support::Desk::new();
    let token = desk.file("token", "snakeoil-0123456789");
    let Some(scene) = Scene::open(&format!("--token-file {}", token.display())) else { return };
    let browser = &scene.browser;
    export(&scene.desk, "bundle.tar", "x");
    scene.desk.file("empty.tar", "");
    let mut rules = 0;
    for scheme in ["light", "dark"] {
        browser.look(scheme, 1000);
        browser.goto(&scene.server.url());
        browser.run(&format!("{axe}; window.axe = axe;"));
        let mut check = |state: &str| {
            // Rules that need another page are none of these.
            let run = "const done = arguments[0]; axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', \
                       'wcag22aa', 'best-practice']}).then(done, error => done(String(error)))";
            let result = browser.run_until_told(run);
            let found = |kind: &str| -> Vec<String> {
                let found = result[kind].as_array().unwrap_or_else(|| panic!("{result}")).iter();
                found.map(|rule| format!("{}: {}", rule["id"], rule["nodes"])).collect()
            };
            assert!(found("violations").is_empty(), "{scheme}, {state}: {:#?}", found("violations"));
            assert!(found("incomplete").is_empty(), "{scheme}, {state}: {:#?}", found("incomplete"));
            rules += found("passes").len();
        };
        check("start");
        scene.choose("empty.tar");
        browser.wait_for(&part("refused"), "it is empty");
        check("refused");
        browser.type_into("#token", "snakeoil-0123456789");
        scene.choose("bundle.tar");
        browser.wait_for(&part("summary"), "Nothing has been sent yet");
        check("summary");
        browser.click(&part("upload"));
        browser.wait_for(&part("accepted"), "arrived");
        check("accepted");
    }
    say("measured", &format!("{rules} rules passed in 8 states"));
}
