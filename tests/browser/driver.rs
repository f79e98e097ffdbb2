//! A browser: Chromium behind its driver, which speaks `WebDriver`, JSON over HTTP.

use std::env;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::skip;

/// How long anything may take that a page does.
const PATIENCE: Duration = Duration::from_mins(1);
/// The name that `WebDriver` gives to what refers to an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Whether a page may run script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    Runs,
    Blocked,
}

/// A browser with one page, and a directory that its downloads go to.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    pub downloads: PathBuf,
}

impl Browser {
    /// Opens a browser, if there is one, with its files below `place`.
    pub fn open(place: &Path, script: Script) -> Option<Self> {
        let program = |variable: &str, names: &[&str]| {
            env::var_os(variable).map(PathBuf::from).or_else(|| names.iter().find_map(|name| found(name)))
        };
        let driver = program("CHROMEDRIVER", &["chromedriver"]);
        let chromium = program("CHROMIUM", &["chromium", "chromium-browser", "google-chrome"]);
        let (Some(driver), Some(chromium)) = (driver, chromium) else {
            skip("there is no Chromium with its driver (packages chromium and chromium-driver)");
            return None;
        };
        let mut command = Command::new(driver);
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command.env("HOME", place).spawn().unwrap();
        let mut said = BufReader::new(driver.stdout.take().unwrap());
        let mut line = String::new();
        let port = loop {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "the driver did not start");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim().trim_end_matches('.').parse().unwrap();
            }
        };
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        let downloads = place.join("downloads");
        std::fs::create_dir_all(&downloads).unwrap();
        let mut browser = Self { driver, port, session: String::new(), downloads };
        let capabilities = capabilities(&chromium, place, &browser.downloads, script);
        let session = browser.call("POST", "/session", &json!({"capabilities": {"alwaysMatch": capabilities}}));
        session["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        Some(browser)
    }

    /// Asks the driver, and insists on success.
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.ask(method, path, body);
        assert!(answer["value"]["error"].is_null(), "{method} {path}: {}", answer["value"]);
        answer["value"].clone()
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(2 * PATIENCE)).unwrap();
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}");
        write!(stream, "{head}\r\n\r\n{body}").unwrap();
        let mut reader = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        while reader.read_line(&mut line).unwrap() > 2 {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    fn post(&self, command: &str, body: &Value) -> Value {
        self.call("POST", &format!("/session/{}/{command}", self.session), body)
    }

    pub fn goto(&self, url: &str) {
        self.post("url", &json!({"url": url}));
    }

    /// Asks the browser itself, in the words of its developer tools.
    pub fn tools(&self, command: &str, parameters: &Value) -> Value {
        self.post("goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    /// Runs the body of a function in the page.
    pub fn run(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({"script": script, "args": []}))
    }

    /// Runs the body of a function that hands its result to its only argument.
    pub fn run_until_told(&self, script: &str) -> Value {
        self.post("execute/async", &json!({"script": script, "args": []}))
    }

    fn element(&self, selector: &str) -> String {
        let found = self.post("element", &json!({"using": "css selector", "value": selector}));
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    pub fn click(&self, selector: &str) {
        self.post(&format!("element/{}/click", self.element(selector)), &json!({}));
    }

    /// Types into a field; a file field takes a path.
    pub fn type_into(&self, selector: &str, text: &str) {
        self.post(&format!("element/{}/value", self.element(selector)), &json!({"text": text}));
    }

    /// Presses keys one after the other, wherever the focus is.
    pub fn press(&self, keys: &str) {
        let actions: Vec<_> = keys
            .chars()
            .flat_map(|key| [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})])
            .collect();
        self.post("actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}));
    }

    /// What stands in an element and can be seen, in one line.
    pub fn text(&self, selector: &str) -> String {
        let path = format!("/session/{}/element/{}/text", self.session, self.element(selector));
        let text = self.call("GET", &path, &Value::Null).as_str().unwrap().to_owned();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Whether there is such an element, and can be seen.
    pub fn is_shown(&self, selector: &str) -> bool {
        let script = "const e = document.querySelector(arguments[0]); return Boolean(e?.checkVisibility())";
        self.post("execute/sync", &json!({"script": script, "args": [selector]})) == true
    }

    /// Waits until an element is shown and has a text in it, and gives all of its text.
    pub fn wait_for(&self, selector: &str, text: &str) -> String {
        let started = Instant::now();
        loop {
            let found = if self.is_shown(selector) { self.text(selector) } else { String::new() };
            if !found.is_empty() && found.contains(text) {
                return found;
            }
            assert!(started.elapsed() < PATIENCE, "`{text}` is not in {selector}: {}", self.text("body"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for a file among the downloads, and takes it away. Chromium makes an empty file of the name first, and moves
    /// what it has written beside it over that at the end.
    pub fn downloaded(&self) -> (String, Vec<u8>) {
        let started = Instant::now();
        loop {
            let files = std::fs::read_dir(&self.downloads).unwrap().map(|entry| entry.unwrap().path());
            let whole = |path: &PathBuf| {
                path.extension().is_some_and(|extension| extension == "tar")
                    && path.metadata().is_ok_and(|metadata| metadata.len() > 0)
            };
            if let Some(path) = files.into_iter().find(whole) {
                let file = (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap());
                std::fs::remove_file(path).unwrap();
                return file;
            }
            assert!(started.elapsed() < PATIENCE, "nothing was downloaded");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Saves what the page looks like, from its top to its end, where `PAGE_PICTURES` says.
    pub fn picture(&self, name: &str) {
        let Some(place) = env::var_os("PAGE_PICTURES") else { return };
        let shot = self.tools("Page.captureScreenshot", &json!({"format": "png", "captureBeyondViewport": true}));
        std::fs::create_dir_all(&place).unwrap();
        let png = STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        std::fs::write(Path::new(&place).join(format!("{name}.png")), png).unwrap();
    }

    /// Saves what the top of an element looks like, where `PAGE_PICTURES` says.
    pub fn picture_of(&self, name: &str, selector: &str) {
        let Some(place) = env::var_os("PAGE_PICTURES") else { return };
        let script = "const r = document.querySelector(arguments[0]).getBoundingClientRect();                      return {x: 0, y: r.top + scrollY, width: innerWidth, height: Math.min(r.height, 2200), scale: 1}";
        let clip = self.post("execute/sync", &json!({"script": script, "args": [selector]}));
        let shot = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let shot = self.tools("Page.captureScreenshot", &shot);
        std::fs::create_dir_all(&place).unwrap();
        let png = STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        std::fs::write(Path::new(&place).join(format!("{name}.png")), png).unwrap();
    }

    /// Light or dark, on a desk or a phone; `width` in the pixels of style sheets.
    pub fn look(&self, scheme: &str, width: u32) {
        let feature = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.tools("Emulation.setEmulatedMedia", &json!({"features": feature}));
        let phone = width < 600;
        self.tools("Emulation.setTouchEmulationEnabled", &json!({"enabled": phone}));
        let (height, scale) = if phone { (700, 2) } else { (900, 1) };
        self.tools(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone}),
        );
    }

    /// What the browser told of an event since this was last called.
    fn events(&self, name: &str) -> Vec<Value> {
        let events = self.post("se/log", &json!({"type": "performance"}));
        let messages = events.as_array().unwrap().iter().map(|event| event["message"].as_str().unwrap().to_owned());
        let messages = messages.map(|message| serde_json::from_str::<Value>(&message).unwrap()["message"].clone());
        messages.filter(|message| message["method"] == name).collect()
    }

    /// Waits until the page asks for a file, and tells what asks.
    pub fn chooser_opened(&self) -> Value {
        let started = Instant::now();
        loop {
            if let Some(event) = self.events("Page.fileChooserOpened").first() {
                return event["params"]["backendNodeId"].clone();
            }
            assert!(started.elapsed() < PATIENCE, "no file was asked for");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whatever was asked of the network since this was last called.
    pub fn requests(&self) -> Vec<Requested> {
        let asked = self.events("Network.requestWillBeSent").into_iter();
        asked
            .map(|message| {
                let request = &message["params"]["request"];
                let text = |name: &str| request[name].as_str().unwrap().to_owned();
                Requested { method: text("method"), url: text("url") }
            })
            .collect()
    }

    /// What the page complained of since this was last asked: who, and what.
    pub fn complaints(&self) -> Vec<(String, String)> {
        let complaints = self.post("se/log", &json!({"type": "browser"}));
        let text = |complaint: &Value, name: &str| complaint[name].as_str().unwrap_or_default().to_owned();
        let complaints = complaints.as_array().unwrap().iter();
        complaints.map(|complaint| (text(complaint, "source"), text(complaint, "message"))).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            // Ends the browser; what a failed test left of it does not matter.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                self.ask("DELETE", &format!("/session/{}", self.session), &Value::Null)
            }));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Something that was asked of the network.
#[derive(Debug)]
pub struct Requested {
    pub method: String,
    pub url: String,
}

fn found(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|directory| directory.join(name)).find(|path| path.is_file())
}

fn capabilities(chromium: &Path, place: &Path, downloads: &Path, script: Script) -> Value {
    let mut arguments = vec![
        "--headless=new".to_owned(),
        "--window-size=1000,900".to_owned(),
        // Only this machine has names, so that nothing can leave it.
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1".to_owned(),
        format!("--user-data-dir={}", place.join("profile").display()),
        // Containers have little memory to share, unless they are given more.
        "--disable-dev-shm-usage".to_owned(),
    ];
    // In a container the tests are root, whom Chromium's own sandbox does not serve.
    if is_root() {
        arguments.push("--no-sandbox".to_owned());
    }
    let mut preferences = json!({
        "download.default_directory": downloads,
        "download.prompt_for_download": false,
    });
    if script == Script::Blocked {
        preferences["profile.managed_default_content_settings.javascript"] = json!(2);
    }
    json!({
        "browserName": "chrome",
        "goog:chromeOptions": {"binary": chromium, "args": arguments, "prefs": preferences},
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        "unhandledPromptBehavior": "accept",
    })
}

fn is_root() -> bool {
    // Who owns what the process itself is shown as.
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0
}
