//! Archives with many installations in them, whose records are made up here, and the pages of them, read back.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::File;
use std::io::{Cursor, Seek as _};

use kubermatic_telemetry::bundle::Limits;
use kubermatic_telemetry::bundle::pack::{self, Header, Item};
use kubermatic_telemetry::clock::System;
use kubermatic_telemetry::digest::Digested;
use kubermatic_telemetry::ingest::{self, Ingest, OpenGate, Policy, accept};
use kubermatic_telemetry::keys::SigningKey;
use kubermatic_telemetry::keys::keyring::Keyring;
use kubermatic_telemetry::receipt::Outcome;
use kubermatic_telemetry::record::canonical::{Form, canonicalize};
use kubermatic_telemetry::record::document::Document;
use kubermatic_telemetry::record::schema::{self, SCHEMAS};
use kubermatic_telemetry::tables::{Kinds, LAYOUTS};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

use crate::support::{Desk, Printed, header};

/// A record as it was ingested.
#[derive(Clone)]
pub struct Told {
    pub client: u8,
    pub id: Uuid,
    pub record: Value,
}

/// An archive, and every record in it.
pub struct Archive {
    pub desk: Desk,
    pub told: Vec<Told>,
    bundles: u64,
}

/// The UUID of an installation.
pub fn client(number: u8) -> Uuid {
    Uuid::from_u128(0x4000_8000_0000_0000_0000 + u128::from(number))
}

/// What an archive works on.
pub fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Accepts a bundle as a release does that knows these kinds.
pub fn ingest(archive: &ingest::archive::Archive, kinds: Kinds<'_>, bundle: Vec<u8>) -> Vec<Outcome> {
    let (keyring, limits) = (Keyring::default(), Limits::default());
    let ingest = Ingest {
        archive,
        keyring: &keyring,
        policy: Policy::Tofu,
        pins_per_hour: 100_000,
        kinds,
        limits: &limits,
        gate: &OpenGate,
    };
    let key = || Ok(SigningKey::from_seed(&[0; 32]));
    accept(&ingest, Cursor::new(bundle), &key, &System, &mut |_, _| {}).unwrap().document.records
}

/// The record, with a UUID for every row that has none.
fn keyed(mut record: Value) -> Value {
    for rows in record.as_object_mut().unwrap().values_mut().filter_map(Value::as_array_mut) {
        for (number, row) in (1..).zip(rows).filter(|(_, row)| row.is_object()) {
            if row.get("category").is_none() && row.get("uuid").is_none() {
                row["uuid"] = Uuid::from_u128(0x8000_8000_0000_0000_0000 + number).to_string().into();
            }
            if row.get("datacenters").is_some() {
                *row = keyed(row.take());
            }
        }
    }
    record
}

/// A complete record, with these members beside those that it must have.
pub fn record(time: &str, members: &Value) -> Value {
    let mut record = json!({"kind": "kubermatic", "version": "v1", "time": time, "complete": true, "problems": []});
    record.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    record
}

/// A cluster, with these members.
pub fn cluster(provider: &str, version: &str) -> Value {
    json!({
        "cloud": {"provider": provider}, "kubernetesServerVersion": version, "opaIntegrationEnabled": true,
        "mla": {"monitoringEnabled": true, "loggingEnabled": false}, "cniPlugin": {"type": "cilium"},
        "enableUserSSHKeyAgent": true,
    })
}

impl Archive {
    pub fn new() -> Self {
        Self { desk: Desk::in_memory(), told: Vec::new(), bundles: 0 }
    }

    /// Accepts bundles of these records, one of each installation, in this order.
    pub fn accept(&mut self, records: &[(u8, Value)]) {
        let mut of = BTreeMap::<u8, Vec<Told>>::new();
        for (client, record) in records {
            let number = u128::try_from(self.told.len()).unwrap() + 1;
            let id = Uuid::from_u128(0x019a_9d00_0000_7000_8000_0000_0000_0000 + number);
            let told = Told { client: *client, id, record: record.clone() };
            self.told.push(told.clone());
            of.entry(*client).or_default().push(told);
        }
        let bundles: Vec<_> = of.values().map(|records| self.pack(records)).collect();
        self.ingest(&bundles);
    }

