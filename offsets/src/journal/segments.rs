//! The segments a start finds: which there are, what is in them, and the cut behind the log's end.

use std::cmp::Ordering;

use super::OpenError;
use super::core::recovery::{Place, Recovered};
use super::core::scan::end_of_content;
use super::core::segment::{
    FileName, PREPARING, SEGMENT_HEADER_BYTES, SegmentHeader, segment_name,
};
use super::core::snapshot::{LOG_START_PREPARING, SNAPSHOT_PREPARING};
use super::core::version::Other;
use super::files::Files;
use super::open::failed;
use super::storage::{self, OpenMode, Storage, StorageFile};

/// The segments in the order of the log. All of them have to be there and say who they are: their headers were flushed
/// before they took their place, so anything else is damage whose extent cannot be told.
pub(crate) fn find(
    storage: &dyn Storage,
    files: &Files,
    first: u32,
) -> Result<Vec<SegmentHeader>, OpenError> {
    let mut generations = Vec::new();
    for name in storage.list().map_err(failed("list the directory"))? {
        if [PREPARING, SNAPSHOT_PREPARING, LOG_START_PREPARING].contains(&name.as_str()) {
            // Left by a process that was stopped while it made one.
            storage
                .remove(&name)
                .map_err(failed("remove an unfinished file"))?;
        } else if let FileName::Segment(generation) = FileName::parse(&name) {
            if generation < first {
                // It had left the log, and the process was stopped before its file had.
                storage
                    .remove(&name)
                    .map_err(failed("remove a trimmed segment"))?;
            } else {
                generations.push(generation);
            }
        }
    }
    generations.sort_unstable();
    let mut headers = Vec::with_capacity(generations.len());
    for (expected, generation) in (first..).zip(generations) {
        let damaged = |generation, reason: &str| OpenError::Damaged {
            file: segment_name(generation),
            reason: reason.to_owned(),
        };
        if generation != expected {
            let reason = "it is missing, and later segments are there";
            return Err(damaged(expected, reason));
        }
        let file = storage
            .open(&segment_name(generation), OpenMode::Existing)
            .map_err(failed("open a segment"))?;
        let header = read_header(&*file)?.map_err(|other| match other {
            Some(other) => OpenError::version(segment_name(generation), other),
            None => damaged(generation, "its header is damaged"),
        })?;
        if header.segment.generation != generation {
            return Err(damaged(generation, "its header is another segment's"));
        }
        files.add(header.segment, header.bytes);
        headers.push(header);
    }
    Ok(headers)
}

/// What a segment says about itself; or that it does not, and perhaps because its version is another one.
fn read_header(file: &dyn StorageFile) -> Result<Result<SegmentHeader, Option<Other>>, OpenError> {
    let mut start = [0; SEGMENT_HEADER_BYTES];
    let filled = storage::read_up_to(file, &mut start, 0).map_err(failed("read a segment"))?;
    let start = &start[..filled];
    Ok(SegmentHeader::decode(start).ok_or_else(|| SegmentHeader::other_version(start)))
}

/// Reads a segment whole, as far as its file reaches, in place of what is in `bytes`.
pub(crate) fn read(
    files: &Files,
    header: &SegmentHeader,
    bytes: &mut Vec<u8>,
) -> Result<(), OpenError> {
    let (file, _) = files
        .get(header.segment.generation)
        .map_err(failed("open a segment"))?;
    // At most 1 GiB: a header that says more does not decode.
    bytes.resize(usize::try_from(header.bytes).unwrap_or(0), 0);
    let filled = storage::read_up_to(&*file, bytes, 0).map_err(failed("read a segment"))?;
    bytes.truncate(filled);
    Ok(())
}

/// Zeroes what lies behind the log's end, so that nothing of a round that was never acknowledged can be taken for a
/// later one's, and gives the files their length back. Returns how many bytes of a torn end there were.
pub(crate) fn cut(
    segments: &[SegmentHeader],
    files: &Files,
    recovered: &Recovered,
) -> Result<u64, OpenError> {
    let Place { generation, at } = recovered.end;
    let mut truncated = 0;
    for header in segments {
        let number = header.segment.generation;
        let torn = || {
            let torn = recovered.torn.iter();
            torn.filter(move |found| found.generation == number)
        };
        let from = match number.cmp(&generation) {
            Ordering::Less => continue,
            Ordering::Equal => at,
            Ordering::Greater => SEGMENT_HEADER_BYTES,
        };
        if number > generation && header.recycled && torn().next().is_none() {
            // Old frames only, which the segment's generation and salt keep out.
            continue;
        }
        let content_end = zero_behind(files, header, from)?;
        let torn_end = torn().map(|found| found.end()).max().unwrap_or(from);
        let end = if header.recycled {
            torn_end
        } else {
            content_end
        };
        truncated += end.saturating_sub(from) as u64;
    }
    Ok(truncated)
}

/// Zeroes a segment's bytes from `from` on and flushes it. Returns where its content ended.
fn zero_behind(files: &Files, header: &SegmentHeader, from: usize) -> Result<usize, OpenError> {
    let mut bytes = Vec::new();
    read(files, header, &mut bytes)?;
    let content_end = end_of_content(&bytes, from);
    let length = bytes.len() as u64;
    drop(bytes);
    let repair = || {
        let (file, _) = files.get(header.segment.generation)?;
        storage::write_zeros(&*file, from as u64, content_end as u64)?;
        if length < header.bytes {
            file.allocate(header.bytes)?;
            storage::write_zeros(&*file, length, header.bytes)?;
        }
        // Even if nothing was repaired: a process that was killed may have left its last round unflushed, and from here
        // on it counts as flushed.
        file.sync()
    };
    repair().map_err(failed("cut off the torn end of the offsets log"))?;
    Ok(content_end)
}
