//! One wide row for each client and month, for machine learning: computed month by month from the tables, from the newest
//! record of each kind in the month. Memory grows with the number of clients, not with how long they have been sending.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write;

use super::export::{Format, RowWriter};
use super::named::{Named, each_row, months};
use super::rows::{Cell, Row};
use super::schema::{Column, FEATURES, Type, computed, required};
use super::{Progress, TablesError};
use crate::ingest::archive::Archive;
use crate::record::{kubermatic, kubernetes};

/// How the rows of a table become one value. What no row has a value for, because it was withheld say, is none and not
/// nought.
#[derive(Debug, Clone, Copy)]
enum How {
    /// The value of the record itself.
    Latest,
    /// The sum of numbers.
    Sum,
    /// How many are true.
    True,
    /// How many are this text.
    Is(&'static str),
    /// How many different texts there are.
    Different,
}

/// A column that is computed from one of a table.
struct Feature {
    table: &'static str,
    column: &'static str,
    how: How,
}

macro_rules! features {
    ($($name:literal: $kind:ident = $how:expr, $table:literal, $column:literal;)+) => {
        /// The columns, of which the first four are not computed from one of a table.
        pub(super) const COLUMNS: &[Column] = &[
            required(computed("client", Type::Text)),
            required(computed("month", Type::Text)),
            required(computed("records", Type::Number)),
            required(computed("days", Type::Number)),
            $(computed($name, Type::$kind)),+
        ];
        const ALL: &[Feature] = &[$(Feature { table: $table, column: $column, how: $how }),+];
    };
}

features! {
    "complete": Flag = How::Latest, "installations", "complete";
    "kubermatic_edition": Text = How::Latest, "installations", "kubermatic_edition";
    "kubermatic_version": Text = How::Latest, "installations", "kubermatic_version";
    "kubernetes_version": Text = How::Latest, "installations", "kubernetes_version";
    "seeds": Number = How::Latest, "installations", "seeds";
    "datacenters": Number = How::Latest, "installations", "datacenters";
    "clusters": Number = How::Latest, "installations", "clusters";
    "users": Number = How::Latest, "installations", "users";
    "projects": Number = How::Latest, "installations", "projects";
    "ssh_keys": Number = How::Latest, "installations", "ssh_keys";
    "machine_deployments": Number = How::Latest, "installations", "machine_deployments";
    "problems": Number = How::Latest, "installations", "problems";
    "seeds_mla": Number = How::True, "seeds", "user_cluster_mla_enabled";
    "seed_countries": Number = How::Different, "seeds", "country";
    "clusters_alibaba": Number = How::Is("alibaba"), "clusters", "provider";
    "clusters_anexia": Number = How::Is("anexia"), "clusters", "provider";
    "clusters_aws": Number = How::Is("aws"), "clusters", "provider";
    "clusters_azure": Number = How::Is("azure"), "clusters", "provider";
    "clusters_baremetal": Number = How::Is("baremetal"), "clusters", "provider";
    "clusters_bringyourown": Number = How::Is("bringyourown"), "clusters", "provider";
    "clusters_digitalocean": Number = How::Is("digitalocean"), "clusters", "provider";
    "clusters_edge": Number = How::Is("edge"), "clusters", "provider";
    "clusters_fake": Number = How::Is("fake"), "clusters", "provider";
    "clusters_gcp": Number = How::Is("gcp"), "clusters", "provider";
    "clusters_hetzner": Number = How::Is("hetzner"), "clusters", "provider";
    "clusters_kubevirt": Number = How::Is("kubevirt"), "clusters", "provider";
    "clusters_nutanix": Number = How::Is("nutanix"), "clusters", "provider";
    "clusters_openstack": Number = How::Is("openstack"), "clusters", "provider";
    "clusters_packet": Number = How::Is("packet"), "clusters", "provider";
    "clusters_vmwareclouddirector": Number = How::Is("vmwareclouddirector"), "clusters", "provider";
    "clusters_vsphere": Number = How::Is("vsphere"), "clusters", "provider";
    "cluster_providers": Number = How::Different, "clusters", "provider";
    "cluster_kubernetes_versions": Number = How::Different, "clusters", "kubernetes_version";
    "clusters_opa": Number = How::True, "clusters", "opa_enabled";
    "clusters_monitoring": Number = How::True, "clusters", "monitoring_enabled";
    "clusters_logging": Number = How::True, "clusters", "logging_enabled";
    "clusters_user_ssh_key_agent": Number = How::True, "clusters", "user_ssh_key_agent_enabled";
    "clusters_konnectivity": Number = How::True, "clusters", "konnectivity_enabled";
    "clusters_cni_canal": Number = How::Is("canal"), "clusters", "cni_type";
    "clusters_cni_cilium": Number = How::Is("cilium"), "clusters", "cni_type";
    "clusters_cni_none": Number = How::Is("none"), "clusters", "cni_type";
    "users_admin": Number = How::True, "users", "is_admin";
    "users_service_account": Number = How::True, "users", "is_service_account";
    "machine_replicas": Number = How::Sum, "machine_deployments", "replicas";
    "machine_systems": Number = How::Different, "machine_deployments", "os";
    "nodes": Number = How::Latest, "nodes", "nodes";
    "node_cpu_millicores": Number = How::Sum, "nodes", "cpu_millicores";
    "node_memory_bytes": Number = How::Sum, "nodes", "memory_bytes";
    "nodes_arm64": Number = How::Is("arm64"), "nodes", "architecture";
}

/// Writes a row for each client and month; tells how many.
///
/// # Errors
/// The archive fails, one of its tables can't be read, or the output can't be written.
pub fn features(
    archive: &Archive,
    format: Format,
    out: &mut (dyn Write + Send),
    progress: Progress<'_>,
) -> Result<u64, TablesError> {
    let mut writer = RowWriter::new(&FEATURES, format, out)?;
    let months = months(archive)?;
    let mut rows = 0;
    for (done, name) in (0..).zip(&months) {
        progress(done, months.len() as u64);
        for (client, seen) in month(archive, name)? {
            rows += 1;
            writer.push(seen.row(client, name))?;
        }
    }
    writer.finish()?;
    Ok(rows)
}

/// What a month has of each client.
fn month(archive: &Archive, name: &str) -> Result<BTreeMap<String, Seen>, TablesError> {
    let mut clients = BTreeMap::<String, Seen>::new();
    each_row(archive, "installations", name, |row| {
        if let Some(client) = row.text("client") {
            clients.entry(client.to_owned()).or_insert_with(Seen::new).hear(&row);
        }
    })?;
    let tables: BTreeSet<_> = ALL.iter().map(|feature| feature.table).filter(|name| *name != "installations").collect();
    for table in tables {
        each_row(archive, table, name, |row| {
            if let Some(seen) = row.text("client").and_then(|client| clients.get_mut(client)) {
                seen.add(table, &row);
            }
        })?;
    }
    Ok(clients)
}

/// What a month has of a client.
struct Seen {
    records: i64,
    days: BTreeSet<i64>,
    /// The newest record of each kind, by its time and id, as its row of `installations`.
    newest: BTreeMap<&'static str, ((i64, String), Named)>,
    sums: Vec<Sum>,
}

/// What was added up for a feature.
#[derive(Default)]
struct Sum {
    /// Whether there was a value.
    is_known: bool,
    number: i64,
    /// Hashes of texts, which can be long.
    texts: HashSet<u64>,
}

/// The kind whose records a table is made of.
fn kind_of(table: &str) -> &'static str {
    if table == "nodes" { kubernetes::KIND } else { kubermatic::KIND }
}

