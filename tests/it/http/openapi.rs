//! `docs/openapi.yaml` against a running server: everything that it says happens, and everything that happens it says.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::{Answer, Server, upload, vector};
use crate::served::Form;
use crate::support::{Desk, root};

/// The page, as a tree of JSON.
struct Page(Value);

impl Page {
    fn read() -> Self {
        let text = fs::read_to_string(root().join("docs/openapi.yaml")).unwrap();
        Self(serde_saphyr::from_str(&text).unwrap())
    }

    /// Follows references.
    fn resolved<'p>(&'p self, value: &'p Value) -> &'p Value {
        let Some(reference) = value["$ref"].as_str() else { return value };
        self.0.pointer(reference.strip_prefix('#').unwrap()).unwrap_or_else(|| panic!("{reference} leads nowhere"))
    }

    /// Every answer that it knows: path, method, status.
    fn answers(&self) -> BTreeSet<(String, String, String)> {
        let mut answers = BTreeSet::new();
        for (path, methods) in self.0["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                for status in operation["responses"].as_object().unwrap().keys() {
                    answers.insert((path.clone(), method.clone(), status.clone()));
                }
            }
        }
        answers
    }

    /// Insists that an answer is as the page says.
    fn check(&self, path: &str, method: &str, answer: &Answer) {
        let what = format!("{method} {path}: {}", answer.status);
        let response = &self.0["paths"][path][method]["responses"][answer.status.to_string()];
        assert!(response.is_object(), "{what} is not in the page");
        let response = self.resolved(response);
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            let value = answer.header(name).unwrap_or_else(|| panic!("{what} lacks {name}"));
            let schema = &self.resolved(header)["schema"];
            let value = value.parse::<u64>().map_or_else(|_| Value::from(value), Value::from);
            self.fits(&value, schema, &format!("{what} {name}"));
        }
        let kind = answer.header("content-type").unwrap_or_else(|| panic!("{what} has no content type"));
        let content = &response["content"][kind];
        assert!(content.is_object(), "{what} has the content type {kind}, which is not in the page");
        if kind.ends_with("json") {
            self.fits(&answer.json(), &content["schema"], &what);
        }
    }

    /// As much of JSON Schema as the page uses.
    fn fits(&self, value: &Value, schema: &Value, what: &str) {
        let schema = self.resolved(schema);
        let types: Vec<_> = match &schema["type"] {
            Value::Array(types) => types.iter().map(|name| name.as_str().unwrap()).collect(),
            one => vec![one.as_str().unwrap()],
        };
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        assert!(types.contains(&found), "{what}: {value} is none of {types:?}");
        if let Some(values) = schema["enum"].as_array() {
            assert!(values.contains(value), "{what}: {value} is none of {values:?}");
        }
        if let (Some(pattern), Some(text)) = (schema["pattern"].as_str(), value.as_str()) {
            let start = pattern.trim_start_matches('^').split('[').next().unwrap();
            assert!(text.starts_with(start), "{what}: {text} does not match {pattern}");
        }
        let Some(object) = value.as_object() else { return };
        let properties = schema["properties"].as_object().unwrap();
        for name in schema["required"].as_array().unwrap() {
            assert!(object.contains_key(name.as_str().unwrap()), "{what} lacks {name}");
        }
        for (name, value) in object {
            let schema = properties.get(name).unwrap_or_else(|| panic!("{what}: {name} is not in the page"));
            self.fits(value, schema, &format!("{what} {name}"));
        }
    }
}

/// The bytes of the page's form with a bundle in it.
fn form(headers: &str, bundle: &[u8]) -> Vec<u8> {
    let (kind, body) = Form::new().file("bundle", bundle).encoded();
    let length = body.len();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Type: {kind}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    [head.as_bytes(), &body].concat()
}

