//! Opening a log: what is on disk becomes segments, offsets and producer states. A torn tail is cut off; any other damage
//! is an error, and nothing is changed then. Called by [`PartitionLog::open`](super::PartitionLog::open) alone.

use std::path::Path;

use tracing::warn;

use super::LogError;
use super::core::codec::ProducersFile;
use super::core::{EPOCHS_VERSION, Epochs, LogConfig, ProducerStates};
use super::files;
use super::number;
use super::partition::{CLEAN_SHUTDOWN, EPOCHS, LOG_START, PRODUCERS};
use super::reader::View;
use super::segment::{Segment, Tail, Walk, log_path};
use crate::metrics::LOG_TRUNCATED_BYTES;

/// The log start offset that was stored, 0 if none was.
pub(super) fn read_log_start(dir: &Path) -> Result<i64, LogError> {
    Ok(number::read(&dir.join(LOG_START))?.unwrap_or(0))
}

/// Removes what interrupted writes left, and lists the segments' base offsets in order.
pub(super) fn clean_and_list(dir: &Path) -> Result<Vec<i64>, LogError> {
    let mut bases = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(LogError::io("list", dir))? {
        let path = entry.map_err(LogError::io("list", dir))?.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("tmp") => files::remove_if_there(&path).map_err(LogError::io("remove", &path))?,
            // A deletion takes the index first; a machine that dies may keep it longest.
            Some("index") if !path.with_extension("log").exists() => {
                files::remove_if_there(&path).map_err(LogError::io("remove", &path))?;
            }
            Some("log") => {
                let base = path
                    .file_stem()
                    .and_then(|stem| stem.to_str())
                    .and_then(|stem| stem.parse().ok());
                // A file that we did not name stays and is not touched.
                bases.extend(base.filter(|base| *base >= 0 && log_path(dir, *base) == path));
            }
            _ => {}
        }
    }
    bases.sort_unstable();
    Ok(bases)
}

/// Opens every segment, repairs the last one, and tells whether it had more than its index file knew.
pub(super) fn open_segments(
    dir: &Path,
    bases: &[i64],
    log_start: i64,
    config: &LogConfig,
) -> Result<(Vec<Segment>, bool), LogError> {
    let mut segments: Vec<Segment> = Vec::with_capacity(bases.len());
    let mut recovered = false;
    for (at, base) in bases.iter().enumerate() {
        let next_base = bases.get(at + 1);
        let mut segment = Segment::open(log_path(dir, *base), *base, config)?;
        if next_base.is_some_and(|next| *next <= log_start) {
            // Deleted; the crash came before its file went.
            segment.remove()?;
            continue;
        }
        let vouched = segment.size;
        let tail = segment.recover()?;
        recovered = segment.size > vouched;
        match (tail, next_base) {
            (Tail::Whole, _) => {}
            (Tail::Torn { bytes }, None) => {
                warn!(file = %segment.path.display(), position = segment.size, bytes, "cut a torn tail off a topic log");
                LOG_TRUNCATED_BYTES.with(&[]).increment(bytes);
                segment.truncate()?;
            }
            (Tail::Torn { .. }, Some(_)) => {
                return Err(LogError::corrupt(
                    &segment.path,
                    segment.size,
                    "no whole batch, and later files exist",
                ));
            }
        }
        if let Some(next) = next_base {
            if segment.next_offset != *next {
                return Err(LogError::corrupt(
                    &segment.path,
                    segment.size,
                    "the file ends before the next one begins",
                ));
            }
            if segment.size > vouched {
                segment.save_index()?;
            }
        }
        segments.push(segment);
    }
    Ok((segments, recovered))
}

/// What a log that was closed in order left: its end, and so that nothing was lost since. None when it was not.
pub(super) fn read_clean_end(dir: &Path) -> Result<Option<i64>, LogError> {
    number::read(&dir.join(CLEAN_SHUTDOWN))
}

/// The leader epochs: the checkpoint's, or those the batches carry where there is none that can be read. An older version
/// of this program wrote none.
pub(super) fn recall_epochs(dir: &Path, view: &View) -> Result<Epochs, LogError> {
    let path = dir.join(EPOCHS);
    let known = match std::fs::read_to_string(&path) {
        Ok(text) => match Epochs::decode(&text) {
            Ok(known) => known,
            Err(version) => return Err(LogError::version(&path, &version, EPOCHS_VERSION)),
        },
        Err(_) => None,
    };
    if let Some(known) = known {
        return Ok(known);
    }
    let mut epochs = Epochs::default();
    if view.segments.is_empty() {
        return Ok(epochs);
    }
    warn!(file = %path.display(), "no checkpoint of leader epochs can be read; they are taken from the batches");
    for segment in &view.segments {
        let mut walk = Walk::new(&segment.file, &segment.path, 0, segment.size);
        while let Some((header, batch)) = walk.next()? {
            epochs.seen(header.leader_epoch, batch.base_offset);
        }
    }
    Ok(epochs)
}

pub(super) fn view_of(mut segments: Vec<Segment>, log_start: i64) -> View {
    let first = segments
        .first()
        .map_or(log_start, |segment| segment.base_offset);
    let end = segments
        .last()
        .map_or(log_start, |segment| segment.next_offset);
    if end < log_start {
        // The machine died and took records that had been deleted before. Offsets go on where they were.
        warn!(
            end,
            log_start, "the log ends before its start offset; starting empty"
        );
        segments.clear();
        return View {
            segments,
            log_start_offset: log_start,
            end_offset: log_start,
            epochs: Epochs::default(),
        };
    }
    View {
        segments,
        log_start_offset: log_start.max(first),
        end_offset: end,
        epochs: Epochs::default(),
    }
}

/// The producer states: the snapshot, and every batch that is younger.
pub(super) fn recall_producers(dir: &Path, view: &View) -> Result<ProducerStates, LogError> {
    let oldest = view
        .segments
        .first()
        .map_or(view.end_offset, |segment| segment.base_offset);
    let path = dir.join(PRODUCERS);
    let bytes = std::fs::read(&path).unwrap_or_default();
    let known = ProducersFile::decode(&bytes);
    if known.is_none()
        && let Some(version) = ProducersFile::other_version(&bytes)
    {
        // It may know of producers whose batches have left the log.
        let version = version.to_string();
        return Err(LogError::version(&path, &version, ProducersFile::VERSION));
    }
    let known = known.filter(|known| (oldest..=view.end_offset).contains(&known.next_offset));
    let (mut producers, from) = known.map_or((ProducerStates::default(), oldest), |known| {
        (known.producers, known.next_offset)
    });
    for segment in view
        .segments
        .iter()
        .filter(|segment| segment.next_offset > from)
    {
        // The file's time and not the batch's: records of years ago may have been appended just now.
        let seen = modified(segment);
        let mut walk = Walk::new(
            &segment.file,
            &segment.path,
            segment.index.position_of(from),
            segment.size,
        );
        while let Some((header, batch)) = walk.next()? {
            if batch.base_offset >= from
                && let Some(producer) = header.producer()
            {
                producers.apply(&producer, seen);
            }
        }
    }
    Ok(producers)
}

/// When the file was last written, in milliseconds since 1970; 0 when the system does not tell.
pub(super) fn modified(segment: &Segment) -> i64 {
    let time = segment
        .file
        .metadata()
        .and_then(|data| data.modified())
        .ok();
    let since = time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    since
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}
