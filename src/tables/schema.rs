//! Which tables there are, their columns, and where in a record each value stands.

/// What a column's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A text in UTF-8.
    Text,
    /// Yes or no.
    Flag,
    /// A whole number of 64 bits.
    Number,
    /// An instant in UTC, in microseconds.
    Time,
    /// A list of texts.
    Texts,
}

impl Type {
    /// Its name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Flag => "boolean",
            Self::Number => "integer",
            Self::Time => "timestamp (UTC)",
            Self::Texts => "list of text",
        }
    }
}

/// Where a column's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The bundle's client.
    Client,
    /// The record's id.
    RecordId,
    /// The record's time.
    RecordTime,
    /// The digest of the manifest of the bundle that the record lies in.
    Bundle,
    /// How large the record is in full, in bytes.
    Size,
    /// A member of the entity, by the names on the way there; in some versions elsewhere ([`super::Layout`]).
    Member(&'static [&'static str]),
    /// What the entity lies in: for rows of an array the record's kind, for nested ones the UUID of the outer row.
    Parent,
    /// How many rows an array of the record has; nothing if it is not there.
    Count(&'static str),
    /// How much a node has of a resource, in units of `1 / scale`.
    Capacity { resource: &'static str, scale: i64 },
    /// All that a node has, as `resource=quantity`.
    Capacities,
    /// The place among its like, from 0.
    Position,
    /// None of a record's: it is computed from other tables.
    Computed,
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What its values are.
    pub kind: Type,
    /// Whether every row has a value.
    pub required: bool,
    pub(crate) origin: Origin,
}

/// What a table has a row for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rows {
    /// Each record, of whatever kind.
    Records,
    /// Each object in an array of the record.
    Array(&'static str),
    /// Each object in an array of those in an array of the record.
    Nested(&'static str, &'static str),
    /// What is computed from other tables.
    Computed,
}

/// A table.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What a row is.
    pub about: &'static str,
    pub(crate) rows: Rows,
    /// The columns that it has besides the common ones.
    own: &'static [Column],
}

impl Table {
    /// Its columns in their order.
    pub fn columns(&self) -> impl Iterator<Item = &'static Column> + Clone + use<> {
        let common: &'static [Column] = if matches!(self.rows, Rows::Computed) { &[] } else { COMMON };
        common.iter().chain(self.own)
    }

    /// The table of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        TABLES.iter().find(|table| table.name == name)
    }
}

const fn column(name: &'static str, kind: Type, origin: Origin) -> Column {
    Column { name, kind, required: false, origin }
}

