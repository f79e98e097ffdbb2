//! `status`: identity, what is pending, and what became of what was exported.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde_json::{Value, json};

use kubermatic_telemetry::setting::{Decision, Withheld};
use kubermatic_telemetry::store::{Acknowledgement, Doubt, Export, Store, StoredRecord};

use super::context::Context;
use super::failure::Failure;
use super::output::{Output, bytes, count, escaped};
use super::{Done, activity};

/// Show the identity, what is pending, and what became of what was exported.
///
/// Shows whether telemetry is on and which setting decided, the identity, the pending records, the last export and the
/// last receipt. With --history it lists every export and receipt.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// List every export and receipt.
    #[arg(long)]
    history: bool,
}

pub fn run(args: &Args, context: &Context, output: &Output) -> Done {
    let (telemetry, withheld) = (context.telemetry()?, context.withheld()?);
    let identity = context.identity()?;
    let store = identity.as_ref().map(|identity| context.store(identity)).transpose()?.flatten();
    let state = store.as_ref().map(State::read).transpose()?.unwrap_or_default();
    if output.is_json() {
        let key = identity.as_ref().map(|identity| identity.public_key().id());
        output.document(&json!({
            "telemetry": { "on": telemetry.on, "decidedBy": telemetry.by.to_string() },
            "withheld": withheld_json(&withheld),
            "client": identity.as_ref().map(kubermatic_telemetry::identity::Identity::client),
            "key": key,
            "store": store.as_ref().map(Store::id),
            "pending": state.pending_json(),
            "rejected": state.rejected.len(),
            "rejectedFor": state.reasons(),
            "quarantine": state.quarantine_json(),
            "doubts": state.doubts.iter().map(doubt_json).collect::<Vec<_>>(),
            "dropped": state.dropped,
            "discarded": state.discarded,
            "exports": if args.history { json!(state.exports) } else { json!(state.exports.len()) },
            "lastExport": state.exports.last(),
            "receipts": if args.history { json!(state.receipts) } else { json!(state.receipts.len()) },
            "lastReceipt": state.receipts.last(),
            "lastAttempts": activity::document(store.as_ref()),
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    print_telemetry(&telemetry, output)?;
    print_withheld(&withheld, output)?;
    match &identity {
        Some(identity) => {
            output.line(&format!("client     {}", identity.client()))?;
            output.line(&format!("key        {}", identity.public_key().id()))?;
        }
        None => output.line("client     none yet: `init`, or the first collection, makes one")?,
    }
    output.line(&format!("state      {}", context.state()?.display()))?;
    state.print(output)?;
    activity::print(store.as_ref(), output)?;
    if args.history {
        state.print_history(output)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print_telemetry(telemetry: &Decision, output: &Output) -> Result<(), Failure> {
    let word = if telemetry.on { "on" } else { "off" };
    output.line(&format!("telemetry  {word} ({})", telemetry.by))
}

/// What is withheld, and which place withholds what.
fn print_withheld(withheld: &Withheld, output: &Output) -> Result<(), Failure> {
    let names = withheld.withholding.names();
    output.line(&format!("withheld   {}", if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }))?;
    withheld
        .by
        .iter()
        .try_for_each(|(place, names)| output.line(&format!("             {place}: {}", names.join(", "))))
}

fn withheld_json(withheld: &Withheld) -> Value {
    let by = withheld.by.iter().map(|(place, names)| json!({ "place": place.to_string(), "names": names }));
    json!({ "names": withheld.withholding.names(), "by": by.collect::<Vec<_>>() })
}

/// How many files of the quarantine are listed.
const MOST_LINES: usize = 10;

/// What a sign means, for people.
fn doubt_text(doubt: Doubt) -> String {
    match doubt {
        Doubt::Behind { seen, own } => format!(
            "ingest has seen sequence {seen}, this store has given {own}: it was restored from an older copy, or a copy \
             of it is in use; nothing is lost, and the next export continues above {seen}"
        ),
        Doubt::Fork(sequence) => format!(
            "ingest had another bundle in the place of sequence {sequence}: a copy of this store was or is in use \
             elsewhere; nothing is lost, and `init --new-client` there makes it a client of its own"
        ),
        Doubt::Gap(sequence) => format!(
            "ingest has not seen the bundle of sequence {sequence}; it may be under way, or `export --again {sequence}` \
             writes it again"
        ),
    }
}

fn doubt_json(doubt: &Doubt) -> Value {
    match doubt {
        Doubt::Behind { seen, own } => json!({ "kind": "behind", "seen": seen, "own": own }),
        Doubt::Fork(sequence) => json!({ "kind": "fork", "sequence": sequence }),
        Doubt::Gap(sequence) => json!({ "kind": "gap", "sequence": sequence }),
    }
}

/// What a store holds.
#[derive(Default)]
struct State {
    pending: Vec<StoredRecord>,
    rejected: Vec<StoredRecord>,
    quarantined: Vec<(String, String)>,
    doubts: Vec<Doubt>,
    exports: Vec<Export>,
    receipts: Vec<Acknowledgement>,
    dropped: BTreeMap<String, u64>,
    discarded: BTreeMap<String, u64>,
}

impl State {
    fn read(store: &Store) -> Result<Self, Failure> {
        Ok(Self {
            pending: store.pending()?,
            rejected: store.rejected()?,
            quarantined: store.quarantined()?,
            doubts: store.doubts()?,
            exports: store.exports()?,
            receipts: store.acknowledgements()?,
            dropped: store.dropped().clone(),
            discarded: store.discarded().clone(),
        })
    }

    /// The pending records by kind; they are sorted by kind, then by time.
    fn kinds(&self) -> Vec<(&str, Vec<&StoredRecord>)> {
        let mut kinds: Vec<(&str, Vec<&StoredRecord>)> = Vec::new();
        for record in &self.pending {
            let kind = record.envelope.kind.as_str();
            match kinds.last_mut() {
                Some((last, records)) if *last == kind => records.push(record),
                _ => kinds.push((kind, vec![record])),
            }
        }
        kinds
    }

    fn pending_json(&self) -> Value {
        let kinds = self.kinds().into_iter().map(|(kind, records)| {
            json!({
                "kind": kind,
                "records": records.len(),
                "bytes": records.iter().map(|record| record.size).sum::<u64>(),
                "oldest": records.iter().map(|record| record.envelope.time.as_str()).min(),
                "newest": records.iter().map(|record| record.envelope.time.as_str()).max(),
            })
        });
        let size = self.pending.iter().map(|record| record.size).sum::<u64>();
        json!({ "records": self.pending.len(), "bytes": size, "kinds": kinds.collect::<Vec<_>>() })
    }

    fn print(&self, output: &Output) -> Result<(), Failure> {
        let size = self.pending.iter().map(|record| record.size).sum::<u64>();
        output.line(&format!("pending    {}, {}", count(self.pending.len(), "record"), bytes(size)))?;
        for (kind, records) in self.kinds() {
            let times = records.iter().map(|record| record.envelope.time.as_str());
            let (oldest, newest) = (times.clone().min().unwrap_or_default(), times.max().unwrap_or_default());
            output.line(&format!("             {kind}: {}, {oldest} to {newest}", records.len()))?;
        }
        if !self.rejected.is_empty() {
            output.line(&format!("rejected   {} by ingest, set aside", count(self.rejected.len(), "record")))?;
            for (reason, number) in self.reasons() {
                output.line(&format!("             {number}: {}", escaped(&reason)))?;
            }
            output.line("             `export --rejected` packs them again, `discard --rejected` removes them")?;
        }
        if !self.quarantined.is_empty() {
            output.line(&format!("quarantine {}", count(self.quarantined.len(), "file")))?;
            for (name, reason) in self.quarantined.iter().take(MOST_LINES) {
                output.line(&format!("             {}: {}", escaped(name), escaped(reason)))?;
            }
        }
        for (label, lost) in [("dropped", &self.dropped), ("discarded", &self.discarded)] {
            let lost: Vec<_> = lost.iter().map(|(kind, number)| format!("{number} {kind}")).collect();
            if !lost.is_empty() {
                output.line(&format!("{label:<10} {}", lost.join(", ")))?;
            }
        }
        match self.exports.last() {
            Some(export) => output.line(&format!("exported   {}", export_line(export)))?,
            None => output.line("exported   nothing yet")?,
        }
        match self.receipts.last() {
            Some(receipt) => output.line(&format!("receipt    {}", receipt_line(receipt)))?,
            None => output.line("receipt    none yet")?,
        }
        self.doubts.iter().try_for_each(|doubt| output.line(&format!("note       {}", doubt_text(*doubt))))
    }

    /// Why the rejected records were rejected, and how many each.
    fn reasons(&self) -> BTreeMap<String, usize> {
        let settled = self.receipts.iter().flat_map(|receipt| &receipt.records).filter(|record| !record.accepted);
        let reasons: BTreeMap<_, _> = settled.map(|record| (record.id, record.reason.as_deref())).collect();
        let mut counted = BTreeMap::new();
        for record in &self.rejected {
            let reason = reasons.get(&record.id).copied().flatten().unwrap_or("no reason given");
            *counted.entry(reason.to_owned()).or_default() += 1;
        }
        counted
    }

    fn quarantine_json(&self) -> Vec<Value> {
        self.quarantined.iter().map(|(file, reason)| json!({ "file": file, "reason": reason })).collect()
    }

    fn print_history(&self, output: &Output) -> Result<(), Failure> {
        output.line("\nhistory:")?;
        let exports =
            self.exports.iter().map(|export| (export.created.as_str(), format!("export  {}", export_line(export))));
        let receipts = self
            .receipts
            .iter()
            .map(|receipt| (receipt.received.as_str(), format!("receipt {}", receipt_line(receipt))));
        let mut lines: Vec<_> = exports.chain(receipts).collect();
        lines.sort_by(|left, right| left.0.cmp(right.0));
        lines.iter().try_for_each(|(_, line)| output.line(&format!("  {line}")))
    }
}

fn export_line(export: &Export) -> String {
    let note = export.note.as_deref().map(|note| format!(", note: {}", escaped(note))).unwrap_or_default();
    let unfinished = if export.delivered { "" } else { ", not written out whole" };
    format!(
        "{} sequence {}: {}, {}, sha256 {}{unfinished}{note}",
        export.created,
        export.sequence,
        count(export.records.len(), "record"),
        bytes(export.size),
        export.sha256
    )
}

fn receipt_line(receipt: &Acknowledgement) -> String {
    let chain = if receipt.chain == "ok" { String::new() } else { format!(", chain: {}", escaped(&receipt.chain)) };
    format!(
        "{} sequence {}: {}, highest seen {}{chain}",
        escaped(&receipt.received),
        receipt.sequence,
        count(receipt.records.len(), "record"),
        receipt.highest_sequence
    )
}
