//! How much one address may ask of one endpoint. Pure: time is an argument. The table has an end: when it is full of
//! addresses that are all busy, newcomers share one allowance.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Most addresses that are told apart.
const ADDRESSES: usize = 8192;
/// Whom newcomers to a full table are taken for.
const ANYBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// What every address has left.
#[derive(Debug, Default)]
pub(super) struct Allowances {
    left: HashMap<(usize, IpAddr), Allowance>,
    swept: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Allowance {
    requests: f64,
    at: Instant,
    rate: f64,
}

impl Allowance {
    /// A second's worth at most: nobody saves up.
    fn grown(self, now: Instant) -> Self {
        let gone = now.saturating_duration_since(self.at).as_secs_f64();
        Self {
            requests: (self.requests + gone * self.rate).min(self.rate),
            at: now,
            ..self
        }
    }
}

impl Allowances {
    /// Takes one request of the address at the endpoint, which allows `rate` a second; false if none is left.
    pub(super) fn take(&mut self, endpoint: usize, address: IpAddr, rate: u32, now: Instant) -> bool {
        let rate = f64::from(rate);
        let mut key = (endpoint, network(address));
        if !self.left.contains_key(&key) && self.left.len() >= ADDRESSES {
            self.sweep(now);
            if self.left.len() >= ADDRESSES {
                key = (endpoint, ANYBODY);
            }
        }
        let fresh = Allowance {
            requests: rate,
            at: now,
            rate,
        };
        let left = self.left.entry(key).or_insert(fresh);
        *left = left.grown(now);
        if left.requests < 1.0 {
            return false;
        }
        left.requests -= 1.0;
        true
    }

    /// Forgets who is idle; once a second at most, or a flood of addresses would make each request cost the whole table.
    fn sweep(&mut self, now: Instant) {
        let recently = |last: Instant| now.saturating_duration_since(last) < Duration::from_secs(1);
        if !self.swept.is_some_and(recently) {
            self.swept = Some(now);
            self.left.retain(|_, left| left.grown(now).requests < left.rate);
        }
    }
}

/// Whoever has one address of version 6 has at least 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn four(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
    }

    #[test]
    fn a_second_has_so_many_requests_and_the_next_one_as_many() {
        let begin = crate::clock::monotonic();
        let mut allowances = Allowances::default();
        let mut take = |address, millis| allowances.take(0, address, 10, begin + Duration::from_millis(millis));
        let taken = (0..20).filter(|_| take(four(1), 0)).count();
        assert_eq!(taken, 10);
        assert!(take(four(2), 0), "another address has its own");
        assert!(!take(four(1), 50));
        assert!(take(four(1), 150), "one has grown");
        assert_eq!((0..20).filter(|_| take(four(1), 60_000)).count(), 10, "nobody saves up");
    }

    #[test]
    fn addresses_of_one_network_of_version_6_share() {
        let now = crate::clock::monotonic();
        let mut allowances = Allowances::default();
        let six = |last| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, last));
        assert!(allowances.take(0, six(1), 1, now));
        assert!(!allowances.take(0, six(2), 1, now));
        assert!(allowances.take(1, six(2), 1, now), "another endpoint");
    }

    #[test]
    fn the_table_has_an_end() {
        let now = crate::clock::monotonic();
        let mut allowances = Allowances::default();
        for number in 0..100_000_u32 {
            allowances.take(0, IpAddr::V4(Ipv4Addr::from(number)), 5, now);
        }
        assert!(allowances.left.len() <= ADDRESSES + 1);
        let later = now + Duration::from_secs(2);
        assert!(allowances.take(0, four(9), 5, later));
        assert!(allowances.left.len() <= 2, "whoever is idle is forgotten");
    }
}
