//! The demo's data: flights that left New York in the first quarter of 2013 (see `cli/data/nycflights13`),
//! and the table the demo computes. Integers throughout, so that the sum is exact in any order.

use std::collections::BTreeMap;
use std::io::Read;

/// The data set as it is committed.
const FLIGHTS: &[u8] = include_bytes!("../../data/nycflights13/flights.csv.gz");

/// Column numbers of the fields the table needs.
const CARRIER: usize = 0;
const TAIL_NUMBER: usize = 2;
const DEPARTURE_DELAY: usize = 6;

/// The rows of the data set, unpacked.
#[derive(Debug)]
pub(crate) struct Flights(String);

impl Flights {
    /// Unpacks the data set.
    ///
    /// # Errors
    /// When the committed archive is damaged.
    pub(crate) fn load() -> std::io::Result<Self> {
        let mut text = String::new();
        flate2::read::GzDecoder::new(FLIGHTS).read_to_string(&mut text)?;
        Ok(Self(text))
    }

    /// Every row without the header, in the file's order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &str> {
        self.0.lines().skip(1)
    }

    /// The table computed straight from the file: what the consumers have to arrive at.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::default();
        for row in self.rows() {
            table.count(row);
        }
        table
    }
}

/// What a row is keyed by: the tail number, so that all flights of an aircraft are in one partition. A row without one
/// (the data set writes `NA`) has no key.
pub(crate) fn key(row: &str) -> Option<&str> {
    row.split(',')
        .nth(TAIL_NUMBER)
        .filter(|number| !number.is_empty() && *number != "NA")
}

/// Totals of one carrier.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Rows: flights in the timetable.
    pub(crate) scheduled: u64,
    /// Rows with a departure delay: flights that left.
    pub(crate) departed: u64,
    /// Sum of the departure delays in minutes; early departures count negative.
    pub(crate) delay_minutes: i64,
}

/// Totals per carrier.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Table(pub(crate) BTreeMap<String, Totals>);

impl Table {
    /// Adds one row.
    pub(crate) fn count(&mut self, row: &str) {
        let mut fields = row.split(',');
        let carrier = fields.next().unwrap_or_default();
        let delay = fields
            .nth(DEPARTURE_DELAY - CARRIER - 1)
            .and_then(|minutes| minutes.parse::<i64>().ok());
        if !self.0.contains_key(carrier) {
            self.0.insert(carrier.to_owned(), Totals::default());
        }
        if let Some(totals) = self.0.get_mut(carrier) {
            totals.scheduled += 1;
            if let Some(minutes) = delay {
                totals.departed += 1;
                totals.delay_minutes += minutes;
            }
        }
    }

    /// The sum over all carriers.
    pub(crate) fn sum(&self) -> Totals {
        self.0
            .values()
            .fold(Totals::default(), |sum, totals| Totals {
                scheduled: sum.scheduled + totals.scheduled,
                departed: sum.departed + totals.departed,
                delay_minutes: sum.delay_minutes + totals.delay_minutes,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_data_set_has_the_published_totals() {
        let flights = Flights::load().unwrap();
        let table = flights.table();
        let expected = Totals {
            scheduled: 80_789,
            departed: 78_146,
            delay_minutes: 892_053,
        };
        assert_eq!(table.sum(), expected);
        assert_eq!(table.0.len(), 16, "carriers");
        assert_eq!(table.0["UA"].scheduled, 13_954);
        assert_eq!(table.0["OO"].scheduled, 1);
        assert_eq!(
            flights.rows().filter(|row| key(row).is_none()).count(),
            841,
            "rows without a tail number"
        );
    }

    #[test]
    fn a_row_is_keyed_by_its_tail_number() {
        assert_eq!(
            key("UA,1545,N14228,EWR,IAH,2013-01-01T10:00:00Z,2,11,1400"),
            Some("N14228")
        );
        assert_eq!(
            key("AA,133,NA,JFK,LAX,2013-01-02T20:00:00Z,NA,NA,2475"),
            None
        );
    }
}
