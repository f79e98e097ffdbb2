//! What a month has of each installation, read from its tables: of each day the newest complete record's versions, and of
//! the newest complete record of all what there is to count.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::Subject;
use super::names::{Id, Names, Tally, minor, name};
use crate::ingest::archive::Archive;
use crate::record::kubermatic;
use crate::tables::named::{Named, each_row};
use crate::tables::{Kinds, TablesError};

/// A day in microseconds.
const DAY: i64 = 86_400_000_000;
/// What flags are called.
pub(super) const YES: &str = "yes";
pub(super) const NO: &str = "no";

/// Every installation that was heard of, by a number in the order in which that was.
#[derive(Debug, Default)]
pub(super) struct Clients(HashMap<String, u32>);

impl Clients {
    pub fn count(&self) -> usize {
        self.0.len()
    }

    fn meet(&mut self, client: &str) -> u32 {
        if let Some(number) = self.0.get(client) {
            return *number;
        }
        let number = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.insert(client.to_owned(), number);
        number
    }

    /// Meets those of a month, and reads nothing else of it.
    pub fn meet_all(&mut self, archive: &Archive, month: &str) -> Result<(), TablesError> {
        each_row(archive, "installations", month, |row| {
            if let Some(client) = row.text("client") {
                self.meet(client);
            }
        })
    }
}

/// What a month has of an installation.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The newest complete record of each day (since 1970).
    pub days: BTreeMap<i64, Sighting>,
    /// What the newest of all has, by subject.
    pub tallies: [Tally; Subject::ALL.len()],
}

/// A complete record.
#[derive(Debug)]
pub(super) struct Sighting {
    /// Its time and its id.
    place: (i64, u128),
    /// KKP's minor version.
    pub kubermatic: Tally,
    /// Minor versions of user clusters.
    pub kubernetes: Tally,
    /// Whether these lists are there; else they were withheld.
    has_clusters: bool,
    has_machines: bool,
    has_seeds: bool,
}

impl Seen {
    /// Hears of a record, as its row of `installations`.
    fn hear(&mut self, names: &mut Names, row: &Named) {
        let kind = (row.text("kind").unwrap_or_default(), row.text("version").unwrap_or_default());
        if kind.0 != kubermatic::KIND
            || Kinds::KNOWN.layout(kind.0, kind.1).is_none()
            || row.flag("complete") != Some(true)
        {
            return;
        }
        let Some((day, place)) = place(row) else { return };
        if self.days.get(&day).is_some_and(|known| known.place >= place) {
            return;
        }
        let mut kubermatic = Tally::default();
        kubermatic.add(names, row.text("kubermatic_version").map(minor));
        let has = |array| row.number(array).is_some();
        let sighting = Sighting {
            place,
            kubermatic,
            kubernetes: Tally::default(),
            has_clusters: has("clusters"),
            has_machines: has("machine_deployments"),
            has_seeds: has("seeds"),
        };
        self.days.insert(day, sighting);
    }

    /// Whether a row is of a day's newest record, and whether that is the newest of all.
    fn find(&mut self, row: &Named) -> Option<(&mut Sighting, bool)> {
        let (day, place) = place(row)?;
        let last = *self.days.last_key_value()?.0;
        let sighting = self.days.get_mut(&day).filter(|sighting| sighting.place == place)?;
        Some((sighting, day == last))
    }

    fn add_cluster(&mut self, names: &mut Names, row: &Named) {
        let Some((sighting, is_newest)) = self.find(row) else { return };
        sighting.kubernetes.add(names, row.text("kubernetes_version").map(minor));
        if !is_newest {
            return;
        }
        for (subject, name) in [
            (Subject::Provider, row.text("provider").map(name)),
            (Subject::Kubernetes, row.text("kubernetes_version").map(minor)),
            (Subject::Cni, row.text("cni_type").map(name)),
            (Subject::Opa, flag(row, "opa_enabled")),
            (Subject::Monitoring, flag(row, "monitoring_enabled")),
            (Subject::Logging, flag(row, "logging_enabled")),
            (Subject::SshKeyAgent, flag(row, "user_ssh_key_agent_enabled")),
        ] {
            self.tallies[subject as usize].add(names, name);
        }
    }

    fn add_text(&mut self, names: &mut Names, row: &Named, subject: Subject, column: &str) {
        if let Some((_, true)) = self.find(row) {
            self.tallies[subject as usize].add(names, row.text(column).map(name));
        }
    }

    /// Counts what is of the installation and not of its parts.
    fn conclude(&mut self) {
        let Some((_, newest)) = self.days.last_key_value() else { return };
        self.tallies[Subject::Kubermatic as usize] = newest.kubermatic.clone();
        // An installation is in a country or not, however many of its places are; where only some tell, those count.
        let countries = &mut self.tallies[Subject::Country as usize].0;
        if countries.iter().any(|(id, _)| *id != Id::NOT_TOLD) {
            countries.retain(|(id, _)| *id != Id::NOT_TOLD);
        }
        for (_, count) in countries {
            *count = 1;
        }
    }

    /// Whether the newest record has the list that a subject is about.
    pub fn has(&self, subject: Subject) -> bool {
        self.days.last_key_value().is_some_and(|(_, newest)| match subject {
            Subject::Kubermatic => true,
            Subject::Machines => newest.has_machines,
            Subject::Country => newest.has_seeds,
            _ => newest.has_clusters,
        })
    }
}

fn flag(row: &Named, column: &str) -> Option<String> {
    row.flag(column).map(|flag| if flag { YES } else { NO }.to_owned())
}

/// The day of a row's record, its time and its id.
fn place(row: &Named) -> Option<(i64, (i64, u128))> {
    let time = row.number("time")?;
    let id = row.text("record_id")?.parse::<Uuid>().ok()?;
    Some((time.div_euclid(DAY), (time, id.as_u128())))
}

/// Reads a month.
pub(super) fn read(
    archive: &Archive,
    month: &str,
    clients: &mut Clients,
    names: &mut Names,
) -> Result<BTreeMap<u32, Seen>, TablesError> {
    let mut all = BTreeMap::<u32, Seen>::new();
    each_row(archive, "installations", month, |row| {
        if let Some(client) = row.text("client") {
            all.entry(clients.meet(client)).or_default().hear(names, &row);
        }
    })?;
    let mut each = |table: &str, add: fn(&mut Seen, &mut Names, &Named)| {
        each_row(archive, table, month, |row| {
            let number = row.text("client").and_then(|client| clients.0.get(client));
            if let Some(seen) = number.and_then(|number| all.get_mut(number)) {
                add(seen, names, &row);
            }
        })
    };
    each("clusters", Seen::add_cluster)?;
    each("machine_deployments", |seen, names, row| seen.add_text(names, row, Subject::Machines, "os"))?;
    each("seeds", |seen, names, row| seen.add_text(names, row, Subject::Country, "country"))?;
    each("datacenters", |seen, names, row| seen.add_text(names, row, Subject::Country, "country"))?;
    all.values_mut().for_each(Seen::conclude);
    Ok(all)
}
