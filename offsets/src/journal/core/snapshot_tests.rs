//! A snapshot's bytes, and those of the log's start: as they were, or nothing.

use std::cell::Cell;

use super::*;

const NAMED: (u32, Position) = (7, 9);
const UPTO: End = End {
    position: 9,
    offset: 20,
};

fn chunk(base_offset: i64, end_offset: i64, marks: &'static [u8], kafka: &'static [u8]) -> Chunk {
    Chunk {
        base_offset,
        end_offset,
        marks: Bytes::from_static(marks),
        kafka: Bytes::from_static(kafka),
    }
}

fn chunks() -> Vec<Chunk> {
    vec![
        chunk(3, 8, b"", b"kafka"),
        chunk(11, 20, b"", b"batch"),
        chunk(20, 20, b"marks", b""),
    ]
}

fn encode(chunks: &[Chunk]) -> Option<(Vec<u8>, Snapshot)> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(NAMED.0, UPTO, &mut out);
    for chunk in chunks {
        encoder.chunk(chunk, &mut out)?;
    }
    let snapshot = encoder.finish(&mut out)?;
    Some((out, snapshot))
}

/// Never asks for more than there is.
fn decoded(named: (u32, Position), file: &[u8]) -> Option<Snapshot> {
    let most = Cell::new(0);
    let read = |at: u64, bytes: usize| {
        most.set(bytes.max(most.get()));
        let rest = &file[(at as usize).min(file.len())..];
        Ok(Bytes::copy_from_slice(&rest[..bytes.min(rest.len())]))
    };
    let decoded = decode(named, file.len() as u64, read).unwrap();
    assert!(most.get() <= file.len().max(SNAPSHOT_HEADER_BYTES));
    decoded
}

#[test]
fn a_snapshot_comes_back() {
    let (bytes, snapshot) = encode(&chunks()).unwrap();
    assert_eq!(decoded(NAMED, &bytes), Some(snapshot.clone()));
    assert_eq!(snapshot.bytes, bytes.len() as u64);
    let back = snapshot.chunks.iter().map(|placed| {
        let at = placed.at as usize;
        let bytes = Bytes::copy_from_slice(&bytes[at..at + placed.bytes as usize]);
        decode_chunk(&bytes).unwrap()
    });
    assert_eq!(back.collect::<Vec<_>>(), chunks());
    let (empty, snapshot) = encode(&[]).unwrap();
    assert_eq!(decoded(NAMED, &empty), Some(snapshot));
}

#[test]
fn the_bytes_of_a_snapshot_are_these() {
    let (bytes, _) = encode(&chunks()[..1]).unwrap();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let header = "4342534e4150303100000007000000000000000900000000000000145a17b984";
    let chunk = "000000000000000300000000000000080000000000000005";
    assert_eq!(hex[..64], *header);
    assert_eq!(hex[64..112], *chunk);
    assert_eq!(hex[112..122], *"6b61666b61");
    assert_eq!(hex[130..138], *"00000001", "behind the checksum, the count");
    assert_eq!(hex.len(), 146);
}

#[test]
fn damaged_anywhere_it_is_none() {
    let (bytes, _) = encode(&chunks()).unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            assert_eq!(decoded(NAMED, &damaged), None, "bit {bit} of byte {at}");
        }
        assert_eq!(decoded(NAMED, &bytes[..at]), None, "cut at {at}");
        assert_eq!(decoded(NAMED, &bytes[at + 1..]), None, "from {at}");
        let mut longer = bytes.clone();
        longer.insert(at, 0);
        assert_eq!(decoded(NAMED, &longer), None, "a byte more at {at}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(decoded(NAMED, &longer), None);
    assert_eq!(decoded((7, 8), &bytes), None, "another position's");
    assert_eq!(decoded((6, 9), &bytes), None, "another partition's");
}

#[test]
fn a_chunk_out_of_its_place_is_neither_written_nor_taken() {
    for wrong in [
        vec![chunk(5, 4, b"", b"")],
        vec![chunk(5, 21, b"", b"")],
        vec![chunk(-1, 4, b"", b"")],
        vec![chunk(5, 9, b"", b""), chunk(8, 10, b"", b"")],
    ] {
        assert_eq!(encode(&wrong), None, "{wrong:?}");
        // The same with checksums that fit.
        let mut out = Vec::new();
        let mut encoder = Encoder::new(NAMED.0, End { offset: 99, ..UPTO }, &mut out);
        out.truncate(0);
        let header = Encoder::new(NAMED.0, UPTO, &mut out);
        encoder.crc = header.crc;
        for chunk in &wrong {
            let at = out.len();
            // One by one, so that nothing is out of order for the encoder.
            encoder.chunks.clear();
            let shifted = Chunk {
                base_offset: 0,
                end_offset: 0,
                ..chunk.clone()
            };
            let mut piece = Vec::new();
            encoder.chunk(&shifted, &mut piece).unwrap();
            piece[..8].copy_from_slice(&chunk.base_offset.to_be_bytes());
            piece[8..16].copy_from_slice(&chunk.end_offset.to_be_bytes());
            let body = piece.len() - CRC_BYTES;
            let crc = crc32c::crc32c(&piece[..body]).to_be_bytes();
            piece[body..].copy_from_slice(&crc);
            out.extend(piece);
            assert!(out.len() > at);
        }
        let mut all = header.crc;
        let mut at = SNAPSHOT_HEADER_BYTES;
        for _ in &wrong {
            let end = at + CHUNK_HEADER_BYTES + CRC_BYTES;
            all = crc32c::crc32c_append(all, &out[end - CRC_BYTES..end]);
            at = end;
        }
        let count = (wrong.len() as u32).to_be_bytes();
        out.extend(count);
        out.extend(crc32c::crc32c_append(all, &count).to_be_bytes());
        assert_eq!(decoded(NAMED, &out), None, "{wrong:?}");
    }
}

#[test]
fn names_are_parsed() {
    let name = snapshot_name(3, 12);
    assert_eq!(name, "00003-00000000000000000012.snapshot");
    assert_eq!(parse_name(&name), Some((3, 12)));
    let largest = snapshot_name(u32::MAX, u64::MAX);
    assert_eq!(parse_name(&largest), Some((u32::MAX, u64::MAX)));
    for other in [
        "3-12.snapshot",
        "00003.snapshot",
        "snapshot.preparing",
        "-.snapshot",
        "",
    ] {
        assert_eq!(parse_name(other), None, "{other}");
    }
}

#[test]
fn the_start_of_the_log_comes_back_from_either_copy() {
    let start = LogStart {
        generation: 5,
        sequence: 77,
        incarnation: 3,
        snapshots: [(1, 4), (9, 1)].into(),
    };
    let bytes = start.encode();
    assert_eq!(LogStart::decode(&bytes), Some(start.clone()));
    let half = bytes.len() / 2;
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert_eq!(LogStart::decode(&damaged), Some(start.clone()), "byte {at}");
        damaged[(at + half) % bytes.len()] ^= 1;
        assert_eq!(LogStart::decode(&damaged), None, "byte {at} of both");
        // Cut somewhere, halves do not lie where they were.
        assert_eq!(LogStart::decode(&bytes[..at]), None, "cut at {at}");
    }
    assert_eq!(
        LogStart::decode(&LogStart::default().encode()),
        Some(LogStart::default())
    );
}
