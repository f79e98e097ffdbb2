//! The page about all installations, opened as a file: it asks nobody, and can be read in light, dark, on a phone and on
//! paper.

use std::env;
use std::fs;

use serde_json::{Value, json};

use crate::driver::{Browser, Script};
use crate::fleets::{Archive, cluster, lively, record};
use crate::support::{say, skip};

/// What nobody may see come true.
const HOSTILE: &str =
    "</svg></table><img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>\u{202e}";

/// The least contrast of words with the card behind them, as WCAG computes it.
const LEAST_CONTRAST: &str = "const luminance = color => { const [r, g, b] = color.match(/[0-9.]+/g).slice(0, 3)\
    .map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);\
    return 0.2126 * r + 0.7152 * g + 0.0722 * b };\
    const words = [...document.querySelectorAll('section *')].filter(e => !e.closest('title, desc')\
        && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()));\
    return Math.min(...words.map(text => {\
        const style = getComputedStyle(text);\
        const a = luminance(text.tagName === 'text' ? style.fill : style.color);\
        const b = luminance(getComputedStyle(text.closest('section')).backgroundColor);\
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) }))";

/// A browser that shows the page of an archive, if there is one.
fn open(archive: &Archive) -> Option<Browser> {
    let browser = Browser::open(&archive.desk.path(""), Script::Runs)?;
    archive.page();
    browser.goto(&url(archive));
    Some(browser)
}

fn url(archive: &Archive) -> String {
    format!("file://{}", archive.desk.path("fleet.html").display())
}

/// Insists that nothing was asked for but the file itself, and that the page has nothing to complain of.
fn is_content(browser: &Browser, archive: &Archive) {
    let asked: Vec<_> = browser.requests().into_iter().map(|request| request.url).collect();
    let own = |url: &String| !["data:", "chrome://"].iter().any(|start| url.starts_with(start));
    let asked: Vec<_> = asked.into_iter().filter(own).collect();
    assert!(!asked.is_empty() && asked.iter().all(|asked| *asked == url(archive)), "{asked:?}");
    assert_eq!(browser.complaints(), []);
}

/// Twelve installations that tell hostile texts, and six that do not.
fn hostile() -> Archive {
    let texts = [HOSTILE.to_owned(), "w".repeat(3000), "\u{5d0}\u{5d1}\u{202e}\u{0}".to_owned()];
    let records: Vec<_> = (0..18_u8)
        .map(|client| {
            let text = &texts[usize::from(client / 6)];
            let mut cluster = cluster(text, text);
            cluster["cniPlugin"]["type"] = text.as_str().into();
            let members = json!({
                "clusters": [cluster], "kubermaticVersion": text,
                "machineDeployments": [{"os": text}], "seeds": [{"country": text}],
            });
            (client, record("2025-06-15T12:00:00Z", &members))
        })
        .collect();
    let mut archive = Archive::new();
    archive.accept(&records);
    archive
}

/// Nothing reaches beyond the side of the page; what is wider scrolls in itself.
fn fits(browser: &Browser, what: &str) {
    let width = browser.run("const e = document.scrollingElement; return [e.scrollWidth, e.clientWidth]");
    assert_eq!(width[0], width[1], "{what} is wider than the screen");
}

#[test]
fn the_report_asks_nobody_and_fits_every_screen_and_paper() {
    let archive = lively();
    let Some(browser) = open(&archive) else { return };
    for scheme in ["light", "dark"] {
        for (device, width) in [("desk", 1000), ("phone", 360)] {
            browser.look(scheme, width);
            browser.goto(&url(&archive));
            let ground = browser.run("return getComputedStyle(document.body).backgroundColor");
            assert_eq!(ground, json!(if scheme == "dark" { "rgb(16, 21, 29)" } else { "rgb(244, 246, 249)" }));
            fits(&browser, device);
            browser.picture(&format!("fleet-{scheme}-{device}"));
        }
    }
    browser.look("light", 1000);
    browser.tools("Emulation.setEmulatedMedia", &json!({"media": "print"}));
    let text = browser.text("main");
    for shown in ["Installations by month", "User clusters by provider, 2026-02", "How fast KKP versions are adopted"] {
        assert!(text.contains(shown), "{shown} in {text}");
    }
    fits(&browser, "paper");
    browser.picture("fleet-print");
    let unseen = "return [...document.querySelectorAll('figure svg[role=img]')]\
                  .filter(e => e.getBoundingClientRect().height < 30).length";
    assert_eq!(browser.run(unseen), 0, "every chart can be seen");
    is_content(&browser, &archive);
}

