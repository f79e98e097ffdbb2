//! Private keys under a passphrase: PKCS#8 `EncryptedPrivateKeyInfo` with PBES2 (RFC 8018), as openssl reads and writes
//! it. What a file may ask for in time and memory is bounded, since it need not be one's own.

use pkcs8::der::asn1::OctetStringRef;
use pkcs8::der::{Decode as _, Encode as _};
use pkcs8::pkcs5::pbes2::{EncryptionScheme as Cipher, Kdf, Parameters, Salt, ScryptParams};
use pkcs8::pkcs5::{EncryptionScheme, Error as Pkcs5Error};
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use zeroize::Zeroizing;

use super::passphrase::Passphrase;
use super::{KeyError, SigningKey};
use crate::clock::Environment;

/// What new keys are protected with: scrypt with 16 MiB, five times in a row, since openssl takes no more than 32 MiB.
/// The `OWASP` Password Storage Cheat Sheet lists these parameters as equal to 128 MiB once.
const COST: u64 = 1 << 14;
const BLOCK_SIZE: u16 = 8;
const PARALLELIZATION: u16 = 5;

/// Memory that scrypt may take, in bytes.
const MOST_MEMORY: u64 = 128 << 20;
/// How many blocks of 128 bytes scrypt may work through, several times what new keys need.
const MOST_SCRYPT_WORK: u64 = 1 << 22;
/// How many rounds PBKDF2 may take; the highest number that RFC 8018 (section 4.2) thinks of.
const MOST_ROUNDS: u64 = 10_000_000;

/// Encrypts a private key; gives the DER of what `BEGIN ENCRYPTED PRIVATE KEY` encloses.
///
/// # Errors
/// No random numbers.
pub(super) fn encrypt(
    key: &SigningKey,
    passphrase: &Passphrase,
    environment: &dyn Environment,
) -> std::io::Result<Vec<u8>> {
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    environment.random(&mut salt)?;
    environment.random(&mut iv)?;
    let encoded = || -> pkcs8::Result<Vec<u8>> {
        let kdf = ScryptParams {
            salt: Salt::new(salt)?,
            cost_parameter: COST,
            block_size: BLOCK_SIZE,
            parallelization: PARALLELIZATION,
            key_length: None,
        };
        let parameters = Parameters { kdf: kdf.into(), encryption: Cipher::Aes256Cbc { iv } };
        let ciphertext = parameters.encrypt(passphrase.bytes(), key.to_der().as_slice())?;
        let encrypted_data = <&OctetStringRef>::try_from(ciphertext.as_slice())?;
        let encryption_algorithm = EncryptionScheme::Pbes2(parameters);
        Ok(EncryptedPrivateKeyInfoRef { encryption_algorithm, encrypted_data }.to_der()?)
    };
    encoded().map_err(std::io::Error::other)
}

/// Decrypts a private key.
///
/// # Errors
/// The passphrase is wrong, or the file is damaged, or encrypted in a way that is not understood or costs too much.
pub(super) fn decrypt(der: &[u8], passphrase: &Passphrase) -> Result<SigningKey, KeyError> {
    let info = EncryptedPrivateKeyInfoRef::from_der(der).map_err(|_| KeyError::UnknownEncryption)?;
    check_cost(&info.encryption_algorithm)?;
    let mut buffer = Zeroizing::new(info.encrypted_data.as_bytes().to_vec());
    let plain = info.encryption_algorithm.decrypt_in_place(passphrase.bytes(), &mut buffer);
    let plain = plain.map_err(|error| match error {
        Pkcs5Error::DecryptFailed => KeyError::WrongPassphrase,
        _ => KeyError::UnknownEncryption,
    })?;
    // One wrong passphrase of some 256 leaves something that ends like a key.
    PrivateKeyInfoRef::try_from(plain).map_err(|_| KeyError::WrongPassphrase)?;
    SigningKey::from_der(plain)
}

