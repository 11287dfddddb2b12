//! Who gets a place, as a pure core: connections at a time, over all and from one address. Owned by the accepting task.

use core::net::IpAddr;
use std::collections::HashMap;

/// Places that are kept for the loopback, if there are twice as many: an operator on the machine gets in whoever has filled
/// the others.
const KEPT: usize = 16;

/// The bounds of the listener.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// `max.connections`.
    pub(crate) all: usize,
    /// `max.connections.per.ip`.
    pub(crate) per_ip: usize,
    /// `max.connections.per.ip.overrides`, with names resolved.
    pub(crate) overrides: HashMap<IpAddr, usize>,
}

/// The places that are taken.
#[derive(Debug)]
pub(crate) struct Places {
    bounds: Bounds,
    taken: usize,
    per_ip: HashMap<IpAddr, usize>,
}

impl Places {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            taken: 0,
            per_ip: HashMap::new(),
        }
    }

    /// Takes a place for somebody at `ip`, if there is one. An IPv4 address in IPv6's clothes is the same.
    pub(crate) fn take(&mut self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let Bounds {
            all,
            per_ip,
            overrides,
        } = &self.bounds;
        let kept = if ip.is_loopback() {
            0
        } else {
            KEPT.min(all / 2)
        };
        let from_here = self.per_ip.get(&ip).copied().unwrap_or(0);
        let most = overrides.get(&ip).copied().unwrap_or(*per_ip);
        if self.taken >= all - kept || from_here >= most {
            return false;
        }
        self.taken += 1;
        self.per_ip.insert(ip, from_here + 1);
        true
    }

    /// Somebody at `ip` has gone.
    pub(crate) fn leave(&mut self, ip: IpAddr) {
        let ip = ip.to_canonical();
        if let Some(count) = self.per_ip.get_mut(&ip) {
            *count -= 1;
            self.taken -= 1;
            if *count == 0 {
                self.per_ip.remove(&ip);
            }
        }
    }
}

/// Kafka's `host:count,host:count`. The count follows the last colon, so that a host may be an IPv6 address.
///
/// # Errors
/// The entry that is none.
pub(crate) fn parse_overrides(text: &str) -> Result<Vec<(String, usize)>, String> {
    let entries = text.split(',').map(str::trim);
    let entries = entries.filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let parsed = entry.rsplit_once(':').and_then(|(host, count)| {
                let host = host.trim().trim_start_matches('[').trim_end_matches(']');
                let count = count.trim().parse().ok()?;
                (!host.is_empty()).then(|| (host.to_owned(), count))
            });
            parsed.ok_or_else(|| entry.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(all: usize, per_ip: usize, overrides: &[(&str, usize)]) -> Places {
        let of = |(ip, count): &(&str, usize)| (ip.parse().unwrap(), *count);
        Places::new(Bounds {
            all,
            per_ip,
            overrides: overrides.iter().map(of).collect(),
        })
    }

    /// How many of `wanted` get in.
    fn taken(places: &mut Places, ip: &str, wanted: usize) -> usize {
        let ip = ip.parse().unwrap();
        (0..wanted).filter(|_| places.take(ip)).count()
    }

    #[test]
    fn sixteen_places_are_kept_for_the_loopback() {
        let mut places = places(100, 1_000, &[]);
        assert_eq!(taken(&mut places, "10.0.0.1", 200), 84);
        assert_eq!(taken(&mut places, "::1", 10), 10);
        assert_eq!(taken(&mut places, "127.0.0.1", 10), 6);
        places.leave("10.0.0.1".parse().unwrap());
        assert_eq!(taken(&mut places, "10.0.0.1", 1), 0);
        assert_eq!(taken(&mut places, "127.0.0.1", 10), 1);
    }

    #[test]
    fn of_a_few_places_half_are_kept() {
        let mut places = places(4, 10, &[]);
        assert_eq!(taken(&mut places, "10.0.0.1", 9), 2);
        assert_eq!(taken(&mut places, "127.0.0.1", 9), 2);
    }

    #[test]
    fn an_address_of_its_own_bound_has_it_in_both_clothes() {
        let mut places = places(1_000, 3, &[("10.0.0.2", 5), ("10.0.0.3", 0)]);
        assert_eq!(taken(&mut places, "10.0.0.1", 9), 3);
        assert_eq!(taken(&mut places, "::ffff:10.0.0.2", 2), 2);
        assert_eq!(taken(&mut places, "10.0.0.2", 9), 3);
        assert_eq!(taken(&mut places, "10.0.0.3", 9), 0);
        places.leave("10.0.0.1".parse().unwrap());
        assert_eq!(taken(&mut places, "10.0.0.1", 9), 1);
    }

    #[test]
    fn overrides_are_kafkas() {
        let parsed = parse_overrides(" localhost:7, 10.0.0.1:2,::1:9,[fe80::1]:3 ,").unwrap();
        let expected = [
            ("localhost", 7),
            ("10.0.0.1", 2),
            ("::1", 9),
            ("fe80::1", 3),
        ];
        assert_eq!(
            parsed,
            expected.map(|(host, count)| (host.to_owned(), count))
        );
        assert_eq!(parse_overrides("").unwrap(), []);
        for bad in ["a", "a:", ":3", "a:-1", "a:b"] {
            assert_eq!(parse_overrides(bad).unwrap_err(), bad);
        }
    }
}
