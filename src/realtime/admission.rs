//! How many connections that are not signed in yet one address may hold.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Counts by address; an IPv6 address is its /64. Bounded by the connections there are.
pub struct Admissions {
    most: usize,
    held: Mutex<HashMap<IpAddr, usize>>,
}

/// One place, given back when it is dropped.
pub struct Admission {
    admissions: Arc<Admissions>,
    key: IpAddr,
}

impl Admissions {
    /// At most `most` each.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            held: Mutex::default(),
        })
    }

    /// A place for `address`; `None` when it has as many as it may.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Admission> {
        let key = key(address);
        let mut held = self.held.lock();
        let count = held.entry(key).or_insert(0);
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Admission {
            admissions: self.clone(),
            key,
        })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut held = self.admissions.held.lock();
        if let Some(count) = held.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.key);
            }
        }
    }
}

fn key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back_and_a_network_of_ipv6_is_one() {
        let admissions = Admissions::new(2);
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let first = admissions.admit(address("2001:db8::1"));
        let second = admissions.admit(address("2001:db8::2"));
        assert!(first.is_some() && second.is_some());
        assert!(admissions.admit(address("2001:db8::3")).is_none());
        assert!(admissions.admit(address("2001:db8:0:1::3")).is_some());
        drop(first);
        assert!(admissions.admit(address("2001:db8::3")).is_some());
        drop(second);
        assert!(
            admissions.held.lock().is_empty(),
            "nothing is kept of those who are gone"
        );
    }
}
