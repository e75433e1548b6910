//! The values of all metrics at one moment. Gathering them holds up the daemon; making text of
//! them does not.

use std::collections::BTreeMap;

use overlay_common::abi::Counters;

use super::Family;

/// Labels in the family's order, and a value.
pub type Sample = (Vec<String>, f64);

/// The values of metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot(BTreeMap<Family, Vec<Sample>>);

impl Snapshot {
    /// Adds a value. Counters above 2⁵³ lose their last digits, as they would in Prometheus.
    pub fn put(&mut self, family: Family, labels: &[&str], value: f64) {
        debug_assert_eq!(labels.len(), family.labels().len(), "{family:?}");
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.0.entry(family).or_default().push((labels, value));
    }

    /// Adds a whole number.
    pub fn count(&mut self, family: Family, labels: &[&str], value: u64) {
        self.put(family, labels, value as f64);
    }

    /// Adds yes or no.
    pub fn flag(&mut self, family: Family, labels: &[&str], value: bool) {
        self.put(family, labels, f64::from(u8::from(value)));
    }

    /// Adds counters of both directions: received packets and bytes, then sent ones.
    pub fn counters(&mut self, families: [Family; 4], labels: &[&str], counters: Counters) {
        let Counters { rx_packets, rx_bytes, tx_packets, tx_bytes, .. } = counters;
        for (family, value) in
            families.into_iter().zip([rx_packets, rx_bytes, tx_packets, tx_bytes])
        {
            self.count(family, labels, value);
        }
    }

    /// Of each metric its values.
    pub fn families(&self) -> impl Iterator<Item = (Family, &[Sample])> {
        self.0.iter().map(|(family, samples)| (*family, samples.as_slice()))
    }
}
