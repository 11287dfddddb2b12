//! What differs from run to run, by the names the stories give it: `$M1` is the member id that was first seen there,
//! `$G1` a group, `$T1` a topic, `$id of T1` its id.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::script::Fields;

/// A value of ours for each name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(BTreeMap<String, String>);

impl Names {
    pub(crate) fn give(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// The fields of a request with our values in the place of names. Groups get theirs here.
    pub(crate) fn fill(&mut self, fields: &Fields, group: &dyn Fn(&str) -> String) -> Fields {
        fields
            .iter()
            .map(|(key, value)| (key.clone(), self.fill_value(value, group)))
            .collect()
    }

    fn fill_value(&mut self, value: &Value, group: &dyn Fn(&str) -> String) -> Value {
        match value {
            Value::String(name) if name.starts_with('$') => {
                if name.starts_with("$G") {
                    self.0.entry(name.clone()).or_insert_with(|| group(name));
                }
                Value::String(
                    self.0
                        .get(name)
                        .unwrap_or_else(|| panic!("{name} is not known yet"))
                        .clone(),
                )
            }
            Value::Array(items) => items
                .iter()
                .map(|item| self.fill_value(item, group))
                .collect(),
            Value::Object(fields) => Value::Object(self.fill(fields, group)),
            other => other.clone(),
        }
    }

    /// Compares an answer with what was recorded. Lists are sets; a name that is met first gets our value.
    pub(crate) fn check(&mut self, recorded: &Fields, ours: &Fields) -> Result<(), String> {
        let ignored = ["error_message", "throttle_time_ms"];
        for key in recorded
            .keys()
            .chain(ours.keys())
            .filter(|key| !ignored.contains(&key.as_str()))
        {
            match (recorded.get(key), ours.get(key)) {
                // An answer's own id is named before those it lists, which the map's order does not see to.
                (Some(_), Some(_)) if key == "members" => {}
                (Some(recorded), Some(ours)) => self
                    .check_value(recorded, ours)
                    .map_err(|why| format!("{key}: {why}"))?,
                (recorded, ours) => {
                    return Err(format!("{key}: recorded {recorded:?}, ours {ours:?}"));
                }
            }
        }
        match (recorded.get("members"), ours.get("members")) {
            (Some(recorded), Some(ours)) => self
                .check_value(recorded, ours)
                .map_err(|why| format!("members: {why}")),
            _ => Ok(()),
        }
    }

    fn check_value(&mut self, recorded: &Value, ours: &Value) -> Result<(), String> {
        let differ = || Err(format!("recorded {recorded}, ours {ours}"));
        match (recorded, ours) {
            (Value::String(name), Value::String(ours))
                if name == "$ADDRESS" && ours.starts_with('/') =>
            {
                Ok(())
            }
            (Value::String(name), Value::String(ours)) if name.starts_with('$') => {
                match self.0.get(name) {
                    Some(known) if known == ours => Ok(()),
                    None if !self.0.values().any(|value| value == ours) => {
                        self.give(name, ours);
                        Ok(())
                    }
                    known => Err(format!("{name} is {known:?}, ours {ours:?}")),
                }
            }
            (Value::Array(recorded), Value::Array(ours)) => self.check_set(recorded, ours),
            (Value::Object(recorded), Value::Object(ours)) => self.check_object(recorded, ours),
            _ if recorded == ours => Ok(()),
            _ => differ(),
        }
    }

    fn check_object(
        &mut self,
        recorded: &Map<String, Value>,
        ours: &Map<String, Value>,
    ) -> Result<(), String> {
        self.check(recorded, ours)
    }

    /// Lists are short: every pairing is tried.
    fn check_set(&mut self, recorded: &[Value], ours: &[Value]) -> Result<(), String> {
        let Some((first, rest)) = recorded.split_first() else {
            return if ours.is_empty() {
                Ok(())
            } else {
                Err(format!("ours has more: {ours:?}"))
            };
        };
        let mut why = format!("nothing is like {first}");
        for (at, candidate) in ours.iter().enumerate() {
            let mut names = self.clone();
            if let Err(reason) = names.check_value(first, candidate) {
                why = reason;
                continue;
            }
            let mut others = ours.to_vec();
            others.remove(at);
            match names.check_set(rest, &others) {
                Ok(()) => {
                    *self = names;
                    return Ok(());
                }
                Err(reason) => why = reason,
            }
        }
        Err(why)
    }
}
