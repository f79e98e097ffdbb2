//! The page where no script runs: a plain form.

use std::fs;

use crate::driver::Script;
use crate::people::{Scene, export, part};
use crate::support::Desk;

#[test]
fn a_plain_form_takes_the_bundle_and_gives_the_receipt() {
    let Some(scene) = Scene::open_with(Script::Blocked, "") else { return };
    let (desk, browser) = (&scene.desk, &scene.browser);
    export(desk, "bundle.tar", "x");
    assert!(browser.is_shown(&part("upload")), "the form can be used as it stands");
    assert!(!browser.is_shown(&part("drop-help")), "nothing is promised that needs script");
    browser.picture("plain-form");
    scene.upload_plainly("bundle.tar");
    let told = browser.wait_for(&part("accepted"), "The bundle has arrived");
    assert!(told.contains("Records taken 2"), "{told}");
    browser.picture("plain-accepted");
    let (name, receipt) = scene.save_receipt();
    desk.file(&name, &receipt);
    let taken = desk.line(&format!("receipt {name} --receipt-key archive/receipt-key.pub.pem --json")).ok().json();
    assert_eq!((&taken["receipts"][0]["acknowledged"], &taken["pending"]), (&2.into(), &0.into()));

    scene.upload_plainly("bundle.tar");
    browser.wait_for(&part("accepted"), "This bundle had arrived before");
    assert_eq!(scene.save_receipt(), (name, receipt));
    scene.is_content();
}

#[test]
fn a_plain_form_tells_what_is_wrong_and_can_be_used_again() {
    let Some(scene) = Scene::open_with(Script::Blocked, "--limit bundle-bytes=1000000") else { return };
    let (desk, browser) = (&scene.desk, &scene.browser);
    export(desk, "bundle.tar", "CHG-0815");
    let mut tampered = fs::read(desk.path("bundle.tar")).unwrap();
    let at = tampered.windows(8).position(|window| window == b"CHG-0815").unwrap();
    tampered[at] ^= 1;
    desk.file("tampered.tar", tampered);
    desk.file("page.html", "<html>");
    desk.file("large.tar", vec![b'x'; 50_000_000]);
    for (name, text) in [
        ("tampered.tar", "its signature does not match"),
        ("page.html", "it is a web page"),
        ("large.tar", "the bundle is larger than 1000000 bytes"),
    ] {
        scene.upload_plainly(name);
        let told = browser.wait_for(&part("refused"), text);
        assert!(told.contains("The bundle was not accepted") && told.contains("For whoever helps you"), "{told}");
        if name == "tampered.tar" {
            browser.picture("plain-tampered");
        }
    }
    // The page that tells of the failure has the form, too.
    scene.choose("bundle.tar");
    browser.click(&part("upload"));
    browser.wait_for(&part("accepted"), "The bundle has arrived");
    scene.is_content_but_for(&[400, 413, 422]);
}

#[test]
fn a_plain_form_takes_a_token_and_gives_the_receipt_with_the_answer() {
    let desk = Desk::new();
    let token = desk.file("token", "snakeoil-0123456789");
    let line = format!("--token-file {}", token.display());
    let Some(scene) = Scene::open_with(Script::Blocked, &line) else { return };
    export(&scene.desk, "bundle.tar", "x");
    let browser = &scene.browser;
    browser.type_into("#token", "snakeoil-9876543210");
    scene.choose("bundle.tar");
    browser.click(&part("upload"));
    browser.wait_for(&part("refused"), "copy the access token once more");
    browser.type_into("#token", "snakeoil-0123456789");
    scene.choose("bundle.tar");
    browser.click(&part("upload"));
    browser.wait_for(&part("accepted"), "The bundle has arrived");
    let (name, receipt) = scene.save_receipt();
    scene.desk.file(&name, receipt);
    scene
        .desk
        .line(&format!("receipt {name} --receipt-key archive/receipt-key.pub.pem"))
        .ok()
        .says("0 records pending");
    scene.is_content_but_for(&[401]);
}
