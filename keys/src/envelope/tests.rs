use super::*;
use crate::key::KeyTable;

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_seed(&[seed; 32]).unwrap()
}

fn role(seeds: &[u8], threshold: u64) -> (KeyTable, RoleKeys) {
    let mut table = KeyTable::default();
    let ids = seeds.iter().map(|seed| table.insert(key(*seed).public())).collect();
    (table, RoleKeys::new(ids, threshold.try_into().unwrap()))
}

fn signed(seeds: &[u8]) -> Envelope {
    let mut envelope = Envelope::unsigned(json!({"a": 1})).unwrap();
    for seed in seeds {
        envelope.sign(&key(*seed));
    }
    envelope
}

#[test]
fn a_threshold_counts_keys_of_the_role_only() {
    let (table, role) = role(&[1, 2, 3], 2);
    for (seeds, valid) in
        [(&[][..], 0), (&[1], 1), (&[1, 9], 1), (&[8, 9], 0), (&[1, 1], 1), (&[1, 3], 2), (&[1, 2, 3], 3)]
    {
        let result = signed(seeds).verify(&table, &role);
        assert_eq!(result.is_ok(), valid >= 2, "{seeds:?}");
        if let Err(error) = result {
            assert_eq!(error, BelowThreshold { valid, threshold: 2 });
        }
    }
}

#[test]
fn what_is_published_reads_back_with_its_signatures() {
    let (table, role) = role(&[1, 2], 2);
    let bytes = signed(&[1, 2]).to_bytes();
    assert!(Envelope::parse(&bytes).unwrap().verify(&table, &role).is_ok());
    assert!(bytes.ends_with(b"}\n"));
}

#[test]
fn copies_merge_when_they_say_the_same() {
    let (table, role) = role(&[1, 2], 2);
    let mut ours = signed(&[1]);
    assert_eq!(ours.merge(signed(&[1, 2])).unwrap(), 1);
    assert!(ours.verify(&table, &role).is_ok());
    assert!(ours.merge(Envelope::unsigned(json!({"a": 2})).unwrap()).is_err());
    ours.retain_signatures(|id| *id == key(1).id());
    assert_eq!(ours.signatures().len(), 1);
}

#[test]
fn a_signature_that_is_none_does_not_count_and_does_not_hide_others() {
    let (table, role) = role(&[1, 2], 1);
    for sig in ["", "zz", "00", &"0".repeat(128), &"A".repeat(128)] {
        let mut document: Value = serde_json::from_slice(&signed(&[2]).to_bytes()).unwrap();
        document["signatures"].as_array_mut().unwrap().insert(0, json!({"keyid": key(1).id(), "sig": sig}));
        let envelope = Envelope::parse(document.to_string().as_bytes()).unwrap();
        assert_eq!(envelope.valid_signers(&table, &role), [key(2).id()]);
    }
}

#[test]
fn doubled_and_countless_signatures_are_refused() {
    let document =
        |signatures: Vec<Value>| json!({"signed": {}, "signatures": signatures}).to_string().into_bytes();
    let twice = document(vec![json!({"keyid": "a", "sig": ""}), json!({"keyid": "a", "sig": "00"})]);
    assert!(matches!(Envelope::parse(&twice), Err(EnvelopeError::TwoSignatures(_))));
    let many = document((0..=MAX_SIGNATURES).map(|n| json!({"keyid": n.to_string(), "sig": ""})).collect());
    assert!(matches!(Envelope::parse(&many), Err(EnvelopeError::TooManySignatures(257))));
}

#[test]
fn other_shapes_are_refused() {
    for text in [
        "[]",
        "{}",
        r#"{"signed": {}}"#,
        r#"{"signed": {}, "signatures": {}}"#,
        r#"{"signed": {}, "signatures": [1]}"#,
    ] {
        assert!(matches!(Envelope::parse(text.as_bytes()), Err(EnvelopeError::Shape(_))), "{text}");
    }
    assert!(matches!(Envelope::parse(b"<html>"), Err(EnvelopeError::Json(_))));
}
