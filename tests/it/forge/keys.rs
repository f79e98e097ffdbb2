//! Signatures, keys, rotation and trust that are not as they must be.

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use kubermatic_telemetry::digest::Sha256Digest;
use kubermatic_telemetry::keys::{PublicKey, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, STANDARD_NO_PAD, URL_SAFE};

use super::{CLIENT, Case, Forge, case, client_key, signature_file};

const MISMATCH: &str = "signatureMismatch";
const ENCODING: &str = "signatureEncoding";

/// The keys of a client that rotates often: each seed is one byte, 32 times.
pub fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

/// The order of the group that signatures are made in, 2^252 + 27742317777372353535851937790883648493.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The point that adds nothing, as it is encoded, and in another encoding that some readers take.
const IDENTITY: [u8; 32] =
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const IDENTITY_PLUS_P: [u8; 32] = [
    0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
];

pub fn cases() -> Vec<Case> {
    let mut cases = encodings();
    cases.extend(signatures());
    cases.extend(public_keys());
    cases.extend(rotations());
    cases.extend(trust());
    cases
}

fn signed(name: &str, code: &'static str, about: &'static str, sign: fn(&[u8]) -> Vec<u8>) -> Case {
    case(name, code, about, Forge::new().sign(sign).build())
}

fn encodings() -> Vec<Case> {
    vec![
        case("signature-url-safe", ENCODING, "base64 of URLs", spelled_otherwise().build()),
        signed("signature-without-padding", ENCODING, "base64 without padding", |document| {
            (STANDARD_NO_PAD.encode(client_key().sign(document)) + "\n").into_bytes()
        }),
        signed("signature-with-cr-lf", ENCODING, "a carriage return before the line feed", |document| {
            (BASE64.encode(client_key().sign(document)) + "\r\n").into_bytes()
        }),
        signed("signature-without-line-feed", ENCODING, "a space for the line feed", |document| {
            (BASE64.encode(client_key().sign(document)) + " ").into_bytes()
        }),
        signed("signature-with-bits-to-spare", ENCODING, "bits that the last character should not have", |document| {
            let text = BASE64.encode(client_key().sign(document));
            let last = text.as_bytes()[85];
            let other = if last == b'9' { '+' } else { char::from(last + 1) };
            format!("{}{other}==\n", &text[..85]).into_bytes()
        }),
        signed("signature-with-a-star", ENCODING, "a character that is not base64", |document| {
            let mut file = signature_file(&client_key().sign(document));
            file[10] = b'*';
            file
        }),
        signed("signature-of-66-bytes", ENCODING, "66 bytes", |document| {
            signature_file(&[&client_key().sign(document)[..], &[0, 0]].concat())
        }),
    ]
}

/// A bundle whose signature the alphabet of URLs spells otherwise; the note is tried until it is such.
fn spelled_otherwise() -> Forge {
    let text = |document: &[u8]| URL_SAFE.encode(client_key().sign(document)) + "\n";
    let forge = |note: u32| Forge::new().with("/note", format!("try {note}"));
    let differs = |note: &u32| text(&forge(*note).parts().0).contains(['-', '_']);
    forge((0..1000).find(differs).unwrap()).sign(move |document| text(document).into_bytes())
}

fn signatures() -> Vec<Case> {
    vec![
        signed("signature-of-another-key", MISMATCH, "another key's signature", |document| {
            signature_file(&key(1).sign(document))
        }),
        signed("signature-of-other-bytes", MISMATCH, "a signature over the manifest and a line feed", |document| {
            signature_file(&client_key().sign(&[document, b"\n"].concat()))
        }),
        signed("signature-flipped", MISMATCH, "a signature with one bit flipped", |document| {
            let mut signature = client_key().sign(document);
            signature[3] ^= 4;
            signature_file(&signature)
        }),
        signed("signature-malleable", MISMATCH, "the order added to S, which lenient verifiers take", |document| {
            let mut signature = client_key().sign(document);
            let mut carry = 0;
            for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
                carry += u16::from(*byte) + u16::from(order);
                [*byte, _] = carry.to_le_bytes();
                carry >>= 8;
            }
            signature_file(&signature)
        }),
        signed("signature-small-order-r", MISMATCH, "R is the identity, which lenient verifiers take", |document| {
            signature_file(&with_r(IDENTITY, document))
        }),
        signed("signature-other-encoding-of-r", MISMATCH, "R is the identity in another encoding", |document| {
            signature_file(&with_r(IDENTITY_PLUS_P, document))
        }),
        case(
            "manifest-altered",
            MISMATCH,
            "another sequence number than was signed",
            Forge::new().outer(|bytes| replaced(bytes, b"\"sequence\":1", b"\"sequence\":2")).build(),
        ),
        case(
            "note-altered",
            MISMATCH,
            "another note than was signed",
            Forge::new()
                .with("/note", "x")
                .outer(|bytes| replaced(bytes, b"\"note\":\"x\",", b"\"note\":\"y\","))
                .build(),
        ),
    ]
}

fn replaced(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
    bytes
}

