//! A connected site behind a real forward proxy (Squid) that opens TLS with a certificate authority of its own.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::{PATIENCE, Server, exported, send};
use crate::support::{Desk, skip};

/// Makes certificates while Squid runs; only there if Squid was built with OpenSSL.
const CERTGEN: &str = "/usr/lib/squid/security_file_certgen";

/// A Squid that lets everything through and looks into TLS.
struct Squid {
    child: Child,
    port: u16,
}

impl Squid {
    fn start(desk: &Desk) -> Option<Self> {
        if !Path::new(CERTGEN).exists() {
            skip("there is no Squid with OpenSSL (Debian: squid-openssl)");
            return None;
        }
        // Squid gives up its rights, and has to read and write here all the same.
        let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        let place = desk.path("squid");
        fs::create_dir(&place).unwrap();
        open(&desk.path(""));
        open(&place);
        let at = place.display();
        let made = Command::new(CERTGEN).args(["-c", "-s", &format!("{at}/db"), "-M", "4MB"]).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        tool_everything(&place);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let ca = desk.path("ca.pem");
        let key = desk.path("snakeoil-ca-key.pem");
        let configuration = format!(
            "http_port 127.0.0.1:{port} ssl-bump tls-cert={ca} tls-key={key} generate-host-certificates=on\n\
             sslcrtd_program {CERTGEN} -s {at}/db -M 4MB\nsslcrtd_children 1\n\
             tls_outgoing_options cafile={ca}\nssl_bump bump all\nhttp_access allow all\ncache deny all\n\
             access_log stdio:{at}/access.log\ncache_log {at}/cache.log\npid_filename {at}/squid.pid\n\
             coredump_dir {at}\nnetdb_filename none\npinger_enable off\nshutdown_lifetime 1 second\n",
            ca = ca.display(),
            key = key.display(),
        );
        let configuration = desk.file("squid/squid.conf", configuration);
        let mut command = Command::new("squid");
        command.arg("-N").arg("-f").arg(configuration).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let squid = Self { child: command.spawn().unwrap(), port };
        let started = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = fs::read_to_string(desk.path("squid/cache.log")).unwrap_or_default();
            assert!(started.elapsed() < PATIENCE, "Squid does not start: {log}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Some(squid)
    }
}

impl Drop for Squid {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lets everybody read and write what is below a directory.
fn tool_everything(place: &Path) {
    crate::support::tool(place, "chmod", &["-R", "a+rwX", "."]);
}

#[test]
fn a_site_behind_a_proxy_with_a_private_authority_delivers() {
    let desk = Desk::new();
    let authority = super::tls::Authority::new();
    authority.write_with_key(&desk);
    authority.issue(&desk, "server", "localhost", rcgen::ExtendedKeyUsagePurpose::ServerAuth);
    let Some(squid) = Squid::start(&desk) else { return };
    let server = Server::start(&desk, super::tls::TLS);
    exported(&desk);
    let url = format!("https://localhost:{}", server.address.port());
    let proxy = format!("http://127.0.0.1:{}", squid.port);
    let log = || fs::read_to_string(desk.path("squid/access.log")).unwrap_or_default();

    let untrusted = send(&desk, &url, &format!("--proxy {proxy} --deadline 1s")).ok();
    untrusted.says("invalid peer certificate");
    assert!(!log().contains("POST"), "{}", log());
    send(&desk, &url, &format!("--proxy {proxy} --ca-file ca.pem")).ok().says("2 records acknowledged");
    assert_eq!(log().matches("TCP_MISS/201").count(), 1, "the bundle went through the proxy: {}", log());

    // The variables that everybody else heeds do as well.
    desk.collect();
    let line = format!("send --url {url} --receipt-key archive/receipt-key.pub.pem --ca-file ca.pem --deadline 20s");
    let run = |name: &str, value: &str| {
        let mut command = desk.command();
        command.args(line.split(' ')).env(name, value).stdin(Stdio::null());
        crate::support::Printed::of(command.output().unwrap()).ok()
    };
    run("HTTPS_PROXY", &proxy).says("2 records acknowledged");
    assert_eq!(log().matches("TCP_MISS/201").count(), 2);
    desk.collect();
    let mut command = desk.command();
    command.args(line.split(' ')).env("HTTPS_PROXY", &proxy).env("NO_PROXY", "localhost").stdin(Stdio::null());
    crate::support::Printed::of(command.output().unwrap()).ok().says("2 records acknowledged");
    assert_eq!(log().matches("TCP_MISS/201").count(), 2, "past the proxy");
    drop(squid);
    desk.collect();
    run("HTTPS_PROXY", &proxy).says("not delivered yet");
}
