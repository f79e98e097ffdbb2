//! `serve`: accept bundles over HTTP.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::watch;

use kubermatic_telemetry::ingest::server::{self, Connections, Quotas, Service, Settings, Tls, Token, Trusted};

use super::Done;
use super::archive::{ArchiveArgs, receipt_key};
use super::failure::Failure;
use super::files::LimitArgs;
use super::interrupt;
use super::output::{Output, count};
use super::values::{at_least_one, duration};

/// Accept bundles over HTTP: Kubermatic's side.
///
/// POST /v1/bundles takes a bundle and answers with its receipt, and / is a page to upload one from a browser. Any number
/// of servers can share an archive. SIGTERM lets those that are at work finish. docs/ingest.md says how to run it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen; port 0 takes a free one, which is told on stderr.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    #[command(flatten)]
    archive: ArchiveArgs,
    /// Serve /healthz, /readyz and /metrics on a listener of their own, and /metrics on no other.
    #[arg(long, value_name = "ADDRESS:PORT")]
    operator_listen: Option<SocketAddr>,
    /// A certificate chain in PEM, for HTTPS; it is read again when it changes.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Serve only those who present the bearer token in this file.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// How many proxies stand in front and append to X-Forwarded-For; quotas count by what the first of them saw.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    proxies: usize,
    /// Where bundles lie while they arrive, as unnamed files [default: $TMPDIR, or /tmp].
    #[arg(long, value_name = "DIR")]
    spool: Option<PathBuf>,
    /// How old what is known of the keyring may be before it is read again.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "20s")]
    keyring_age: Duration,
    /// How many bundles may arrive at a time; others are asked to come back.
    #[arg(long, value_name = "NUMBER", default_value_t = 256, value_parser = at_least_one)]
    max_uploads: usize,
    /// How many bundles are checked at a time [default: the number of processors].
    #[arg(long, value_name = "NUMBER", value_parser = at_least_one)]
    max_checks: Option<usize>,
    /// How many connections there may be.
    #[arg(long, value_name = "NUMBER", default_value_t = Connections::default().most, value_parser = at_least_one)]
    max_connections: usize,
    /// How many connections one address may have, where no proxy stands in front.
    #[arg(
        long, value_name = "NUMBER", value_parser = at_least_one,
        default_value_t = Connections::default().of_address.unwrap_or(usize::MAX)
    )]
    max_address_connections: usize,
    /// How long the headers of a request, and the pause before them, may take.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "15s")]
    header_timeout: Duration,
    /// How long a bundle that is arriving may pause.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    idle_timeout: Duration,
    /// How long a bundle may take to arrive.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1h")]
    upload_timeout: Duration,
    /// How long those that are at work may go on after SIGTERM.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1m")]
    grace: Duration,
    /// Set what may be brought within an hour, for example `--quota client-bundles=500`; may be given several times.
    #[arg(long = "quota", value_name = "NAME=NUMBER", value_parser = parse_quota, long_help = quota_help())]
    quotas: Vec<(String, u64)>,
    #[command(flatten)]
    limits: LimitArgs,
}

fn parse_quota(text: &str) -> Result<(String, u64), String> {
    let (name, number) = text.split_once('=').ok_or("NAME=NUMBER is expected")?;
    let number = number.parse().map_err(|_| format!("`{number}` is not a number"))?;
    let known = Quotas::default().set(name, number);
    if known { Ok((name.to_owned(), number)) } else { Err(format!("there is no quota `{name}`; --help lists them")) }
}

/// The quotas with their defaults, for `--help`.
fn quota_help() -> String {
    let mut text =
        "Set what may be brought within an hour, for example `--quota client-bundles=500`; beyond it the answer \
                    is 429. May be given several times.\n"
            .to_owned();
    for (name, meaning, number) in Quotas::default().list() {
        let _ = write!(text, "\n  {name:<16} {meaning:<40} {number:>12}");
    }
    text
}

pub fn run(args: &Args, output: &Output) -> Done {
    // Before anything is said: who hears it may ask the program to stop.
    let mut asked = interrupt::listen(args.grace + Duration::from_secs(10))?;
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let keyring = Trusted::load(args.archive.keyring.clone(), args.keyring_age)?;
    let given = args.archive.given_key()?;
    let archive = args.archive.open(&*keyring.now()?, runtime.handle().clone())?;
    let receipt_key = receipt_key(given.as_ref(), &archive)?;
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Some(Arc::new(Tls::load(certificate, key)?)),
        _ => None,
    };
    let service = Arc::new(Service::new(settings(args)?, archive, keyring, receipt_key));
    let (stop, stopping) = watch::channel(false);
    let cut_off = runtime.block_on(async {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = bind(args.listen).await?;
        output.note(&format!("listening on {scheme}://{}", listener.local_addr()?));
        if let Some(address) = args.operator_listen {
            let listener = bind(address).await?;
            output.note(&format!("for operators on http://{}", listener.local_addr()?));
            let app = server::for_operators(Arc::clone(&service));
            let (service, connections) = (Arc::clone(&service), Connections::default());
            tokio::spawn(server::serve(service, listener, app, None, connections, stopping.clone()));
        }
        let app = server::app(Arc::clone(&service), args.operator_listen.is_none());
        let service = Arc::clone(&service);
        let served = tokio::spawn(server::serve(service, listener, app, tls, connections(args), stopping));
        // The sender lives as long as the program.
        let _ = asked.wait_for(Option::is_some).await;
        output.note("stopping: those that are at work may finish");
        stop.send_replace(true);
        Ok::<_, Failure>(served.await?)
    })?;
    let closed = service.close();
    runtime.shutdown_timeout(Duration::from_secs(5));
    closed?;
    if cut_off > 0 {
        output.warning(&format!("{} cut off", count(cut_off, "connection")), Some("--grace gives them more time"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::from(error)
            .context(format!("can't listen on {address}"))
            .hint("--listen ADDRESS:PORT names another place")
    })
}

fn connections(args: &Args) -> Connections {
    Connections {
        most: args.max_connections,
        of_address: (args.proxies == 0).then_some(args.max_address_connections),
        headers: args.header_timeout,
        grace: args.grace,
    }
}

fn settings(args: &Args) -> Result<Settings, Failure> {
    let mut quotas = Quotas::default();
    for (name, number) in &args.quotas {
        // Checked when it was parsed.
        quotas.set(name, *number);
    }
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Settings {
        limits: args.limits.limits(),
        policy: args.archive.policy(),
        pins_per_hour: args.archive.pins_per_hour,
        token: args.token_file.as_deref().map(read_token).transpose()?,
        uploads: args.max_uploads,
        checks: args.max_checks.unwrap_or_else(processors),
        idle: args.idle_timeout,
        total: args.upload_timeout,
        spool: args.spool.clone().unwrap_or_else(std::env::temp_dir),
        quotas,
        proxies: args.proxies,
    })
}

fn read_token(path: &Path) -> Result<Token, Failure> {
    let named = |failure: Failure| failure.context(format!("the token in {}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| named(error.into()))?;
    let text = zeroize::Zeroizing::new(text);
    Token::new(text.trim()).map_err(|what| named(Failure::new(what)))
}