const fn text(name: &'static str, path: &'static [&'static str]) -> Column {
    column(name, Type::Text, Origin::Member(path))
}

const fn flag(name: &'static str, path: &'static [&'static str]) -> Column {
    column(name, Type::Flag, Origin::Member(path))
}

const fn number(name: &'static str, path: &'static [&'static str]) -> Column {
    column(name, Type::Number, Origin::Member(path))
}

const fn texts(name: &'static str, path: &'static [&'static str]) -> Column {
    column(name, Type::Texts, Origin::Member(path))
}

const fn count(name: &'static str, array: &'static str) -> Column {
    column(name, Type::Number, Origin::Count(array))
}

const fn capacity(name: &'static str, resource: &'static str, scale: i64) -> Column {
    column(name, Type::Number, Origin::Capacity { resource, scale })
}

pub(crate) const fn computed(name: &'static str, kind: Type) -> Column {
    column(name, kind, Origin::Computed)
}

pub(super) const fn required(column: Column) -> Column {
    Column { required: true, ..column }
}

/// The columns of every table.
const COMMON: &[Column] = &[
    required(column("client", Type::Text, Origin::Client)),
    required(column("record_id", Type::Text, Origin::RecordId)),
    required(column("time", Type::Time, Origin::RecordTime)),
];

/// Every table, in the order of the documentation.
pub static TABLES: [Table; 10] = [
    Table {
        name: "installations",
        about: "a record: an installation at one time, or a record of a kind that has no tables",
        rows: Rows::Records,
        own: &[
            required(text("kind", &["kind"])),
            required(text("version", &["version"])),
            flag("complete", &["complete"]),
            text("kubermatic_edition", &["kubermaticEdition"]),
            text("kubermatic_version", &["kubermaticVersion"]),
            text("kubernetes_version", &["kubernetesVersion"]),
            count("seeds", "seeds"),
            column("datacenters", Type::Number, Origin::Computed),
            count("clusters", "clusters"),
            count("users", "users"),
            count("projects", "projects"),
            count("ssh_keys", "sshKeys"),
            count("machine_deployments", "machineDeployments"),
            count("nodes", "nodes"),
            count("problems", "problems"),
            required(column("record_bytes", Type::Number, Origin::Size)),
            required(column("bundle", Type::Text, Origin::Bundle)),
        ],
    },
    Table {
        name: "seeds",
        about: "a seed",
        rows: Rows::Array("seeds"),
        own: &[
            text("seed_uuid", &["uuid"]),
            text("country", &["country"]),
            text("location", &["location"]),
            text("expose_strategy", &["exposeStrategy"]),
            text("kubernetes_version", &["kubernetesVersion"]),
            flag("user_cluster_mla_enabled", &["userClusterMlaEnabled"]),
        ],
    },
    Table {
        name: "datacenters",
        about: "a datacenter of a seed",
        rows: Rows::Nested("seeds", "datacenters"),
        own: &[
            column("seed_uuid", Type::Text, Origin::Parent),
            text("datacenter_uuid", &["uuid"]),
            text("country", &["country"]),
            text("location", &["location"]),
            text("provider", &["provider"]),
            text("region", &["region"]),
        ],
    },
    Table {
        name: "clusters",
        about: "a user cluster",
        rows: Rows::Array("clusters"),
        own: &[
            text("cluster_uuid", &["uuid"]),
            text("seed_uuid", &["seedUUID"]),
            text("project_uuid", &["projectUUID"]),
            text("datacenter_uuid", &["cloud", "dcUUID"]),
            text("provider", &["cloud", "provider"]),
            text("phase", &["phase"]),
            text("kubernetes_version", &["kubernetesServerVersion"]),
            text("kubermatic_version", &["kubermaticVersion"]),
            text("expose_strategy", &["exposeStrategy"]),
            number("etcd_cluster_size", &["etcdClusterSize"]),
            text("container_runtime", &["containerRuntime"]),
            text("cni_type", &["cniPlugin", "type"]),
            text("cni_version", &["cniPlugin", "version"]),
            text("ip_family", &["clusterNetwork", "ipFamily"]),
            flag("konnectivity_enabled", &["clusterNetwork", "konnectivityEnabled"]),
            flag("opa_enabled", &["opaIntegrationEnabled"]),
            flag("monitoring_enabled", &["mla", "monitoringEnabled"]),
            flag("logging_enabled", &["mla", "loggingEnabled"]),
            flag("user_ssh_key_agent_enabled", &["enableUserSSHKeyAgent"]),
        ],
    },
    Table {
        name: "users",
        about: "a user",
        rows: Rows::Array("users"),
        own: &[
            text("user_uuid", &["uuid"]),
            flag("is_admin", &["isAdmin"]),
            flag("is_service_account", &["isServiceAccount"]),
        ],
    },
    Table {
        name: "projects",
        about: "a project",
        rows: Rows::Array("projects"),
        own: &[text("project_uuid", &["uuid"])],
    },
    Table {
        name: "ssh_keys",
        about: "an SSH key",
        rows: Rows::Array("sshKeys"),
        own: &[
            text("ssh_key_uuid", &["uuid"]),
            texts("owner_project_uuids", &["ownerProjectUUID"]),
            texts("cluster_uuids", &["clusterUUIDs"]),
        ],
    },
    Table {
        name: "machine_deployments",
        about: "a machine deployment of a user cluster",
        rows: Rows::Array("machineDeployments"),
        own: &[
            text("machine_deployment_uuid", &["uuid"]),
            text("cluster_uuid", &["clusterUUID"]),
            text("os", &["os"]),
            text("kubelet_version", &["kubeletVersion"]),
            number("replicas", &["numberOfReplicas"]),
            text("provider", &["provider"]),
        ],
    },
    Table {
        name: "nodes",
        about: "a node of the master, a seed or a user cluster",
        rows: Rows::Array("nodes"),
        own: &[
            text("node_uuid", &["id"]),
            text("seed_uuid", &["seedUUID"]),
            text("cluster_uuid", &["clusterUUID"]),
            text("operating_system", &["operatingSystem"]),
            text("os_image", &["osImage"]),
            text("kernel_version", &["kernelVersion"]),
            text("architecture", &["architecture"]),
            text("container_runtime_version", &["containerRuntimeVersion"]),
            text("kubelet_version", &["kubeletVersion"]),
            text("provider", &["cloudProvider"]),
            capacity("cpu_millicores", "cpu", 1000),
            capacity("memory_bytes", "memory", 1),
            capacity("ephemeral_storage_bytes", "ephemeral-storage", 1),
            capacity("pods", "pods", 1),
            column("capacity", Type::Texts, Origin::Capacities),
        ],
    },
    Table {
        name: "problems",
        about: "what a record could not find out",
        rows: Rows::Array("problems"),
        own: &[
            required(column("position", Type::Number, Origin::Position)),
            required(column("kind", Type::Text, Origin::Parent)),
            text("step", &["step"]),
            text("category", &["category"]),
            text("concerns", &["concerns"]),
        ],
    },
];

/// The table for machine learning, which is computed from the others and not kept.
pub(crate) static FEATURES: Table =
    Table { name: "features", about: "a client in a month", rows: Rows::Computed, own: super::features::COLUMNS };
