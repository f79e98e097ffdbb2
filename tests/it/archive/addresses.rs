//! What is told where an archive can't be used: the address, the credentials, the bucket.

use std::net::TcpListener;
use std::process::Command;

use super::{BUCKET, Place, first_bundle};
use crate::support::{Desk, Printed, root};

const SECRET: &str = "snakeoil+SECRET/0123456789";

/// Ingests into an archive with an environment of its own, and insists on failure without a secret in what is told.
fn refused(address: &str, variables: &[(&str, &str)]) -> Printed {
    let desk = Desk::in_memory();
    desk.file("bundle.tar", first_bundle(1).0);
    let mut command: Command = desk.command();
    command.args(["ingest", "-v", "bundle.tar", "--trust", "tofu", "--archive", address, "--receipt-key"]);
    command.arg(root().join("testdata/keys/snakeoil-client.pem"));
    // Whatever is asked for credentials, it is on this machine, and not there.
    let nowhere = [
        ("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1"),
        ("AZURE_MSI_ENDPOINT", "http://127.0.0.1:1"),
        ("HTTPS_PROXY", "http://127.0.0.1:1"),
        ("HTTP_PROXY", "http://127.0.0.1:1"),
        ("NO_PROXY", "127.0.0.1"),
    ];
    let printed = Printed::of(command.envs(nowhere).envs(variables.iter().copied()).output().unwrap()).code(1);
    assert!(!printed.stderr.contains("SECRET"), "{}", printed.stderr);
    assert!(printed.stderr.contains("hint:"), "{}", printed.stderr);
    printed
}

#[test]
fn a_bucket_that_does_not_exist_and_credentials_that_are_refused_are_told() {
    let Some(place) = Place::bucket() else { return };
    let environment = place.s3().environment();
    let with = |name: &str, value: &str, address: &str| {
        let mut variables: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        variables.push((name, value));
        refused(address, &variables)
    };
    let missing = with("AWS_REGION", "us-east-1", "s3://nowhere/archive");
    missing.says("there is no such bucket (404 NoSuchBucket)").says("make the bucket first");
    let wrong = with("AWS_SECRET_ACCESS_KEY", SECRET, &format!("s3://{BUCKET}/archive"));
    wrong.says("the credentials are refused (403 SignatureDoesNotMatch)").says("to get, put and list");
    let plain = with("AWS_ALLOW_HTTP", "false", &format!("s3://{BUCKET}/archive"));
    plain.says("http:// is not allowed").says("AWS_ALLOW_HTTP");
    assert!(place.objects().is_empty(), "nothing was kept");
}

#[test]
fn without_credentials_none_are_asked_of_strangers_for_long() {
    refused("s3://bundles", &[]).says("no credentials for S3").says("AWS_*, GOOGLE_* or AZURE_*");
    let no_token = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/SNAKEOIL"), ("AWS_ROLE_ARN", "arn:aws:iam::1:role/x")];
    refused("s3://bundles", &no_token).says("no credentials for S3");
    refused("az://bundles", &[]).says("Azure Blob Storage can't be set up").says("Account must be specified");
    let unread = [("GOOGLE_SERVICE_ACCOUNT", "/nowhere/account.json")];
    refused("gs://bundles", &unread).says("Google Cloud Storage can't be set up").says("/nowhere/account.json");
}

#[test]
fn credentials_that_are_no_credentials_are_not_quoted() {
    let google = format!(r#"{{"private_key": "{SECRET}", "client_email": 5"#);
    refused("gs://bundles", &[("GOOGLE_SERVICE_ACCOUNT_KEY", &google)]).says("are not the JSON that is expected");
    let azure = [("AZURE_STORAGE_ACCOUNT_NAME", "snakeoil"), ("AZURE_STORAGE_ACCOUNT_KEY", "%%SECRET%%")];
    refused("az://bundles", &azure).says("Azure Blob Storage can't be set up");
    let unclear =
        [("AWS_ACCESS_KEY_ID", "AKIASNAKEOIL"), ("AWS_SECRET_ACCESS_KEY", SECRET), ("AWS_ALLOW_HTTP", "perhaps")];
    refused("s3://bundles", &unclear).says("S3 can't be set up").says("perhaps");
}

#[test]
fn an_endpoint_that_is_not_there_is_told_within_seconds() {
    // A port that was free just now.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = format!("http://{address}");
    let keys = [("AWS_ACCESS_KEY_ID", "AKIASNAKEOIL"), ("AWS_SECRET_ACCESS_KEY", SECRET), ("AWS_ALLOW_HTTP", "true")];
    let started = std::time::Instant::now();
    let s3 = [&keys[..], &[("AWS_ENDPOINT_URL", &endpoint)]].concat();
    refused("s3://bundles", &s3).says("it can't be reached: Connection refused");
    let azure = [
        ("AZURE_STORAGE_ACCOUNT_NAME", "snakeoil"),
        ("AZURE_STORAGE_ACCOUNT_KEY", "c25ha2VvaWwgU0VDUkVU"),
        ("AZURE_STORAGE_ENDPOINT", &endpoint),
        ("AZURE_ALLOW_HTTP", "true"),
    ];
    refused("az://bundles", &azure).says("it can't be reached: Connection refused");
    let google =
        [("GOOGLE_BASE_URL", endpoint.as_str()), ("GOOGLE_SKIP_SIGNATURE", "true"), ("GOOGLE_ALLOW_HTTP", "true")];
    refused("gs://bundles", &google).says("it can't be reached: Connection refused");
    assert!(started.elapsed() < std::time::Duration::from_mins(1));
}

#[test]
fn an_address_that_is_none_is_told_without_what_may_be_secret_in_it() {
    for address in ["s3://AKIA:SECRET@bucket", "s3:/bucket/SECRET", "az://bucket?sig=SECRET", "https://SECRET@host/x"] {
        refused(address, &[]).says("... is not the address of an archive: a directory, file://, s3://BUCKET");
    }
}