    /// Sends records again in another bundle.
    pub fn repeat(&mut self, records: &[Told]) {
        let bundle = self.pack(records);
        self.ingest(&[bundle]);
    }

    /// Accepts bundles as a person does. Of records that do not fit their schema, as a release did that knew none: the
    /// tables can have rows of them, and no page may believe that they have not.
    fn ingest(&self, bundles: &[(String, bool)]) {
        if bundles.iter().any(|(_, fits)| !fits) {
            let (runtime, kinds) = (runtime(), Kinds { schemas: &[], layouts: &LAYOUTS });
            let place = self.desk.path("archive");
            let archive = ingest::archive::Archive::open(place.to_str().unwrap(), runtime.handle().clone()).unwrap();
            for (bundle, _) in bundles {
                ingest(&archive, kinds, std::fs::read(self.desk.path(bundle)).unwrap());
            }
            return;
        }
        let bundles = bundles.iter().map(|(bundle, _)| bundle.as_str());
        let words = ["ingest", "--archive", "archive", "--trust", "tofu", "--pins-per-hour", "100000"];
        let printed = self.desk.run(words.into_iter().chain(bundles)).ok();
        assert!(!printed.stderr.contains("schemaMismatch"), "{}", printed.stderr);
    }

    /// Packs records; gives the bundle's name, and whether they all fit.
    fn pack(&mut self, records: &[Told]) -> (String, bool) {
        self.bundles += 1;
        let (number, limits) = (records[0].client, Limits::default());
        let bytes = |told: &Told| {
            let text = keyed(told.record.clone()).to_string();
            canonicalize(text.as_bytes(), Form::Record, &limits.json).unwrap()
        };
        let all: BTreeMap<_, _> = records.iter().map(|told| (told.id, bytes(told))).collect();
        let envelope = |bytes: &Vec<u8>| Document::parse(bytes.clone(), &limits.json).unwrap().envelope().unwrap();
        let fits = all.values().all(|bytes| {
            let document = Document::parse(bytes.clone(), &limits.json).unwrap();
            let envelope = document.envelope().unwrap();
            let schema = schema::find(&SCHEMAS, envelope.kind.as_str(), envelope.version.as_str());
            schema.is_none_or(|schema| schema.check(&document).is_ok())
        });
        let items = all.iter().map(|(id, bytes)| Item { id: *id, envelope: envelope(bytes) }).collect();
        let bundle = Uuid::from_u128(0x019a_9d00_0000_7000_9000_0000_0000_0000 + u128::from(self.bundles));
        let header = Header { bundle, client: client(number), sequence: self.bundles, ..header() };
        let load = |id: Uuid| Ok::<_, Infallible>(Digested::of(all[&id].clone()));
        let (key, mut payload) = (SigningKey::from_seed(&[number; 32]), Cursor::new(Vec::new()));
        let packed = pack::pack(header, items, load, &key, &limits, &mut payload, &mut |_, _| {}).unwrap();
        payload.rewind().unwrap();
        let name = format!("{}.tar", self.bundles);
        packed.write_to(&mut File::create(self.desk.path(&name)).unwrap(), &mut payload).unwrap();
        (name, fits)
    }

    /// Writes the page of all months to `fleet.html`, and gives what it is.
    pub fn page(&self) -> Page {
        self.line("--since 2025-01 --until 2026-12").ok();
        Page(std::fs::read_to_string(self.desk.path("fleet.html")).unwrap())
    }

    /// Writes the page with these options.
    pub fn line(&self, options: &str) -> Printed {
        self.desk.line(&format!("fleet --archive archive --html fleet.html --force {options}"))
    }
}

/// A page, read back.
pub struct Page(pub String);

impl Page {
    /// The rows of a table by its caption, each with its heading first; nothing if there is none.
    pub fn table(&self, caption: &str) -> Option<Vec<Vec<String>>> {
        let (_, rest) = self.0.split_once(&format!("<caption>{caption}</caption>"))?;
        let (_, body) = rest.split_once("<tbody>").unwrap();
        let (body, _) = body.split_once("</tbody>").unwrap();
        let cells = |row: &str| {
            let row = row.replace("</th>", "</td>");
            let mut cells: Vec<_> = row.split("</td>").map(plain).collect();
            cells.pop();
            cells
        };
        Some(body.split("</tr>").filter(|row| row.contains("<th")).map(cells).collect())
    }