/// Whether what the file asks for is within bounds, and makes sense: the library takes that for granted.
fn check_cost(scheme: &EncryptionScheme) -> Result<(), KeyError> {
    let EncryptionScheme::Pbes2(parameters) = scheme else { return Err(KeyError::UnknownEncryption) };
    let bounded =
        |what, asked: u64, most| if asked > most { Err(KeyError::Cost { what, asked, most }) } else { Ok(()) };
    match &parameters.kdf {
        Kdf::Pbkdf2(pbkdf2) if pbkdf2.iteration_count > 0 => {
            bounded("rounds of PBKDF2", pbkdf2.iteration_count.into(), MOST_ROUNDS)
        }
        Kdf::Scrypt(scrypt) if scrypt.cost_parameter.is_power_of_two() && scrypt.cost_parameter > 1 => {
            let (block, times) = (u64::from(scrypt.block_size), u64::from(scrypt.parallelization));
            if block == 0 || times == 0 {
                return Err(KeyError::UnknownEncryption);
            }
            let table = scrypt.cost_parameter.saturating_mul(block);
            let memory = table.saturating_add(block * times).saturating_mul(128);
            bounded("bytes of memory for scrypt", memory, MOST_MEMORY)?;
            bounded("blocks of work for scrypt", table.saturating_mul(times), MOST_SCRYPT_WORK)
        }
        _ => Err(KeyError::UnknownEncryption),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::System;
    use pkcs8::pkcs5::pbes2::{Pbkdf2Params, Pbkdf2Prf};

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::read_line(text.as_bytes()).unwrap()
    }

    fn file(kdf: Kdf) -> Vec<u8> {
        let parameters = Parameters { kdf, encryption: Cipher::Aes256Cbc { iv: [0; 16] } };
        let encryption_algorithm = EncryptionScheme::Pbes2(parameters);
        let encrypted_data = <&OctetStringRef>::try_from([0; 64].as_slice()).unwrap();
        EncryptedPrivateKeyInfoRef { encryption_algorithm, encrypted_data }.to_der().unwrap()
    }

    fn scrypt(cost_parameter: u64, block_size: u16, parallelization: u16) -> Vec<u8> {
        let salt = Salt::new([7; 16]).unwrap();
        file(ScryptParams { salt, cost_parameter, block_size, parallelization, key_length: None }.into())
    }

    fn pbkdf2(iteration_count: u32) -> Vec<u8> {
        let salt = Salt::new([7; 16]).unwrap();
        file(Pbkdf2Params { salt, iteration_count, key_length: None, prf: Pbkdf2Prf::HmacWithSha256 }.into())
    }

    #[test]
    fn a_key_comes_back_with_its_passphrase_and_with_no_other() {
        let key = SigningKey::from_seed(&[7; 32]);
        let der = encrypt(&key, &passphrase("right"), &System).unwrap();
        assert_eq!(decrypt(&der, &passphrase("right")).unwrap().public(), key.public());
        assert_eq!(decrypt(&der, &passphrase("wrong")).unwrap_err(), KeyError::WrongPassphrase);
        assert_ne!(der, encrypt(&key, &passphrase("right"), &System).unwrap(), "salted");
        for length in 0..der.len() {
            assert_eq!(decrypt(&der[..length], &passphrase("right")).unwrap_err(), KeyError::UnknownEncryption);
        }
    }

    #[test]
    fn a_file_can_ask_for_so_much_work_and_memory_and_no_more() {
        let refused = |der: &[u8]| decrypt(der, &passphrase("x")).unwrap_err();
        let costs = |der: &[u8]| matches!(refused(der), KeyError::Cost { .. });
        assert!(costs(&scrypt(1 << 20, 8, 1)), "a gigabyte");
        assert!(costs(&scrypt(1 << 63, u16::MAX, u16::MAX)));
        assert!(costs(&scrypt(1 << 14, 8, 40_000)), "for a long time");
        assert!(costs(&scrypt(2, u16::MAX, u16::MAX)), "in blocks");
        assert!(costs(&pbkdf2(100_000_000)));
        for senseless in
            [scrypt(0, 8, 1), scrypt(1, 8, 1), scrypt(3, 8, 1), scrypt(16, 0, 1), scrypt(16, 8, 0), pbkdf2(0)]
        {
            assert_eq!(refused(&senseless), KeyError::UnknownEncryption);
        }
        assert_eq!(refused(&scrypt(16, 8, 1)), KeyError::WrongPassphrase);
        assert_eq!(refused(&pbkdf2(1)), KeyError::WrongPassphrase);
    }
}
