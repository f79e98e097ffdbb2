//! Tests of identities: made, rotated, protected and replaced, with every way in which that can be cut off.
#![expect(clippy::disallowed_methods, reason = "tests break files as accidents do")]

use std::io::Write as _;

use tempfile::TempDir;

use super::renew::{RenewError, start_over};
use super::*;
use crate::clock::System;
use crate::keys;
use crate::pseudonym::NameType;
use crate::store::Store;
use crate::store::faults::{self, Fault};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn ids(keys: &[&SigningKey]) -> BTreeSet<KeyId> {
    keys.iter().map(|key| key.public().id()).collect()
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::read_line(text.as_bytes()).unwrap()
}

impl LockedIdentity {
    fn rotate(
        self,
        passphrase: Option<&Passphrase>,
        next: &SigningKey,
        protection: Option<&Passphrase>,
        confirmed: &BTreeSet<KeyId>,
        environment: &dyn Environment,
    ) -> Result<Identity, IdentityError> {
        let change = self.rotation(passphrase, next, protection, confirmed, environment)?;
        self.commit(&change, None)
    }

    fn protect(
        self,
        passphrase: Option<&Passphrase>,
        protection: Option<&Passphrase>,
        environment: &dyn Environment,
    ) -> Result<Identity, IdentityError> {
        let change = self.protection(passphrase, protection, environment)?;
        self.commit(&change, None)
    }
}

/// An identity that signs with the first key.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        // Memory is quicker than a disk, and both keep what was renamed.
        let shared = Path::new("/dev/shm");
        let directory = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() };
        let place = Self { directory: directory.unwrap() };
        let new = NewIdentity { signing_key: Some(key(1)), ..NewIdentity::default() };
        Identity::load_or_create(&place.identity(), new, &System).unwrap();
        place
    }

    fn identity(&self) -> PathBuf {
        self.directory.path().join("identity")
    }

    fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    fn load(&self) -> Identity {
        Identity::load(&self.identity()).unwrap().unwrap()
    }

    fn rotate(&self, next: &SigningKey, confirmed: &[&SigningKey]) -> Result<Identity, IdentityError> {
        let locked = LockedIdentity::open(&self.load())?;
        let change = locked.rotation(None, next, None, &ids(confirmed), &System)?;
        locked.commit(&change, None)
    }

    /// The keys of the chain that a manifest must carry, the signer's at its end.
    fn chain(&self, confirmed: &[&SigningKey]) -> Vec<PublicKey> {
        let identity = self.load();
        let links = identity.unconfirmed(&ids(confirmed));
        rotation::check(links, identity.client(), identity.public_key()).unwrap();
        links.iter().map(|link| link.previous_key.clone()).chain([identity.public_key().clone()]).collect()
    }
}

fn publics(keys: &[&SigningKey]) -> Vec<PublicKey> {
    keys.iter().map(|key| key.public()).collect()
}

fn temporaries(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().filter(|entry| durable::is_temporary(&entry.as_ref().unwrap().file_name())).count()
}

#[test]
fn an_identity_is_made_once_and_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("identity");
    assert!(Identity::load(&place).unwrap().is_none());
    let (made, new) = Identity::load_or_create(&place, NewIdentity::default(), &System).unwrap();
    assert!(new);
    let (read, new) = Identity::load_or_create(&place, NewIdentity::default(), &System).unwrap();
    assert!(!new);
    assert_eq!(made.client(), read.client());
    assert_eq!(made.public_key(), read.public_key());
    let name = |identity: &Identity| identity.pseudonymizer().of(NameType::Seed, "x");
    assert_eq!(name(&made), name(&read));
    assert_eq!(format!("{read:?}"), format!("Identity({})", read.client()));
}

#[test]
fn a_partial_identity_is_never_completed() {
    let place = Place::new();
    fs::remove_file(place.identity().join(PSEUDONYM_KEY)).unwrap();
    let error = Identity::load_or_create(&place.identity(), NewIdentity::default(), &System).unwrap_err();
    assert!(error.to_string().ends_with("is not complete: pseudonym.key is missing"), "{error}");
}

