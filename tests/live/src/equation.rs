//! The loss equation, read from the health document as any other reader would: by name, nothing taken for granted.
//!
//! For each kind of event `attempted = received + lost_ring + rate_limited` and
//! `received = decode_errors + filtered + shed + dropped + delivered + waiting`; of an agent that has drained and
//! ended nothing waits any more.

use serde_json::Value;

/// The kinds that the kernel side reports.
const KINDS: [&str; 3] = ["fork", "exec", "exit"];

/// What is wrong with the losses of a stopped agent; empty when all is well.
pub fn faults(health: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for kind in KINDS {
        match health.pointer(&format!("/losses/{kind}")) {
            None => faults.push(format!("the health document has no losses of {kind}")),
            Some(losses) => of_kind(kind, losses, &mut faults),
        }
    }
    let others = health.get("losses").and_then(Value::as_object).into_iter().flatten();
    for (kind, losses) in others.filter(|(kind, _)| !KINDS.contains(&kind.as_str())) {
        of_kind(kind, losses, &mut faults);
    }
    faults
}

fn of_kind(kind: &str, losses: &Value, faults: &mut Vec<String>) {
    let mut count = |name: &str| {
        losses.get(name).and_then(Value::as_u64).unwrap_or_else(|| {
            faults.push(format!("{kind}: no counter {name}"));
            0
        })
    };
    let [attempted, received, lost_ring, rate_limited] =
        ["attempted", "received", "lost_ring", "rate_limited"].map(&mut count);
    let [decode_errors, delivered, waiting] = ["decode_errors", "delivered", "waiting"].map(&mut count);
    let explained: u64 = ["filtered", "shed", "dropped"].map(|map| sum(losses.get(map))).iter().sum();
    if attempted != received + lost_ring + rate_limited {
        faults.push(format!(
            "{kind}: {attempted} attempted, {received} received, {lost_ring} lost in the ring, {rate_limited} rate-limited"
        ));
    }
    if received != decode_errors + explained + delivered + waiting {
        faults.push(format!("{kind}: what was received is not what became of it: {losses}"));
    }
    if decode_errors != 0 {
        faults.push(format!("{kind}: {decode_errors} records were not understood"));
    }
    if waiting != 0 {
        faults.push(format!("{kind}: {waiting} events wait in an agent that has ended"));
    }
}

/// The sum of a map of counters.
pub fn sum(map: Option<&Value>) -> u64 {
    map.and_then(Value::as_object).into_iter().flat_map(|map| map.values()).filter_map(Value::as_u64).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn balanced() -> Value {
        let losses = json!({"attempted": 10, "received": 7, "lost_ring": 2, "rate_limited": 1, "decode_errors": 0, "waiting": 0,
            "filtered": {"a": 1}, "shed": {"b": 2}, "dropped": {"c": 1, "d": 1}, "delivered": 2});
        json!({"losses": {"fork": losses, "exec": losses, "exit": losses}})
    }

    #[test]
    fn a_balanced_document_has_no_faults() {
        assert_eq!(faults(&balanced()), Vec::<String>::new());
    }

    #[test]
    fn every_imbalance_and_every_missing_counter_is_a_fault() {
        for (path, value) in [
            ("/losses/exec/attempted", json!(11)),
            ("/losses/exit/delivered", json!(4)),
            ("/losses/fork/dropped/c", json!(0)),
            ("/losses/fork/lost_ring", Value::Null),
            ("/losses/fork/rate_limited", json!(0)),
            ("/losses/exec", Value::Null),
        ] {
            let mut health = balanced();
            *health.pointer_mut(path).unwrap() = value;
            assert!(!faults(&health).is_empty(), "{path}");
        }
        assert_eq!(faults(&Value::Null).len(), 3);
    }
}
