//! A number of events of unknown kinds, shared out over the kinds that they can be of. Pure.

use linnet_spool::Counts;

/// Takes `gone` events out of those that were sent, each kind by its share of them. The sum is exact (at most all), no kind
/// gives more than it has, and what does not divide goes to those with the largest remainder.
pub(crate) fn share(sent: &Counts, gone: u64) -> Counts {
    let all = sent.total();
    let gone = gone.min(all);
    let mut shares = Counts::default();
    let mut remainders = Vec::new();
    for (kind, (slot, &count)) in shares.0.iter_mut().zip(&sent.0).enumerate() {
        let product = u128::from(count) * u128::from(gone);
        let divisor = u128::from(all.max(1));
        // Not more than `count`, since `gone` is not more than `all`.
        *slot = u64::try_from(product / divisor).unwrap_or(count);
        remainders.push((product % divisor, kind));
    }
    remainders.sort_by(|one, other| other.cmp(one));
    let mut left = gone - shares.total();
    for (_, kind) in remainders {
        let (Some(slot), Some(&count)) = (shares.0.get_mut(kind), sent.0.get(kind)) else { continue };
        if left > 0 && *slot < count {
            *slot += 1;
            left -= 1;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_exact_and_no_kind_gives_more_than_it_has() {
        for (a, b, c) in [(0, 0, 0), (1, 1, 1), (2000, 1, 0), (3, 5, 7), (u64::MAX / 4, 9, u64::MAX / 4)] {
            let mut sent = Counts::default();
            sent.0[0] = a;
            sent.0[1] = b;
            sent.0[2] = c;
            for gone in [0, 1, 2, 3, 7, 14, 15, 2000, u64::MAX / 3] {
                let shares = share(&sent, gone);
                assert_eq!(shares.total(), gone.min(sent.total()), "{sent:?} {gone}");
                assert!(shares.is_within(&sent), "{shares:?} {sent:?}");
            }
        }
    }
}
