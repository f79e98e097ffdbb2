//! Pages from files: opened without a server, they ask nothing of any network, show whatever a bundle says as text, and
//! can be read on a desk, on a phone, on paper, and with a screen reader.

use std::env;
use std::fs;

use serde_json::{Value, json};

use crate::driver::{Browser, Script};
use crate::made::make_of;
use crate::sample::{MARKUP, days, hostile};
use crate::support::{Desk, header, say, skip};

/// A browser, and the page of a bundle.
struct Reader {
    desk: Desk,
    browser: Browser,
}

impl Reader {
    /// Opens the page of a bundle with these records, if there is a browser.
    fn of(script: Script, note: &str, records: impl FnOnce(&Desk) -> Vec<Value>) -> Option<Self> {
        let desk = Desk::new();
        let browser = Browser::open(&desk.path(""), script)?;
        let withheld = vec![MARKUP.to_owned(), "locations".to_owned()];
        let header = kubermatic_telemetry::bundle::pack::Header {
            note: Some(note.to_owned()),
            withheld,
            dropped: 3,
            ..header()
        };
        make_of(&desk, "bundle.tar", header, &records(&desk));
        desk.line("inspect bundle.tar --html page.html").ok();
        let reader = Self { desk, browser };
        reader.open();
        Some(reader)
    }

    fn url(&self) -> String {
        format!("file://{}", self.desk.path("page.html").display())
    }

    fn open(&self) {
        self.browser.goto(&self.url());
    }

    fn unfold(&self) {
        self.browser.run("document.querySelectorAll('details').forEach(it => { it.open = true })");
    }

    /// Insists that nothing but the page itself was asked for, and that it complained of nothing.
    fn is_content(&self) {
        // The browser's own first page is none of this.
        let requests = self.browser.requests().into_iter().filter(|it| !it.url.starts_with("chrome://"));
        let requests: Vec<_> = requests.collect();
        let others: Vec<_> =
            requests.iter().filter(|it| it.url != self.url() && !it.url.starts_with("data:")).collect();
        assert!(!requests.is_empty() && others.is_empty(), "{others:?}");
        assert_eq!(self.browser.complaints(), []);
    }
}

#[test]
fn a_page_from_a_file_asks_nothing_of_any_network() {
    let Some(reader) = Reader::of(Script::Runs, "CHG-0815", |desk| days(desk, 3)) else { return };
    let browser = &reader.browser;
    assert_eq!(
        browser.run("return document.title"),
        "Bundle 1 of 6f9619ff-8b86-4d01-b42d-00cf4fc964ff · Kubermatic telemetry"
    );
    let color = browser.run("return getComputedStyle(document.querySelector('header')).textAlign");
    assert_eq!(color, "center", "its style is in force");
    let parts =
        "return document.querySelectorAll('script, link, img, iframe, object, embed, form, [style], [src]').length";
    assert_eq!(browser.run(parts), 0);
    reader.is_content();

    // Its policy stops whatever could get into it.
    browser.run(
        "document.body.insertAdjacentHTML('beforeend', `<img src='http://127.0.0.1:9/x.png'>\
         <link rel=stylesheet href='http://127.0.0.1:9/x.css'><style>header { text-align: right }</style>\
         <p style='color: red' id=painted>x</p><iframe src='http://127.0.0.1:9/'></iframe>\
         <a href='#x' onclick='document.title = 1' id=pressed>x</a>`); document.getElementById('pressed').click()",
    );
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(browser.run("return getComputedStyle(document.querySelector('header')).textAlign"), "center");
    assert_ne!(browser.run("return getComputedStyle(document.getElementById('painted')).color"), "rgb(255, 0, 0)");
    assert_ne!(browser.run("return document.title"), "1");
    let asked: Vec<_> = browser.requests().into_iter().filter(|it| it.url.contains("127.0.0.1:9")).collect();
    let complaints: Vec<_> = browser.complaints().into_iter().map(|(_, what)| what).collect();
    let refused = complaints.iter().filter(|what| what.contains("Content Security Policy")).count();
    assert!(refused >= 5, "{complaints:#?}, {asked:?}");
}

#[test]
fn a_page_needs_no_script() {
    let Some(reader) = Reader::of(Script::Blocked, "CHG-0815", |desk| days(desk, 3)) else { return };
    assert!(reader.browser.text("main").contains("What is in this bundle WARNING: intact, but of an unknown signer"));
    reader.browser.click("details summary");
    assert!(reader.browser.is_shown("details[open]"), "what is folded opens");
    reader.is_content();
}

