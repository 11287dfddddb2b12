//! The small files that hold one number: their version, then the number, a line each. 0.1.0 wrote the number alone.

use std::path::Path;

use super::{LogError, files};

const VERSION: &str = "1";
const VERSION_KEY: &str = "version=";

/// The number in `path`, none if there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<i64>, LogError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(LogError::io("read", path)(error)),
    };
    let number = match text.strip_prefix(VERSION_KEY) {
        None => text.as_str(),
        Some(rest) => {
            let (version, number) = rest.split_once('\n').unwrap_or((rest, ""));
            if version != VERSION {
                return Err(LogError::version(path, version, VERSION));
            }
            number
        }
    };
    // Written whole or not at all, so anything else is not ours.
    let number = number.trim().parse().ok().filter(|number| *number >= 0);
    match number {
        Some(number) => Ok(Some(number)),
        None => Err(LogError::corrupt(path, 0, "no number in it")),
    }
}

/// Puts a number in its place, durably.
pub(super) fn replace(path: &Path, number: i64) -> Result<(), LogError> {
    let text = format!("{VERSION_KEY}{VERSION}\n{number}\n");
    files::replace(path, text.as_bytes()).map_err(LogError::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_back_and_another_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("number");
        assert_eq!(read(&path).unwrap(), None);
        replace(&path, 7).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "version=1\n7\n");
        assert_eq!(read(&path).unwrap(), Some(7));
        // As 0.1.0 wrote it.
        std::fs::write(&path, "3000\n").unwrap();
        assert_eq!(read(&path).unwrap(), Some(3000));
        std::fs::write(&path, "version=2\nanything\n").unwrap();
        let refused = read(&path).unwrap_err().to_string();
        let file = path.display();
        assert_eq!(
            refused,
            format!(
                "{file} is of version 2 and this callboard knows 1: start the callboard that wrote it, or a newer one"
            )
        );
        for other in [
            "",
            "soon",
            "-1",
            "version=1",
            "version=1\n",
            "version=1\n1\n2\n",
        ] {
            std::fs::write(&path, other).unwrap();
            assert!(
                matches!(read(&path), Err(LogError::Corrupt { .. })),
                "{other:?}"
            );
        }
    }
}
