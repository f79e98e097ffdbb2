//! No tests: somebody with a stick in front of the page, the site that the stick comes from, and the server.

use std::fmt::Write as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::driver::{Browser, Requested, Script};
use crate::served::Server;
use crate::support::Desk;

/// A server, and a browser that shows its page.
pub struct Scene {
    pub desk: Desk,
    pub server: Server,
    pub browser: Browser,
}

impl Scene {
    /// Opens the page of a server that takes whatever verifies, if there is a browser.
    pub fn open(line: &str) -> Option<Self> {
        Self::open_with(Script::Runs, line)
    }

    pub fn open_with(script: Script, line: &str) -> Option<Self> {
        let desk = Desk::new();
        let browser = Browser::open(&desk.path(""), script)?;
        let server = Server::start(&desk, &format!("--trust tofu {line}"));
        browser.goto(&server.url());
        Some(Self { desk, server, browser })
    }

    /// Chooses a file in the desk's directory.
    pub fn choose(&self, name: &str) {
        self.browser.type_into("#bundle", self.desk.path(name).to_str().unwrap());
    }

    /// Chooses a file, looks at what the page says of it, and uploads it.
    pub fn upload(&self, name: &str) {
        self.choose(name);
        self.browser.wait_for(part("summary").as_str(), "Nothing has been sent yet");
        self.browser.click(&part("upload"));
    }

    /// Chooses a file and uploads it where no script runs.
    pub fn upload_plainly(&self, name: &str) {
        self.browser.goto(&self.server.url());
        self.choose(name);
        self.browser.click(&part("upload"));
    }

    /// Saves the receipt, and gives its name and its bytes.
    pub fn save_receipt(&self) -> (String, Vec<u8>) {
        self.browser.click(&part("receipt"));
        let (name, bytes) = self.browser.downloaded();
        self.browser.wait_for(&part("accepted"), &format!("takes it: kubermatic-telemetry receipt {name} Until"));
        (name, bytes)
    }

    /// Insists that nothing was sent, to whomever, since this was last asked.
    pub fn sent_nothing(&self) {
        let sent: Vec<_> = self.asked_for().into_iter().filter(|request| request.method != "GET").collect();
        assert!(sent.is_empty(), "{sent:?}");
    }

    /// What was asked for since this was last asked; insists that nobody was asked but the server.
    fn asked_for(&self) -> Vec<Requested> {
        let server = self.server.url();
        // The last is Chromium's own first page.
        let own = [&server, "data:", &format!("blob:{server}"), "chrome://"];
        let requests = self.browser.requests();
        for Requested { url, .. } in &requests {
            assert!(own.iter().any(|own| url.starts_with(own)), "{url} was asked for");
        }
        requests
    }

    /// Insists that the page has nothing to complain of.
    pub fn is_content(&self) {
        self.is_content_but_for(&[]);
    }

    /// The same, but for answers with one of these statuses, or for none at all (0).
    pub fn is_content_but_for(&self, statuses: &[u16]) {
        let is_expected = |text: &str| {
            statuses.iter().any(|status| match status {
                0 => text.contains("net::ERR_"),
                status => text.contains(&format!("status of {status} ")),
            })
        };
        for (source, text) in self.browser.complaints() {
            assert!(source == "network" && is_expected(&text), "{source}: {text}");
        }
        self.asked_for();
    }
}

/// What the page calls by this name.
pub fn part(name: &str) -> String {
    format!("[data-part='{name}']")
}

/// What the page has in this place.
pub fn slot(name: &str) -> String {
    format!("[data-slot='{name}']")
}

/// Collects the test installation and packs a bundle.
pub fn export(desk: &Desk, name: &str, note: &str) {
    desk.collect();
    desk.run(["export", "-o", name, "--note", note]).ok();
}

/// Packs a bundle of about twelve megabytes that can't be compressed.
pub fn export_large(desk: &Desk, name: &str) {
    let mut texts = String::new();
    let mut block = Sha256::digest(b"large");
    for text in 0..420 {
        let _ = write!(texts, "{}\"", if text == 0 { "" } else { "," });
        for _ in 0..1_200 {
            block = Sha256::digest(block);
            let _ = block.iter().try_for_each(|byte| write!(texts, "{}", char::from(b'#' + byte % 57)));
        }
        texts.push('"');
    }
    let texts = texts.replace('\\', "~");
    let record = format!(r#"{{"kind":"large","texts":[{texts}],"time":"2026-01-01T00:00:00Z","version":"v1"}}"#);
    desk.file("large.json", record);
    desk.line("collect --record large.json --allow-kind large").ok();
    desk.line(&format!("export -o {name}")).ok();
}

/// Writes a tar of these files, whatever they are.
pub fn tar(path: &Path, files: &[(&str, &[u8])]) {
    let mut tar = Vec::new();
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).unwrap();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(bytes.len() as u64);
        // The crate spells checksums with another number of digits than tar does.
        header.set_cksum();
        let sum = format!("{:06o}\0 ", header.cksum().unwrap());
        header.as_old_mut().cksum.copy_from_slice(sum.as_bytes());
        tar.extend(header.as_bytes());
        tar.extend(*bytes);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    std::fs::write(path, tar).unwrap();
}
