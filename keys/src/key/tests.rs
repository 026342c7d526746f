use super::*;

const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

#[test]
fn a_key_id_is_the_digest_of_the_canonical_object() {
    let key = PublicKey::from_hex(PUBLIC).unwrap();
    let canonical = format!(r#"{{"keytype":"ed25519","keyval":{{"public":"{PUBLIC}"}},"scheme":"ed25519"}}"#);
    assert_eq!(key.id().as_str(), Sha256Digest::of(canonical.as_bytes()).to_string());
    assert_eq!(key.id().short().len(), 12);
    assert_eq!(KeyId::from("é".to_owned()).short(), "é");
}

#[test]
fn text_that_is_no_key_is_refused() {
    for text in ["", "d75a", &PUBLIC.to_uppercase(), &format!("{PUBLIC}00"), &"f".repeat(63)] {
        assert!(matches!(PublicKey::from_hex(text), Err(KeyError::NotAKey(_))), "{text}");
    }
    // Not on the curve.
    assert!(matches!(PublicKey::from_hex(&format!("02{}", "0".repeat(62))), Err(KeyError::NotAKey(_))));
}

#[test]
fn a_table_writes_back_what_it_read() {
    let key = PublicKey::from_hex(PUBLIC).unwrap();
    let text = json!({
        key.id().as_str(): key.to_object(),
        "rsa": {"keytype": "rsa", "scheme": "rsassa-pss-sha256", "keyval": {"public": "…"}, "more": true},
        "other scheme": {"keytype": "ed25519", "scheme": "other", "keyval": {"public": "…"}},
    });
    let mut table: KeyTable = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(serde_json::to_value(&table).unwrap(), text);
    assert_eq!(table.get(&key.id()), Some(&key));
    assert_eq!(table.get(&KeyId::from("rsa".to_owned())), None);
    table.retain(|id| id.as_str() == "rsa");
    assert_eq!((table.objects().count(), table.get(&key.id())), (1, None));
}
