//! Counters declared once, with all that their labels can say.

use metrics::{Counter, Label, Unit, counter, describe_counter};

/// A counter, and every value that its labels can have: the property of being there at 0 before the first event is the
/// declaration's, not of whoever counts. A series that begins at 1 has its first event missed by Prometheus' `increase()`.
/// What has an outsider's word for a label is no family: such series are collected at the scrape.
#[derive(Clone, Copy, Debug)]
pub struct CounterFamily {
    /// Its name, with `_total`.
    pub name: &'static str,
    /// What it counts in.
    pub unit: Unit,
    /// Its help text.
    pub help: &'static str,
    /// Its labels, each with every value. Each combination is a series.
    pub labels: &'static [(&'static str, &'static [&'static str])],
}

impl CounterFamily {
    /// A family without labels or with these.
    #[must_use]
    pub const fn new(
        name: &'static str,
        unit: Unit,
        help: &'static str,
        labels: &'static [(&'static str, &'static [&'static str])],
    ) -> Self {
        Self {
            name,
            unit,
            help,
            labels,
        }
    }

    /// Registers help and unit with the recorder in place.
    pub fn describe(&self) {
        describe_counter!(self.name, self.unit, self.help);
    }

    /// Every combination of label values, in the order of the labels.
    #[must_use]
    pub fn series(&self) -> Vec<Vec<&'static str>> {
        let none = vec![Vec::new()];
        self.labels.iter().fold(none, |begun, (_, values)| {
            let longer = begun.iter().flat_map(|begun| {
                values.iter().map(|value| {
                    let mut begun = begun.clone();
                    begun.push(*value);
                    begun
                })
            });
            longer.collect()
        })
    }

    /// Makes every series that is not there yet, at 0.
    pub fn declare(&self) {
        for values in self.series() {
            self.with(&values).increment(0);
        }
    }

    /// The counter of these values, in the order of the labels.
    ///
    /// # Panics
    /// In debug builds, on a value that the declaration does not know: it would not have been there from the start.
    pub fn with(&self, values: &[&'static str]) -> Counter {
        debug_assert_eq!(values.len(), self.labels.len(), "{}", self.name);
        let labels = self.labels.iter().zip(values).map(|((key, known), value)| {
            debug_assert!(
                known.contains(value),
                "{}: {key}={value} is not declared",
                self.name
            );
            Label::from_static_parts(key, value)
        });
        counter!(self.name, labels.collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILY: CounterFamily = CounterFamily::new(
        "things_total",
        Unit::Count,
        "Things.",
        &[("kind", &["a", "b"]), ("result", &["ok", "failed"])],
    );

    #[test]
    fn every_combination_is_a_series() {
        let expected = [["a", "ok"], ["a", "failed"], ["b", "ok"], ["b", "failed"]];
        assert_eq!(FAMILY.series(), expected);
        let plain = CounterFamily::new("plain_total", Unit::Count, "Plain.", &[]);
        assert_eq!(plain.series(), [Vec::<&str>::new()]);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "things_total: kind=c is not declared")]
    fn a_value_that_is_not_declared_is_not_counted() {
        let _ = FAMILY.with(&["c", "ok"]);
    }
}