/// The secret scalar of the client's key.
fn secret(key: &SigningKey) -> Scalar {
    let pem = kubermatic_telemetry::keys::to_pem(key, None, &kubermatic_telemetry::clock::System).unwrap();
    let der = BASE64.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap();
    let mut scalar: [u8; 32] = Sha512::digest(&der[16..48])[..32].try_into().unwrap();
    scalar[0] &= 0xf8;
    scalar[31] = scalar[31] & 0x7f | 0x40;
    Scalar::from_bytes_mod_order(scalar)
}

fn challenge(r: &[u8; 32], key: &[u8; 32], document: &[u8]) -> Scalar {
    let digest = Sha512::new().chain_update(r).chain_update(key).chain_update(document).finalize();
    Scalar::from_bytes_mod_order_wide(&digest.into())
}

/// A signature with the identity for R: its equation holds.
fn with_r(r: [u8; 32], document: &[u8]) -> Vec<u8> {
    let key = client_key();
    let public: [u8; 32] = key.public().spki()[12..].try_into().unwrap();
    let s = challenge(&r, &public, document) * secret(&key);
    [r, s.to_bytes()].concat()
}

/// A public key of 32 bytes in the manifest, and a signature made for it.
fn with_key(public: [u8; 32], sign: impl FnOnce(&[u8]) -> Vec<u8> + 'static) -> Forge {
    let der = [&client_key().public().spki()[..12], &public].concat();
    let id = format!("sha256:{}", Sha256Digest::of(&der));
    Forge::new().with("/key", id).with("/publicKey", BASE64.encode(&der)).sign(sign)
}

/// A signature that holds for a key without order, whatever is signed.
fn of_nobody(_: &[u8]) -> Vec<u8> {
    let s = Scalar::from(5_u8);
    signature_file(&[(ED25519_BASEPOINT_POINT * s).compress().to_bytes(), s.to_bytes()].concat())
}

/// A key with a part of small order, and a signature for it. Its equation holds for one document in eight; for the
/// others it would only if it were multiplied by eight. `holds` says which is wanted; the note is tried until it comes.
pub fn with_mixed_key(holds: bool) -> Forge {
    let secret = secret(&client_key());
    let public: EdwardsPoint = ED25519_BASEPOINT_POINT * secret + EIGHT_TORSION[1];
    let (public, nonce) = (public.compress().to_bytes(), Scalar::from(7_u8));
    let r = (ED25519_BASEPOINT_POINT * nonce).compress().to_bytes();
    let forge = |note: u32| {
        let sign = move |document: &[u8]| {
            signature_file(&[r, (nonce + challenge(&r, &public, document) * secret).to_bytes()].concat())
        };
        with_key(public, sign).with("/note", format!("try {note}"))
    };
    let is_multiple = |note: &u32| {
        let (document, ..) = forge(*note).parts();
        challenge(&r, &public, &document).to_bytes()[0].trailing_zeros() >= 3
    };
    forge((0..1000).find(|note| is_multiple(note) == holds).unwrap())
}

fn public_keys() -> Vec<Case> {
    let mut not_on_the_curve = [0; 32];
    not_on_the_curve[0] = 2;
    let mut low_order = [0; 32];
    low_order.copy_from_slice(&EIGHT_TORSION[1].compress().to_bytes());
    let invalid = "manifestMemberInvalid";
    let base64 = client_key().public().to_base64();
    let with = |name: &str, code, about, member: &str, value: Value| {
        case(name, code, about, Forge::new().with(member, value).build())
    };
    vec![
        case(
            "key-of-no-order",
            MISMATCH,
            "the identity as a key, with a signature that anybody can make",
            with_key(IDENTITY, of_nobody).build(),
        ),
        case(
            "key-in-another-encoding",
            MISMATCH,
            "the identity as a key, encoded otherwise",
            with_key(IDENTITY_PLUS_P, of_nobody).build(),
        ),
        case("key-of-order-8", MISMATCH, "a key of order 8", with_key(low_order, of_nobody).build()),
        case(
            "key-of-mixed-order",
            MISMATCH,
            "a signature that holds only if multiplied by eight",
            with_mixed_key(false).build(),
        ),
        case(
            "key-that-is-no-point",
            invalid,
            "a key that is not on the curve",
            with_key(not_on_the_curve, of_nobody).build(),
        ),
        with("key-id-of-another-key", "keyIdMismatch", "the id of another key", "/key", json!(key(1).public().id())),
        with(
            "key-of-another-id",
            "keyIdMismatch",
            "another key than the id's",
            "/publicKey",
            json!(key(1).public().to_base64()),
        ),
        with(
            "key-raw",
            invalid,
            "a public key without its DER",
            "/publicKey",
            json!(BASE64.encode(&client_key().public().spki()[12..])),
        ),
        with("key-of-x25519", invalid, "a key of another algorithm", "/publicKey", {
            let mut der = client_key().public().spki();
            der[8] = 0x6e;
            json!(BASE64.encode(der))
        }),
        with("key-with-more-behind", invalid, "a byte behind the DER", "/publicKey", {
            json!(BASE64.encode([&client_key().public().spki()[..], &[0]].concat()))
        }),
        with(
            "key-without-padding",
            invalid,
            "base64 without padding",
            "/publicKey",
            json!(base64.trim_end_matches('=')),
        ),
    ]
}

