//! The bucket of a host: one of a thousand, the same on every run, and another for each salt.
//!
//! `SHA-256(salt ‖ host id)`, the host id in its text form so that an operator can redo it with `printf` and
//! `sha256sum`; the first eight bytes as a big-endian number, modulo 1000. The modulo's bias is below 10^-16.
//! A host is in when its bucket is below the permille, so a host that is in stays in while the permille grows.

use std::fmt;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::host::HostId;

const BUCKETS: u64 = 1000;

/// A share of the fleet in thousandths, 0 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "u64")]
pub struct Permille(u16);

impl Permille {
    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u64> for Permille {
    type Error = String;

    fn try_from(number: u64) -> Result<Self, String> {
        match u16::try_from(number) {
            Ok(permille) if number <= BUCKETS => Ok(Self(permille)),
            _ => Err(format!("{number} is outside 0 to 1000")),
        }
    }
}

impl fmt::Display for Permille {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Where a host stands among the thousand, for one salt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket(u16);

impl Bucket {
    /// The bucket that only the whole fleet includes.
    pub const LAST: Self = Self(999);

    /// The bucket of `host` under `salt`.
    #[must_use]
    pub fn of(salt: &str, host: &HostId) -> Self {
        let digest = Sha256::new().chain_update(salt).chain_update(host.to_string()).finalize();
        let head = digest.first_chunk().map_or(0, |head| u64::from_be_bytes(*head));
        Self(u16::try_from(head % BUCKETS).unwrap_or(0))
    }

    /// Whether a share of this size includes the bucket.
    #[must_use]
    pub fn is_in(self, share: Permille) -> bool {
        self.0 < share.0
    }

    /// The number, 0 to 999.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Host ids like real ones: derived from a counter by the same hash.
    fn host(number: u32) -> HostId {
        HostId::derive(&format!("{:032x}", u128::from(number) + 1)).unwrap()
    }

    #[test]
    fn the_bucket_is_what_the_shell_computes() {
        // printf %s 0.2.0ec524ab2-d1ff-8b95-9222-eefe721e0c6c | sha256sum
        //   -> 34d8d61f4baabf4b...; 0x34d8d61f4baabf4b % 1000 = 899
        let host = HostId::derive("0c9a6b1f3e8d4a5c9b7e2d1f6a8c4e3b").unwrap();
        assert_eq!(Bucket::of("0.2.0", &host).get(), 899);
    }

    #[test]
    fn buckets_are_uniform_for_every_salt() {
        let hosts: Vec<_> = (0..5_000).map(host).collect();
        for salt in ["", "0.2.0", "0.2.1", "0.3.0"] {
            let mut tens = [0_u32; 10];
            for host in &hosts {
                tens[usize::from(Bucket::of(salt, host).get() / 100)] += 1;
            }
            // 500 expected in each, standard deviation 21.2; chi-square with 9 degrees of freedom, p = 10^-5.
            let chi: f64 = tens.iter().map(|&n| (f64::from(n) - 500.0).powi(2) / 500.0).sum();
            assert!(chi < 39.4, "{salt:?}: {tens:?} gives {chi}");
        }
    }

    #[test]
    fn another_salt_draws_other_first_hosts() {
        let first = |salt: &'static str| {
            (0..2_000).filter(move |&n| Bucket::of(salt, &host(n)).is_in(Permille(10))).collect::<Vec<_>>()
        };
        let (one, two) = (first("0.2.0"), first("0.3.0"));
        assert!(!one.is_empty() && !two.is_empty());
        assert!(one.iter().filter(|n| two.contains(n)).count() * 4 < one.len(), "{one:?} and {two:?}");
    }

    /// Each wave takes its share of every region, site or batch of machines, so none goes down whole.
    #[test]
    fn waves_cross_groups_of_hosts() {
        for salt in ["0.2.0", "0.3.0"] {
            for group in 0_u128..20 {
                let ids = (0_u128..1000).map(|n| format!("{:032x}", (group << 96) | (n + 1)));
                let buckets: Vec<_> = ids.map(|id| Bucket::of(salt, &HostId::derive(&id).unwrap())).collect();
                for permille in [50, 150, 400] {
                    let taken = buckets.iter().filter(|bucket| bucket.is_in(Permille(permille))).count();
                    // Five standard deviations.
                    let expected = f64::from(permille);
                    let off = (taken as f64 - expected).abs();
                    assert!(off < 5.0 * expected.sqrt(), "group {group}: {taken} of 1000, {permille} wanted");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_host_that_is_in_stays_in_while_the_share_grows(salt in ".{0,40}", number: u32, a in 0_u64..=1000, b in 0_u64..=1000) {
            let bucket = Bucket::of(&salt, &host(number));
            prop_assert_eq!(bucket, Bucket::of(&salt, &host(number)));
            prop_assert!(bucket.get() < 1000);
            let (small, large) = (Permille::try_from(a.min(b)).unwrap(), Permille::try_from(a.max(b)).unwrap());
            prop_assert!(!bucket.is_in(small) || bucket.is_in(large));
            prop_assert!(bucket.is_in(Permille(1000)) && !bucket.is_in(Permille(0)));
        }
    }
}
