//! What the journal asks of a directory. The real one is [`Directory`]; tests put a disk in its place that fails,
//! loses power and keeps what it likes of what was not flushed.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

/// Zeros are written in pieces of this size.
const ZEROS: &[u8] = &[0; 256 * 1024];

/// A directory of the journal's own.
pub(crate) trait Storage: Send + Sync + 'static {
    /// Names of the files in it.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file for reading and writing; an empty one in place of what was there if `mode` says so.
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>>;
    /// Durable after [`sync`](Self::sync).
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Durable after [`sync`](Self::sync).
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync(&self) -> io::Result<()>;
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenMode {
    /// It must be there.
    Existing,
    /// It is made, or emptied.
    Create,
}

/// A file in it. Reads and writes name their place; nothing is shared between threads but the bytes.
pub(crate) trait StorageFile: Send + Sync + 'static {
    /// Its length.
    fn bytes(&self) -> io::Result<u64>;
    /// Gives it blocks and length up to `bytes`. May do nothing where the file system cannot.
    fn allocate(&self, bytes: u64) -> io::Result<()>;
    /// Writes some of `data`, at least one byte, and says how many.
    fn write_at(&self, data: &[u8], at: u64) -> io::Result<usize>;
    /// Reads some bytes; none at the end of the file.
    fn read_at(&self, out: &mut [u8], at: u64) -> io::Result<usize>;
    /// Makes everything written to it durable.
    fn sync(&self) -> io::Result<()>;
}

/// Writes all of `data`.
pub(crate) fn write_all(file: &dyn StorageFile, mut data: &[u8], mut at: u64) -> io::Result<()> {
    while !data.is_empty() {
        match file.write_at(data, at) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                data = data.get(written..).unwrap_or_default();
                at += written as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes zeros from `at` up to `end`.
pub(crate) fn write_zeros(file: &dyn StorageFile, mut at: u64, end: u64) -> io::Result<()> {
    while at < end {
        let piece = usize::try_from(end - at).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
        write_all(file, &ZEROS[..piece], at)?;
        at += piece as u64;
    }
    Ok(())
}

/// Fills `out` as far as the file reaches, and says how far that is.
pub(crate) fn read_up_to(file: &dyn StorageFile, out: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < out.len() {
        match file.read_at(&mut out[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Up to `bytes` bytes from `at` on, as far as the file reaches.
pub(crate) fn read_piece(file: &dyn StorageFile, at: u64, bytes: usize) -> io::Result<Bytes> {
    let mut piece = vec![0; bytes];
    let filled = read_up_to(file, &mut piece, at)?;
    piece.truncate(filled);
    Ok(piece.into())
}

/// Whether an error says that there is no room for more, which passes when somebody makes room.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}

/// A directory of the file system. Not one on NFS: neither its locks nor its flushes are to be trusted with this.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    path: PathBuf,
}

impl Directory {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }
}

impl Storage for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            // A name that is not text is a stranger's.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let create = mode == OpenMode::Create;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(create)
            .truncate(create)
            .open(self.path.join(name))?;
        Ok(Arc::new(DirectoryFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

struct DirectoryFile(File);

impl StorageFile for DirectoryFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        match fallocate(&self.0, FallocateFlags::empty(), 0, bytes) {
            // The zeros written next take the blocks where the file system cannot reserve them.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn write_at(&self, data: &[u8], at: u64) -> io::Result<usize> {
        self.0.write_at(data, at)
    }

    fn read_at(&self, out: &mut [u8], at: u64) -> io::Result<usize> {
        self.0.read_at(out, at)
    }

    fn sync(&self) -> io::Result<()> {
        // fdatasync: a file's length is part of what it makes durable, its times are not.
        self.0.sync_data()
    }
}