#[test]
fn whatever_a_bundle_says_is_shown_as_text() {
    let odd = "\u{202e}\u{7}\u{200b}";
    let note = format!("{MARKUP}{odd}");
    let Some(reader) = Reader::of(Script::Runs, &note, |_| hostile()) else { return };
    let browser = &reader.browser;
    reader.unfold();
    let texts = browser.run("return [...document.querySelectorAll('bdi')].map(it => it.textContent)");
    let texts: Vec<_> = texts.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    assert!(texts.contains(&format!("{MARKUP}\\u{{202e}}\\u{{7}}\\u{{200b}}").as_str()), "the note: {texts:?}");
    let same = texts.iter().filter(|text| **text == MARKUP).count();
    assert!(same > 20, "{same} of {texts:?}");
    say("measured", &format!("{same} hostile strings that show as they are"));
    let json = browser.run("return document.querySelector('pre').textContent");
    let json: Value = serde_json::from_str(json.as_str().unwrap()).unwrap();
    assert_eq!(json["later"], MARKUP, "a record that is shown as it is can be read as JSON");
    assert_eq!(browser.run("return document.title").as_str().unwrap().split(' ').next(), Some("Bundle"));
    assert_eq!(browser.run("return document.querySelectorAll('script, img').length"), 0);
    let odd = browser.run("return /[\\u202e\\u0007\\u001b\\u200b]/.test(document.documentElement.textContent)");
    assert_eq!(odd, false);
    browser.look("light", 1000);
    for id in ["newest", "changes"] {
        browser.picture_of(&format!("hostile-{id}"), &format!("section:has(#{id})"));
    }
    reader.is_content();
}