impl Seen {
    fn new() -> Self {
        Self {
            records: 0,
            days: BTreeSet::new(),
            newest: BTreeMap::new(),
            sums: ALL.iter().map(|_| Sum::default()).collect(),
        }
    }

    /// Hears of a record.
    fn hear(&mut self, row: &Named) {
        self.records += 1;
        let time = row.number("time").unwrap_or_default();
        self.days.insert(time.div_euclid(86_400_000_000));
        let kind = row
            .text("kind")
            .and_then(|kind| [kubermatic::KIND, kubernetes::KIND].into_iter().find(|known| *known == kind));
        let Some(kind) = kind else { return };
        let place = (time, row.text("record_id").unwrap_or_default().to_owned());
        if self.newest.get(kind).is_none_or(|(newest, _)| *newest < place) {
            self.newest.insert(kind, (place, row.clone()));
        }
    }

    /// Adds a row of a table, if it is of the newest record.
    fn add(&mut self, table: &str, row: &Named) {
        let newest = self.newest.get(kind_of(table));
        if newest.is_none_or(|((_, id), _)| row.text("record_id") != Some(id)) {
            return;
        }
        for (feature, sum) in ALL.iter().zip(&mut self.sums).filter(|(feature, _)| feature.table == table) {
            let cell = row.cell(feature.column);
            sum.is_known |= *cell != Cell::Null;
            match (feature.how, cell) {
                (How::Sum, Cell::Number(number)) => sum.number = sum.number.saturating_add(*number),
                (How::True, Cell::Flag(true)) => sum.number += 1,
                (How::Is(word), Cell::Text(text)) if text == word => sum.number += 1,
                (How::Different, Cell::Text(text)) => {
                    let mut hasher = DefaultHasher::new();
                    text.hash(&mut hasher);
                    sum.texts.insert(hasher.finish());
                }
                _ => {}
            }
        }
    }

