//! How the page looks: light and dark, on a desk and on a phone.

use std::fs;

use serde_json::json;

use crate::people::{Scene, part};

/// Nothing reaches beyond the side of the page, and what is pressed is large enough for a thumb.
fn fits(scene: &Scene, what: &str) {
    let width = "const e = document.scrollingElement; return [e.scrollWidth, e.clientWidth]";
    let width = scene.browser.run(width);
    assert_eq!(width[0], width[1], "{what} is wider than the screen");
    let small = "return [...document.querySelectorAll('button, .button, input')].map(e => e.getBoundingClientRect())\
                 .filter(r => r.height > 0 && r.height < 44).length";
    assert_eq!(scene.browser.run(small), 0, "{what} has something that is too small to press");
}

#[test]
fn the_page_fits_desks_and_phones_in_light_and_dark() {
    let Some(scene) = Scene::open("") else { return };
    let browser = &scene.browser;
    let note = "A long note <b>with</b> markup, and a word without an end: ".to_owned() + &"x".repeat(300);
    let export = || {
        scene.desk.collect();
        scene.desk.run(["export", "--force", "-o", "bundle.tar", "--note", &note]).ok();
    };
    export();
    scene.desk.file("cut.tar", &fs::read(scene.desk.path("bundle.tar")).unwrap()[..3000]);
    for scheme in ["light", "dark"] {
        for (device, width) in [("desk", 1000), ("phone", 360), ("narrow", 320)] {
            let shot = |state: &str| {
                fits(&scene, &format!("{state} on a {device}"));
                browser.picture(&format!("{state}-{scheme}-{device}"));
            };
            browser.look(scheme, width);
            browser.goto(&scene.server.url());
            let ground = browser.run("return getComputedStyle(document.body).backgroundColor");
            assert_eq!(ground, json!(if scheme == "dark" { "rgb(16, 21, 29)" } else { "rgb(244, 246, 249)" }));
            assert_eq!(browser.is_shown(".mouse"), device == "desk", "nothing can be dropped on a phone");
            shot("start");
            scene.choose("cut.tar");
            browser.wait_for(&part("refused"), "it is cut off");
            shot("cut");
            scene.choose("bundle.tar");
            browser.wait_for(&part("summary"), "Nothing has been sent yet");
            shot("summary");
            browser.click(&part("upload"));
            browser.wait_for(&part("accepted"), "The bundle has arrived");
            shot("accepted");
            export();
        }
    }
    scene.is_content();
}

#[test]
fn nothing_moves_for_those_who_do_not_want_it() {
    let Some(scene) = Scene::open("") else { return };
    let moves = "return [...document.querySelectorAll('*')].map(e => getComputedStyle(e))\
                 .filter(s => s.transitionDuration !== '0s' || s.animationName !== 'none').length";
    assert!(scene.browser.run(moves).as_u64().unwrap() > 0, "there is something that moves");
    let feature = json!([{"name": "prefers-reduced-motion", "value": "reduce"}]);
    scene.browser.tools("Emulation.setEmulatedMedia", &json!({"features": feature}));
    assert_eq!(scene.browser.run(moves), 0);
}
