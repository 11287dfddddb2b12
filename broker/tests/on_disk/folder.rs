//! A data directory as it is kept in the repository: every file by itself, compressed. A journal's segments are mostly
//! zeros.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

const SUFFIX: &str = ".gz";

/// Puts the files of `data` into `folder`.
pub fn pack(data: &Path, folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for entry in fs::read_dir(data).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            pack(&entry.path(), &folder.join(name));
        } else {
            let file = fs::File::create(folder.join(format!("{name}{SUFFIX}"))).unwrap();
            let mut out = GzEncoder::new(file, Compression::best());
            out.write_all(&fs::read(entry.path()).unwrap()).unwrap();
            out.finish().unwrap();
        }
    }
}

/// The opposite.
pub fn unpack(folder: &Path, data: &Path) {
    fs::create_dir_all(data).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        match name.strip_suffix(SUFFIX) {
            None => unpack(&entry.path(), &data.join(name)),
            Some(name) => {
                let mut bytes = Vec::new();
                let file = fs::File::open(entry.path()).unwrap();
                GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
                fs::write(data.join(name), bytes).unwrap();
            }
        }
    }
}