#[test]
fn the_report_shows_hostile_texts_as_text() {
    let archive = hostile();
    let Some(browser) = open(&archive) else { return };
    for (device, width) in [("desk", 1000), ("phone", 360)] {
        browser.look("light", width);
        browser.goto(&url(&archive));
        fits(&browser, device);
        browser.picture(&format!("fleet-hostile-{device}"));
    }
    let text = browser.text("main");
    assert!(text.contains("</svg></table><img src=x onerror="), "{text}");
    assert_eq!(browser.run("return document.title"), "The fleet · Kubermatic telemetry");
    assert_eq!(browser.run("return document.querySelectorAll('img, script, a, iframe, link').length"), 0);
    is_content(&browser, &archive);
}

#[test]
fn the_report_has_a_table_for_every_chart_and_headings_in_order() {
    let archive = lively();
    let Some(browser) = open(&archive) else { return };
    let bare = "return [...document.querySelectorAll('figure')].filter(f => !f.querySelector('table caption')\
                || !f.querySelector('svg[role=img] > title')?.textContent\
                || !f.querySelector('svg[role=img] > desc')?.textContent).length";
    assert_eq!(browser.run(bare), 0);
    assert!(browser.run("return document.querySelectorAll('figure').length").as_u64().unwrap() >= 14);
    let levels = browser.run("return [...document.querySelectorAll('h1, h2, h3')].map(h => h.tagName).join(' ')");
    assert_eq!(levels, "H1 H2 H2 H2 H2 H2 H2 H2 H2");
    // Numbers of a chart are those of its table.
    let largest = browser.run(
        "const f = [...document.querySelectorAll('figure')]\
         .find(f => f.textContent.startsWith('User clusters by provider, '));\
         const texts = selector => [...f.querySelectorAll(selector)].map(t => t.textContent);\
         return [texts('text.value'), texts('tbody td')]",
    );
    assert!(largest[0].as_array().unwrap().len() > 5 && largest[0] == largest[1], "{largest}");
}

#[test]
fn axe_finds_nothing_to_complain_of_in_the_report() {
    let Some(axe) = env::var_os("AXE_CORE").and_then(|path| fs::read_to_string(path).ok()) else {
        skip("AXE_CORE does not name the file axe.min.js");
        return;
    };
    let mut rules = 0;
    for (name, archive) in [("lively", lively()), ("hostile", hostile())] {
        let Some(browser) = open(&archive) else { return };
        for scheme in ["light", "dark"] {
            browser.look(scheme, 1000);
            browser.goto(&url(&archive));
            browser.run(&format!("{axe}; window.axe = axe;"));
            let run = "const done = arguments[0]; axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', \
                       'wcag22aa', 'best-practice']}).then(done, error => done(String(error)))";
            let result = browser.run_until_told(run);
            let found = |kind: &str| -> Vec<String> {
                let found = result[kind].as_array().unwrap_or_else(|| panic!("{result}")).iter();
                found.map(|rule: &Value| format!("{}: {}", rule["id"], rule["nodes"])).collect()
            };
            assert!(found("violations").is_empty(), "{name}, {scheme}: {:#?}", found("violations"));
            // It can't see what is behind words in drawings and in what scrolls: that is computed here.
            let incomplete = result["incomplete"].as_array().unwrap().iter();
            let nodes: Vec<_> = incomplete
                .flat_map(|rule| rule["nodes"].as_array().unwrap().iter().map(move |node| (&rule["id"], node)))
                .filter(|(id, _)| **id != "color-contrast")
                .map(|(id, node)| format!("{id}: {}, {}", node["html"], node["failureSummary"]))
                .collect();
            assert!(nodes.is_empty(), "{name}, {scheme}: {nodes:#?}");
            let least = browser.run(LEAST_CONTRAST).as_f64().unwrap();
            assert!(least >= 4.5, "{name}, {scheme}: words have a contrast of {least}");
            rules += found("passes").len();
        }
    }
    say("measured", &format!("{rules} rules passed in 4 states"));
}