#[test]
fn the_page_and_the_server_agree() {
    let page = Page::read();
    let mut seen = BTreeSet::new();
    let mut met = |path: &str, method: &str, answer: Answer| {
        page.check(path, method, &answer);
        seen.insert((path.to_owned(), method.to_owned(), answer.status.to_string()));
    };
    let (bundles, receipts) = ("/v1/bundles", "/v1/receipts/{manifest}");
    let bundle = vector("one-record.tar");
    let as_form = |server: &Server, bundle: &[u8]| server.raw(&form("", bundle));
    let receipt_of = |answer: &Answer| answer.header("location").unwrap().to_owned();

    let desk = Desk::new();
    let server = Server::start(&desk, ["--trust", "tofu", "--limit", "bundle-bytes=20000", "--idle-timeout", "300ms"]);
    let first = server.upload(&bundle);
    met(receipts, "get", server.get(&receipt_of(&first)));
    met(bundles, "post", first);
    met(bundles, "post", server.upload(&bundle));
    met(bundles, "post", server.post("Accept: application/json\r\n", &bundle));
    met(bundles, "post", server.post("Accept: application/json\r\n", &vector("rotated-key.tar")));
    met(bundles, "post", server.upload(b"nonsense"));
    met(bundles, "post", server.upload(&vec![0; 20_001]));
    met(bundles, "post", server.post("Content-Type: text/plain\r\n", &bundle));
    met(bundles, "post", server.upload(&bundle[..3_100]));
    met(bundles, "post", server.raw(&upload("", &bundle)[..600]));
    met("/", "get", server.get("/"));
    let other = vector("deltas-two-kinds.tar");
    met("/", "post", as_form(&server, &other));
    met("/", "post", as_form(&server, &other));
    met("/", "post", as_form(&server, &vector("rotated-key.tar")));
    met("/", "post", as_form(&server, b"nonsense"));
    met("/", "post", as_form(&server, &vec![0; 20_001]));
    met("/", "post", as_form(&server, &bundle[..3_100]));
    met("/", "post", server.raw(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    met("/", "post", server.raw(&form("Sec-Fetch-Site: cross-site\r\n", &bundle)));
    met("/", "post", server.raw(&form("", &bundle)[..600]));
    met(receipts, "get", server.get("/v1/receipts/nonsense"));
    met(receipts, "get", server.get(&format!("/v1/receipts/{}", "0".repeat(64))));
    for path in ["/healthz", "/readyz", "/metrics"] {
        met(path, "get", server.get(path));
    }
    fs::remove_dir_all(desk.path("archive")).unwrap();
    fs::write(desk.path("archive"), "").unwrap();
    met(bundles, "post", server.upload(&bundle));
    met(receipts, "get", server.get(&format!("/v1/receipts/{}", "0".repeat(64))));
    met("/readyz", "get", server.get("/readyz"));
    met("/", "post", as_form(&server, &bundle));

    let closed = Desk::new();
    closed.file("token", "snakeoil-token-0123456789");
    let server = Server::start(&closed, ["--trust", "tofu", "--token-file", "token"]);
    met(bundles, "post", server.upload(&bundle));
    met(receipts, "get", server.get(&format!("/v1/receipts/{}", "0".repeat(64))));
    met("/", "post", as_form(&server, &bundle));

    let strict = Desk::new();
    let key = root().join("testdata/keys/snakeoil-client-rotated.pub.pem");
    strict.line(&format!("keys trust {} --client {} --keyring keyring", key.display(), super::CLIENT)).ok();
    let server = Server::start(&strict, ["--keyring", "keyring", "--quota", "address-bundles=1"]);
    met(bundles, "post", server.upload(&bundle));
    met(bundles, "post", server.upload(&bundle));
    met("/", "post", as_form(&server, &bundle));

    let full = Desk::new();
    let server = Server::of(super::refusals::cramped(&full));
    met(bundles, "post", server.upload(&vec![b'x'; 100_000]));
    met("/", "post", as_form(&server, &vec![b'x'; 100_000]));

    let never: Vec<_> = page.answers().difference(&seen).cloned().collect();
    assert!(never.is_empty(), "the page has answers that were never met: {never:?}");
}