    /// The row of a table that has this heading.
    pub fn row(&self, caption: &str, heading: &str) -> Option<Vec<String>> {
        self.table(caption)?.into_iter().find(|row| row[0] == heading).map(|row| row[1..].to_vec())
    }

    /// The value of a row in the column of this name.
    pub fn value(&self, caption: &str, heading: &str, column: &str) -> Option<String> {
        let (_, rest) = self.0.split_once(&format!("<caption>{caption}</caption><thead>"))?;
        let (head, _) = rest.split_once("</thead>").unwrap();
        let names: Vec<_> = head.split("</th>").map(plain).collect();
        let at = names.iter().position(|name| name == column)?;
        self.row(caption, heading).map(|row| row[at - 1].clone())
    }

    /// A table of two columns, as names and numbers.
    pub fn numbers(&self, caption: &str) -> BTreeMap<String, u64> {
        let rows = self.table(caption).unwrap_or_default().into_iter();
        rows.map(|row| (row[0].clone(), row[1].trim_start_matches("at least ").replace(',', "").parse().unwrap()))
            .collect()
    }

    /// All that can be read.
    pub fn text(&self) -> String {
        let (_, body) = self.0.split_once("<body>").unwrap();
        plain(body)
    }
}

/// Text without its markup.
fn plain(html: &str) -> String {
    let mut text = String::new();
    for part in html.split('<') {
        text.push_str(part.split_once('>').map_or(part, |(_, after)| after));
    }
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")]
        .into_iter()
        .fold(text, |text, (escaped, character)| text.replace(escaped, character))
}

/// An archive of thirty installations over nine months that have something of everything.
pub fn lively() -> Archive {
    let mut archive = Archive::new();
    let providers = ["aws", "azure", "gcp", "hetzner", "openstack", "vsphere", "kubevirt", "anexia", "other"];
    let systems = ["ubuntu", "flatcar", "rhel", "rockylinux", "amzn2"];
    let countries = ["DE", "FR", "US", "JP", "IN", "BR", "CH"];
    let mut records = Vec::new();
    for month in 0..9_u64 {
        for client in 0..30_u64 {
            // Some come later, some go.
            if client / 4 > month + 2 || client % 7 == 0 && month > 5 {
                continue;
            }
            for day in [3, 14, 25] {
                let age = month * 3 + day / 10;
                let clusters: Vec<_> = (0..=(client + month) % 6)
                    .map(|at| {
                        let minor = 28 + (age + client % 5 + at) / 8;
                        let mut cluster = cluster(
                            providers[usize::try_from((client + at * at) % 9).unwrap()],
                            &format!("1.{minor}.{}", at % 4),
                        );
                        cluster["opaIntegrationEnabled"] = ((client + at) % 3 > 0).into();
                        cluster["mla"] =
                            json!({"monitoringEnabled": at < month, "loggingEnabled": (client + at) % 2 == 0});
                        cluster["cniPlugin"]["type"] = ["cilium", "canal"][usize::from((client + at) % 4 == 0)].into();
                        cluster
                    })
                    .collect();
                let machines: Vec<_> = (0..=(client * 3) % 5)
                    .map(|at| json!({"os": systems[usize::try_from((client + at * 2) % 5).unwrap()]}))
                    .collect();
                let country = countries[usize::try_from(client % 7).unwrap()];
                let mut members = json!({
                    "kubermaticVersion": format!("2.{}.{}", 24 + (age + client % 9) / 11, day % 3),
                    "clusters": clusters,
                    "machineDeployments": machines,
                    "seeds": [{"country": country, "datacenters": [{"country": "DE"}, {"country": country}]}],
                });
                if client % 6 == 5 {
                    members.as_object_mut().unwrap().remove("machineDeployments");
                }
                let at = 2025 * 12 + 5 + month;
                let time = format!("{:04}-{:02}-{day:02}T06:00:00Z", at / 12, at % 12 + 1);
                let mut record = record(&time, &members);
                record["complete"] = (client != 29).into();
                records.push((u8::try_from(client).unwrap(), record));
            }
        }
    }
    archive.accept(&records);
    archive
}