#[test]
fn of_many_that_start_at_once_all_get_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("identity");
    let clients = std::thread::scope(|scope| {
        let start = || Identity::load_or_create(&place, NewIdentity::default(), &System).unwrap();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(clients.iter().filter(|(_, new)| *new).count(), 1);
    assert!(clients.iter().all(|(identity, _)| identity.client() == clients[0].0.client()));
}

#[test]
fn the_chain_grows_with_each_rotation_and_goes_with_a_receipt_for_the_present_key() {
    let place = Place::new();
    let (a, b, c, d) = (key(1), key(2), key(3), key(4));
    assert_eq!(place.chain(&[]), publics(&[&a]));
    place.rotate(&b, &[]).unwrap();
    place.rotate(&c, &[]).unwrap();
    assert_eq!(place.chain(&[]), publics(&[&a, &b, &c]));
    // A receipt for a bundle from before the last rotation says nothing of the present key.
    assert_eq!(place.chain(&[&a, &b]), publics(&[&a, &b, &c]));
    assert_eq!(place.chain(&[&c]), publics(&[&c]));
    place.rotate(&d, &[&b]).unwrap();
    assert_eq!(place.chain(&[&b]), publics(&[&b, &c, &d]), "what is confirmed is forgotten");
    place.rotate(&key(5), &[&d]).unwrap();
    assert_eq!(place.chain(&[&d]), publics(&[&d, &key(5)]));
}

#[test]
fn no_key_is_used_twice_and_no_chain_gets_longer_than_a_manifest_can_carry() {
    let place = Place::new();
    place.rotate(&key(2), &[]).unwrap();
    for used in [key(1), key(2)] {
        assert!(matches!(place.rotate(&used, &[]), Err(IdentityError::UsedKey { .. })));
    }
    for seed in 3..=17 {
        place.rotate(&key(seed), &[]).unwrap();
    }
    assert_eq!(place.chain(&[]).len(), MOST_LINKS + 1);
    assert!(matches!(place.rotate(&key(18), &[]), Err(IdentityError::TooManyRotations)));
    assert_eq!(place.load().public_key(), &key(17).public());
    place.rotate(&key(18), &[&key(3)]).unwrap();
    assert_eq!(place.chain(&[&key(3)]).len(), MOST_LINKS);
}

#[test]
fn rotations_of_another_identity_or_forged_ones_are_told() {
    let (place, other) = (Place::new(), Place::new());
    place.rotate(&key(2), &[]).unwrap();
    other.rotate(&key(2), &[]).unwrap();
    let file = |place: &Place| place.identity().join(ROTATIONS);
    let own = fs::read(file(&place)).unwrap();
    fs::copy(file(&other), file(&place)).unwrap();
    let error = Identity::load(&place.identity()).unwrap_err();
    assert!(matches!(error, IdentityError::Rotations { .. }), "another client's: {error}");
    fs::write(file(&place), "[]").unwrap();
    assert_eq!(place.chain(&[]), publics(&[&key(2)]));
    fs::write(file(&place), "{").unwrap();
    assert!(matches!(Identity::load(&place.identity()), Err(IdentityError::Content { .. })));
    fs::write(file(&place), own).unwrap();
    // As if the key had been restored from a backup of another identity.
    let pem = keys::to_pem(&key(9), None, &System).unwrap();
    fs::write(place.identity().join(SIGNING_KEY), pem.as_bytes()).unwrap();
    assert!(matches!(Identity::load(&place.identity()), Err(IdentityError::OtherRotations { .. })));
    // A backup of the same identity from before the rotation is good.
    let pem = keys::to_pem(&key(1), None, &System).unwrap();
    fs::write(place.identity().join(SIGNING_KEY), pem.as_bytes()).unwrap();
    assert_eq!(place.chain(&[]), publics(&[&key(1)]));
}

#[test]
fn a_passphrase_is_kept_by_a_rotation_changed_and_removed() {
    let place = Place::new();
    let lock = || LockedIdentity::open(&place.load()).unwrap();
    lock().protect(None, Some(&passphrase("one")), &System).unwrap();
    assert!(place.load().is_encrypted());
    assert_eq!(place.load().public_key(), &key(1).public(), "without the passphrase");
    let wrong = lock().rotate(Some(&passphrase("two")), &key(2), None, &BTreeSet::new(), &System).unwrap_err();
    assert!(matches!(wrong, IdentityError::Key { source: KeyError::WrongPassphrase, .. }));
    assert_eq!(place.chain(&[]), publics(&[&key(1)]));
    let one = passphrase("one");
    lock().rotate(Some(&one), &key(2), Some(&one), &BTreeSet::new(), &System).unwrap();
    assert_eq!(place.chain(&[]), publics(&[&key(1), &key(2)]));
    lock().protect(Some(&one), Some(&passphrase("two")), &System).unwrap();
    assert!(place.load().unlock(Some(&one)).is_err());
    assert_eq!(Signer::open(&place.load(), Some(&passphrase("two"))).unwrap().signing_key().public(), key(2).public());
    lock().protect(Some(&passphrase("two")), None, &System).unwrap();
    assert_eq!(place.load().unlock(None).unwrap().public(), key(2).public());
}

#[test]
fn nobody_changes_the_key_while_somebody_signs_and_the_signer_has_the_newest() {
    let place = Place::new();
    let before = place.load();
    place.rotate(&key(2), &[]).unwrap();
    let signer = Signer::open(&before, None).unwrap();
    assert_eq!(signer.signing_key().public(), key(2).public(), "loaded before the rotation, opened after it");
    let second = Signer::open(&before, None).unwrap();
    std::thread::scope(|scope| {
        let rotating = scope.spawn(|| place.rotate(&key(3), &[]).unwrap());
        drop(signer);
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(!rotating.is_finished(), "the key was changed while it was in use");
        assert_eq!(place.load().public_key(), second.public_key());
        drop(second);
        assert_eq!(rotating.join().unwrap().public_key(), &key(3).public());
    });
}

/// Says something past the harness, which keeps the output of passing tests to itself.
fn say(text: &str) {
    writeln!(io::stderr(), "{text}").unwrap();
}

/// Does something with every fault at every step, each time to a place of its own, until it gets by.
fn with_faults(prepare: impl Fn() -> Place, work: impl Fn(&Place) -> bool, check: impl Fn(&Place, bool)) -> u64 {
    let (done, steps) = faults::with(None, || work(&prepare()));
    assert!(done);
    for at in 1..=steps {
        for fault in [Fault::Death(at), Fault::Failure(at, io::ErrorKind::StorageFull)] {
            let place = prepare();
            let (done, _) = faults::with(Some(fault), || work(&place));
            check(&place, done);
        }
    }
    steps
}

#[test]
fn cut_off_anywhere_a_rotation_leaves_the_old_key_or_the_new_one_and_the_next_one_clears_up() {
    let rotated = || {
        let place = Place::new();
        place.rotate(&key(2), &[]).unwrap();
        place
    };
    let steps = with_faults(
        rotated,
        |place| place.rotate(&key(3), &[]).is_ok(),
        |place, done| {
            let chain = place.chain(&[]);
            let (old, new) = (publics(&[&key(1), &key(2)]), publics(&[&key(1), &key(2), &key(3)]));
            assert!(chain == new || chain == old && !done, "{chain:?}");
            let again = place.rotate(&key(4), &[]).unwrap();
            let expected =
                if chain == new { [new, publics(&[&key(4)])].concat() } else { [old, publics(&[&key(4)])].concat() };
            assert_eq!((again.public_key(), place.chain(&[])), (&key(4).public(), expected));
            assert_eq!(temporaries(&place.identity()), 0, "a private key was left behind");
        },
    );
    say(&format!("identity: a rotation cut off at each of {steps} steps"));
}

#[test]
fn cut_off_anywhere_a_new_passphrase_leaves_the_old_one_or_the_new_one() {
    let (old, new) = (passphrase("old"), passphrase("new"));
    // Made once: a passphrase takes its time.
    let before = keys::to_pem(&key(1), Some(&old), &System).unwrap();
    let protected = || {
        let place = Place::new();
        fs::write(place.identity().join(SIGNING_KEY), before.as_bytes()).unwrap();
        place
    };
    let change = |place: &Place| {
        let locked = LockedIdentity::open(&place.load());
        locked.and_then(|it| it.protect(Some(&old), Some(&new), &System)).is_ok()
    };
    with_faults(protected, change, |place, done| {
        let as_before = fs::read_to_string(place.identity().join(SIGNING_KEY)).unwrap() == *before;
        assert!(if as_before { !done } else { place.load().unlock(Some(&new)).is_ok() });
    });
}

/// The parts of an identity, and of what it is after two rotations, the first of which a receipt has confirmed.
fn before_and_after() -> (Parts, Parts) {
    let elsewhere = Place::new();
    let before = Parts::of_directory(&elsewhere.load()).unwrap();
    elsewhere.rotate(&key(2), &[]).unwrap();
    elsewhere.rotate(&key(3), &[&key(2)]).unwrap();
    (before, Parts::of_directory(&elsewhere.load()).unwrap())
}

#[test]
fn cut_off_anywhere_a_directory_that_follows_a_secret_has_one_key_or_the_other_and_follows_again() {
    let secret: SecretName = "a/b".parse().unwrap();
    let (before, after) = before_and_after();
    let empty = || {
        let place = Place::new();
        fs::remove_dir_all(place.identity()).unwrap();
        place
    };
    let follows = |place: &Place, parts: &Parts| secret::adopt(&place.identity(), parts, &secret).is_ok();
    let made = with_faults(
        empty,
        |place| follows(place, &before),
        |place, done| {
            let found = Identity::load(&place.identity()).unwrap();
            assert!(found.is_some() || !done);
            assert!(follows(place, &before));
            assert_eq!((place.load().public_key(), place.load().secret()), (&key(1).public(), Some(&secret)));
        },
    );
    let old = || {
        let place = empty();
        assert!(follows(&place, &before));
        place
    };
    let followed = with_faults(
        old,
        |place| follows(place, &after),
        |place, done| {
            let found = place.load().public_key().clone();
            assert!(found == key(3).public() || found == key(1).public() && !done);
            assert!(follows(place, &after));
            assert_eq!(place.chain(&[]), publics(&[&key(2), &key(3)]));
            assert_eq!(temporaries(&place.identity()), 0, "a private key was left behind");
        },
    );
    say(&format!(
        "identity: a directory that is filled from a Secret cut off at each of {made} steps, at {followed} later"
    ));
}

/// An identity with a store, or without one, or a store whose identity is lost.
fn client(with_identity: bool, with_store: bool) -> (Place, Uuid) {
    let place = Place::new();
    let client = place.load().client();
    if with_store {
        Store::open_or_create(&place.store(), client, &System).unwrap();
    }
    if !with_identity {
        fs::remove_dir_all(place.identity()).unwrap();
    }
    (place, client)
}

#[test]
fn cut_off_anywhere_a_new_client_is_finished_by_doing_it_again_and_nothing_else_is_done_meanwhile() {
    for (with_identity, with_store) in [(true, true), (true, false), (false, true)] {
        let old = std::cell::Cell::new(Uuid::nil());
        let prepare = || {
            let (place, client) = client(with_identity, with_store);
            old.set(client);
            place
        };
        let renew = |place: &Place| start_over(&place.identity(), &place.store(), NewIdentity::default(), &System);
        let steps = with_faults(
            prepare,
            |place| renew(place).is_ok(),
            |place, done| {
                // Whoever collects now makes no identity that does not know whom it continues.
                if let Ok((identity, new)) = make(place) {
                    let first = identity.client() == old.get();
                    assert!(!new && (first || identity.replaces() == Some(old.get())), "{identity:?} {new}");
                    let store = Store::open(&place.store(), identity.client());
                    assert!(first || store.is_err() || store.is_ok_and(|store| store.is_none()));
                }
                if !done {
                    renew(place).unwrap();
                }
                let identity = place.load();
                assert_eq!(identity.replaces(), Some(old.get()));
                assert_ne!(identity.client(), old.get());
                let aside = |name: &str| place.directory.path().join(format!("{name}-{}", old.get())).is_dir();
                assert_eq!((aside("identity"), aside("store")), (with_identity, with_store));
                assert!(!place.store().exists());
                assert_eq!(temporaries(place.directory.path()), 0);
            },
        );
        say(&format!("identity: a new client cut off at each of {steps} steps"));
    }
}

/// What the first collection does where there is no store without an identity.
fn make(place: &Place) -> Result<(Identity, bool), IdentityError> {
    let lost = || IdentityError::Foreign { directory: place.store() };
    match Identity::load(&place.identity())? {
        None if place.store().join("store.json").exists() => Err(lost()),
        _ => Identity::load_or_create(&place.identity(), NewIdentity::default(), &System),
    }
}

#[test]
fn a_new_client_is_finished_as_it_was_begun_or_not_at_all() {
    let (place, old) = client(true, true);
    let same = NewIdentity { client: Some(old), ..NewIdentity::default() };
    let error = start_over(&place.identity(), &place.store(), same, &System).unwrap_err();
    assert!(matches!(error, RenewError::SameClient(_)));
    assert_eq!(place.load().client(), old);
    // As soon as there is a new identity, before it is in its place, and when the store is still in its own.
    let begun = |place: &Place| {
        let staged = staged(&place.identity()).exists();
        staged || place.load().replaces().is_some() && place.store().exists()
    };
    let mut seen = 0;
    for at in 1.. {
        let (place, old) = client(true, true);
        let again = |new: NewIdentity| start_over(&place.identity(), &place.store(), new, &System);
        let fault = Fault::Failure(at, io::ErrorKind::StorageFull);
        if faults::with(Some(fault), || again(NewIdentity::default())).0.is_ok() {
            break;
        }
        if !begun(&place) {
            continue;
        }
        seen += 1;
        for other in [
            NewIdentity { signing_key: Some(key(5)), ..NewIdentity::default() },
            NewIdentity { passphrase: Some(passphrase("p")), ..NewIdentity::default() },
            NewIdentity { client: Some(Uuid::from_u128(5)), ..NewIdentity::default() },
            NewIdentity { replaces: Some(Uuid::from_u128(5)), ..NewIdentity::default() },
        ] {
            assert!(matches!(again(other), Err(RenewError::OtherAttempt { .. })), "at step {at}");
        }
        assert_eq!(again(NewIdentity::default()).unwrap().identity.replaces(), Some(old));
    }
    assert!(seen > 3, "{seen}");
}

#[test]
fn a_new_client_that_was_never_used_is_not_replaced_by_another_one_unless_that_is_asked_for() {
    let (place, old) = client(true, true);
    let again = |new: NewIdentity| start_over(&place.identity(), &place.store(), new, &System).unwrap();
    let first = again(NewIdentity::default());
    let second = again(NewIdentity::default());
    assert_eq!((first.moved.len(), second.moved.len()), (2, 0));
    assert_eq!(first.identity.client(), second.identity.client());
    let third = again(NewIdentity { signing_key: Some(key(5)), ..NewIdentity::default() });
    assert_ne!(third.identity.client(), first.identity.client());
    assert_eq!(third.identity.replaces(), Some(old), "of whom ingest knows");
    Store::open_or_create(&place.store(), third.identity.client(), &System).unwrap();
    let fourth = again(NewIdentity::default());
    assert_eq!(fourth.identity.replaces(), Some(third.identity.client()));
}
