//! What was measured, a line of JSON a row, so that a run that was cut short goes on where it was.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{BenchError, Doing};

/// Figures of one subject in one run, by name; the end of a name is its unit.
pub(crate) type Figures = BTreeMap<String, f64>;

/// One round over all subjects: figures that may be compared.
pub(crate) type Run = BTreeMap<String, Figures>;

/// A row of the table with all its runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) row: String,
    /// The machine's load average when it began: what else was going on.
    pub(crate) load: f64,
    /// Its runs.
    pub(crate) runs: Vec<Run>,
}

/// All rows that were measured, in a file.
#[derive(Debug)]
pub(crate) struct Results {
    path: PathBuf,
    rows: BTreeMap<String, Row>,
}

impl Results {
    /// Reads what is there. The last line of a name counts; a line that is none was torn by an end in between.
    pub(crate) fn open(path: &Path) -> Result<Self, BenchError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).doing(|| format!("reading {}", path.display())),
        };
        let rows = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Row>(line).ok())
            .map(|row| (row.row.clone(), row))
            .collect();
        Ok(Self {
            path: path.to_owned(),
            rows,
        })
    }

    /// A row by its name.
    pub(crate) fn get(&self, row: &str) -> Option<&Row> {
        self.rows.get(row)
    }

    /// Keeps a row, at once.
    pub(crate) fn put(&mut self, row: Row) -> Result<(), BenchError> {
        let path = self.path.display().to_string();
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).doing(|| format!("making {}", folder.display()))?;
        }
        let line = serde_json::to_string(&row)
            .map_err(std::io::Error::other)
            .doing(|| format!("writing {path}"))?;
        // Begins a line of its own, whatever was torn before.
        let line = format!("\n{line}\n");
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .doing(|| format!("writing {path}"))?;
        self.rows.insert(row.row.clone(), row);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_again_and_the_last_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/results");
        let mut results = Results::open(&path).unwrap();
        for load in [1.0, 2.0] {
            let row = Row {
                row: "a/row".to_owned(),
                load,
                runs: vec![Run::new()],
            };
            results.put(row).unwrap();
        }
        fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"{\"row\":\"torn")
            .unwrap();
        let again = Results::open(&path).unwrap();
        assert_eq!(again.get("a/row").unwrap().load, 2.0);
        assert!(again.get("torn").is_none());
    }
}