    fn row(&self, client: String, month: &str) -> Row {
        let days = i64::try_from(self.days.len()).unwrap_or(i64::MAX);
        let mut row =
            vec![Cell::Text(client), Cell::Text(month.to_owned()), Cell::Number(self.records), Cell::Number(days)];
        row.extend(ALL.iter().zip(&self.sums).map(|(feature, sum)| self.value(feature, sum)));
        row
    }

    fn value(&self, feature: &Feature, sum: &Sum) -> Cell {
        let Some((_, record)) = self.newest.get(kind_of(feature.table)) else { return Cell::Null };
        // Where the array is not there nobody knows; where it is empty there is nothing to add up.
        match (feature.how, record.number(feature.table)) {
            (How::Latest, _) => record.cell(feature.column).clone(),
            (_, None) => Cell::Null,
            (_, Some(rows)) if rows > 0 && !sum.is_known => Cell::Null,
            (How::Different, _) => Cell::Number(i64::try_from(sum.texts.len()).unwrap_or(i64::MAX)),
            _ => Cell::Number(sum.number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::values;
    use crate::tables::Table;
    use crate::tables::schema::Origin;

    #[test]
    fn every_feature_is_made_of_a_column_that_there_is() {
        for feature in ALL {
            let table = Table::named(feature.table).unwrap();
            let is_column = table.columns().any(|column| column.name == feature.column);
            let is_count = matches!(feature.how, How::Latest) && feature.table == "nodes";
            assert!(is_column || is_count, "{}.{}", feature.table, feature.column);
        }
        assert!(COLUMNS.iter().all(|column| column.origin == Origin::Computed));
    }

    #[test]
    fn every_provider_and_network_plug_in_has_a_feature() {
        let words: BTreeSet<_> = ALL
            .iter()
            .filter_map(|feature| match feature.how {
                How::Is(word) => Some((feature.column, word)),
                _ => None,
            })
            .collect();
        assert!(values::PROVIDERS.iter().all(|provider| words.contains(&("provider", *provider))));
        assert!(values::CNI_PLUGINS.iter().all(|plugin| words.contains(&("cni_type", *plugin))));
    }
}