#[test]
fn a_page_fits_desks_phones_and_paper_in_light_and_dark() {
    let note = "A long note <b>with</b> markup, and a word without an end: ".to_owned() + &"x".repeat(300);
    let other = |day: usize| json!({"kind": "other", "version": "v1", "time": format!("2026-01-0{day}T00:00:00Z"), "things": [{"id": "a", "long": "y".repeat(300)}]});
    let records = |desk: &Desk| days(desk, 25).into_iter().chain([other(1), other(3)]).collect();
    let Some(reader) = Reader::of(Script::Runs, &note, records) else { return };
    let browser = &reader.browser;
    for scheme in ["light", "dark"] {
        for (device, width) in [("desk", 1200), ("phone", 360), ("narrow", 320)] {
            browser.look(scheme, width);
            reader.open();
            let ground = browser.run("return getComputedStyle(document.body).backgroundColor");
            assert_eq!(ground, json!(if scheme == "dark" { "rgb(16, 21, 29)" } else { "rgb(244, 246, 249)" }));
            for unfolded in [false, true] {
                if unfolded {
                    reader.unfold();
                }
                let width = "const e = document.scrollingElement; return [e.scrollWidth, e.clientWidth]";
                let width = browser.run(width);
                assert_eq!(width[0], width[1], "the page is wider than a {device}");
            }
            reader.open();
            assert_eq!(browser.run(OVERLAPS), json!([]), "labels of charts lie on one another on a {device}");
            for section in ["signer", "records", "counts", "newest", "changes"] {
                browser.picture_of(&format!("{section}-{scheme}-{device}"), &format!("section:has(#{section})"));
            }
            browser.picture_of(&format!("verdict-{scheme}-{device}"), ".outcome");
        }
    }
    // On paper everything is unfolded, in the colours of paper, and nothing is cut off at the side of a sheet.
    browser.look("dark", 1000);
    reader.open();
    browser.tools("Emulation.setEmulatedMedia", &json!({"media": "print"}));
    let folded = "return [...document.querySelectorAll('details')].filter(it => it.open || !it.lastElementChild.checkVisibility({contentVisibilityAuto: true})).length";
    assert_eq!(browser.run(folded), 0, "what is folded is shown");
    let hidden = "return [...document.querySelectorAll('details')].filter(it => it.lastElementChild.getBoundingClientRect().height < 20).length";
    assert_eq!(browser.run(hidden), 0, "and takes its place");
    let cut = "return [...document.querySelectorAll('.wide')].filter(it => it.scrollWidth > it.clientWidth + 1).map(it => it.ariaLabel)";
    assert_eq!(browser.run(cut), json!([]), "tables that a sheet has no room for");
    assert_eq!(browser.run("return getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)");
    for section in ["signer", "counts", "newest"] {
        browser.picture_of(&format!("{section}-print"), &format!("section:has(#{section})"));
    }
    let pdf = browser.tools("Page.printToPDF", &json!({"preferCSSPageSize": true}));
    let pdf = pdf["data"].as_str().unwrap().len() / 4 * 3;
    say("measured", &format!("{pdf} bytes of PDF"));
    assert!(pdf > 50_000, "{pdf}");
    reader.is_content();
}

/// Texts of a chart that lie on one another.
const OVERLAPS: &str = "
    const found = [];
    for (const svg of document.querySelectorAll('figure svg[role=img]')) {
        const shown = [...svg.querySelectorAll('text')].filter(it => getComputedStyle(it).display !== 'none');
        const texts = shown.map(it => [it.textContent, it.getBoundingClientRect()]);
        const frame = svg.getBoundingClientRect();
        texts.forEach(([text, a], index) => {
            if (a.left < frame.left - 1 || a.right > frame.right + 1 || a.bottom > frame.bottom + 1) found.push(text);
            for (const [other, b] of texts.slice(index + 1)) {
                const apart = a.right <= b.left || b.right <= a.left || a.bottom - 4 <= b.top || b.bottom - 4 <= a.top;
                if (!apart) found.push(text + ' on ' + other);
            }
        });
    }
    return found;";

#[test]
fn axe_finds_nothing_to_complain_of_in_a_page() {
    let Some(axe) = env::var_os("AXE_CORE").and_then(|path| fs::read_to_string(path).ok()) else {
        skip("AXE_CORE does not name the file axe.min.js");
        return;
    };
    let records = |desk: &Desk| days(desk, 14).into_iter().chain(hostile().into_iter().skip(2)).collect();
    let Some(reader) = Reader::of(Script::Runs, "CHG-0815", records) else { return };
    let browser = &reader.browser;
    let mut rules = 0;
    // Where tables have to be scrolled axe can't tell what is on what; colours are the same there.
    for (scheme, width) in [("light", 1000), ("dark", 1000)] {
        browser.look(scheme, width);
        reader.open();
        reader.unfold();
        browser.run(&format!("{axe}; window.axe = axe;"));
        let run = "const done = arguments[0]; axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', \
                   'wcag22aa', 'best-practice']}).then(done, error => done(String(error)))";
        let result = browser.run_until_told(run);
        let found = |kind: &str| -> Vec<String> {
            let rules = result[kind].as_array().unwrap_or_else(|| panic!("{result}")).iter();
            let nodes = rules.flat_map(|rule| rule["nodes"].as_array().unwrap().iter().map(|node| (&rule["id"], node)));
            // Of text in drawings axe can't tell the ground; `CONTRASTS` looks at that.
            let is_told = |node: &Value| !node["html"].as_str().unwrap().starts_with("<text ");
            nodes.filter(|(_, node)| is_told(node)).map(|(rule, node)| format!("{rule}: {}", node["html"])).collect()
        };
        assert!(found("violations").is_empty(), "{scheme}, {width}: {:#?}", found("violations"));
        assert!(found("incomplete").is_empty(), "{scheme}, {width}: {:#?}", found("incomplete"));
        rules += result["passes"].as_array().unwrap().len();
        let contrasts = browser.run(CONTRASTS);
        let (texts, shapes) = (contrasts["text"].as_f64().unwrap(), contrasts["shapes"].as_f64().unwrap());
        assert!(texts >= 4.5 && shapes >= 3.0, "{scheme}: {contrasts}");
    }
    say("measured", &format!("{rules} rules passed in 2 states"));
}

/// The least contrast of texts and of lines in charts, to the ground that they are on, as WCAG counts it.
const CONTRASTS: &str = "
    const light = color => {
        const [r, g, b] = color.match(/\\d+/g).slice(0, 3).map(it => it / 255)
            .map(it => it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = light(getComputedStyle(document.querySelector('section')).backgroundColor);
    const contrast = color => (Math.max(light(color), ground) + 0.05) / (Math.min(light(color), ground) + 0.05);
    const least = (selector, property) =>
        Math.min(...[...document.querySelectorAll(selector)].map(it => contrast(getComputedStyle(it)[property])));
    return {text: least('figure svg text', 'fill'), shapes: Math.min(least('.line', 'stroke'), least('.mark', 'stroke'))};";

#[test]
fn headings_charts_and_tables_are_named_for_those_who_hear_a_page() {
    let Some(reader) = Reader::of(Script::Runs, "CHG-0815", |desk| days(desk, 3)) else { return };
    let browser = &reader.browser;
    let levels =
        browser.run("return [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(it => Number(it.tagName[1]))");
    let levels: Vec<_> = levels.as_array().unwrap().iter().map(|level| level.as_u64().unwrap()).collect();
    assert_eq!(levels[0], 1);
    assert!(levels.windows(2).all(|pair| pair[1] > 1 && pair[1] <= pair[0] + 1), "{levels:?}");
    let unnamed = "return [...document.querySelectorAll('table')].filter(it => !it.caption?.textContent).length \
                   + document.querySelectorAll('th:not([scope])').length \
                   + [...document.querySelectorAll('svg[role=img]')].filter(it => !it.querySelector('title') || !it.querySelector('desc').textContent).length";
    assert_eq!(browser.run(unnamed), 0);
    let landmarks =
        "return [...document.querySelectorAll('header, main, nav, footer')].map(it => it.tagName).join(' ')";
    assert_eq!(browser.run(landmarks), "HEADER MAIN NAV FOOTER");
    browser.tools("Accessibility.enable", &json!({}));
    let tree = browser.tools("Accessibility.getFullAXTree", &json!({}));
    let heard = |role: &str| -> Vec<String> {
        let nodes = tree["nodes"].as_array().unwrap().iter().filter(|node| node["role"]["value"] == role);
        nodes.map(|node| node["name"]["value"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let images = [heard("image"), heard("img")].concat();
    assert!(images.iter().any(|name| name.starts_with("Nodes: nodes")), "{images:?}");
    assert!(heard("table").iter().any(|name| name.starts_with("users: ")), "{:?}", heard("table"));
    // Every link leads somewhere.
    let lost = "return [...document.querySelectorAll('nav a')].filter(it => !document.querySelector(it.hash)).length";
    assert_eq!(browser.run(lost), 0);
}