/// A link by which one key names the next.
fn link(client: &str, previous: &SigningKey, next: &PublicKey) -> Value {
    let (previous_key, public_key) = (previous.public().to_base64(), next.to_base64());
    let text = format!("kubermatic-telemetry-rotation/1 {client} {previous_key} {public_key}");
    let signature = BASE64.encode(previous.sign(text.as_bytes()));
    json!({"previousKey": previous_key, "publicKey": public_key, "signature": signature})
}

/// A bundle after `links` rotations, which began with the client's key.
pub fn rotated(links: u8) -> Forge {
    let keys: Vec<_> = std::iter::once(client_key()).chain((1..=links).map(key)).collect();
    let chain: Value = keys.windows(2).map(|pair| link(CLIENT, &pair[0], &pair[1].public())).collect();
    Forge::new().key(key(links)).with("/rotation", chain)
}

fn rotations() -> Vec<Case> {
    let invalid = "rotationInvalid";
    let rotation = |name: &str, code, about, links: Value| {
        case(name, code, about, Forge::new().key(key(2)).with("/rotation", links).build())
    };
    let other = "00000000-0000-4000-8000-000000000001";
    let (first, second) = (link(CLIENT, &client_key(), &key(1).public()), link(CLIENT, &key(1), &key(2).public()));
    let mut swapped = second.clone();
    swapped["signature"] = first["signature"].clone();
    let mut short = second.clone();
    short["signature"] = json!("AAAA");
    let mut incomplete = second.clone();
    incomplete.as_object_mut().unwrap().remove("publicKey");
    vec![
        rotation("rotation-broken", invalid, "a link that does not begin where the one before ended", {
            json!([first, link(CLIENT, &key(3), &key(2).public())])
        }),
        rotation("rotation-of-another-client", invalid, "links that were signed for another client", {
            json!([link(other, &client_key(), &key(1).public()), link(other, &key(1), &key(2).public())])
        }),
        rotation(
            "rotation-to-another-key",
            invalid,
            "a chain that ends at another key than the signer's",
            json!([first]),
        ),
        rotation(
            "rotation-signature-of-another-link",
            invalid,
            "a link with the signature of another",
            json!([first, swapped]),
        ),
        rotation("rotation-signed-by-the-new-key", invalid, "a link that the new key signed", {
            let mut link = link(CLIENT, &key(2), &key(2).public());
            link["previousKey"] = json!(client_key().public().to_base64());
            json!([link])
        }),
        rotation(
            "rotation-short-signature",
            "manifestMemberInvalid",
            "a link's signature of three bytes",
            json!([first, short]),
        ),
        rotation("rotation-without-key", "manifestMemberMissing", "a link without its key", json!([first, incomplete])),
        case("rotation-of-17", "limitExceeded", "a chain of 17 links", rotated(17).build()),
    ]
}

fn trust() -> Vec<Case> {
    vec![
        case("revoked", "keyRevoked", "signed by a revoked key", Forge::new().build()).keyring(Some("revoked")),
        case(
            "revoked-and-unknown",
            "keyRevoked",
            "signed by a revoked key of a client that is not listed",
            Forge::new().build(),
        )
        .keyring(Some("revoked-only")),
        case("revoked-in-the-chain", "keyRevoked", "a chain through a revoked key", rotated(3).build())
            .keyring(Some("revoked-in-chain")),
        case(
            "revoked-in-the-chain-of-an-unknown",
            "keyRevoked",
            "the same of a client that is not listed",
            rotated(3).build(),
        )
        .keyring(Some("revoked-in-chain-only")),
        case("other-key", "keyConflict", "the client is listed with another key", Forge::new().key(key(1)).build()),
        case("other-key-with-a-chain", "keyConflict", "a chain that begins at a key that is not listed", {
            let chain = json!([link(CLIENT, &key(4), &key(5).public())]);
            Forge::new().key(key(5)).with("/rotation", chain).build()
        }),
    ]
}

pub fn keyrings() -> Vec<(&'static str, Vec<(String, String)>)> {
    let revoked = |key: &SigningKey| ("revoked".to_owned(), format!("# a key that got lost\n{}\n", key.public().id()));
    let lists = |client: &str, key: &SigningKey| (format!("{client}.pem"), key.public().to_pem());
    let other = "00000000-0000-4000-8000-000000000001";
    vec![
        ("client", vec![lists(CLIENT, &client_key())]),
        ("others", vec![lists(other, &key(1))]),
        ("second-key", vec![lists(CLIENT, &key(2))]),
        ("revoked", vec![lists(CLIENT, &client_key()), revoked(&client_key())]),
        ("revoked-only", vec![lists(other, &key(1)), revoked(&client_key())]),
        ("revoked-in-chain", vec![lists(CLIENT, &client_key()), revoked(&key(1))]),
        ("revoked-in-chain-only", vec![lists(other, &key(4)), revoked(&key(1))]),
    ]
}
