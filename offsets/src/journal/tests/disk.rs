//! A disk in memory. It keeps what was written apart from what was flushed, loses power on demand and then keeps
//! whatever it likes of the rest, and fails the ways disks do. Also a gate that holds flushes back.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use rand::Rng;
use rand::rngs::StdRng;

use crate::journal::storage::{OpenMode, Storage, StorageFile};

/// What survives or does not in one piece.
const SECTOR_BYTES: usize = 512;
/// A page of the page cache, in sectors.
const PAGE_SECTORS: usize = 8;

#[derive(Clone, Default)]
struct Inode {
    now: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

#[derive(Clone)]
enum NameChange {
    Set(String, usize),
    Rename(String, String),
    Remove(String),
}

/// Faults that wait to happen; counted down by the calls they are for.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    /// The flush after this many fails, once, and what it should have made durable never will be.
    pub(crate) sync_fails_after: Option<u64>,
    /// The write after this many fails.
    pub(crate) write_fails_after: Option<u64>,
    /// At most this many bytes a write.
    pub(crate) short_writes: Option<usize>,
    /// Bytes all files together may take.
    pub(crate) capacity: Option<u64>,
    /// The power goes when this many changes were made.
    pub(crate) power_goes_after: Option<u64>,
    /// Opening a file for a new segment fails.
    pub(crate) refuse_create: bool,
}

#[derive(Clone, Default)]
struct State {
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<NameChange>,
    inodes: Vec<Inode>,
    faults: Faults,
    off: bool,
    hold_syncs: bool,
    /// Flushes that wait at the gate.
    held: usize,
    syncs: u64,
}

/// See the module. Clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Disk {
    pub(crate) fn storage(&self) -> Arc<dyn Storage> {
        Arc::new(self.clone())
    }

    /// Another disk with the same content, all of it durable.
    pub(crate) fn copy(&self) -> Self {
        let mut state = self.lock().clone();
        for inode in &mut state.inodes {
            inode.durable.clone_from(&inode.now);
            inode.dirty.clear();
        }
        state.durable_names.clone_from(&state.names);
        state.pending_names.clear();
        state.faults = Faults::default();
        Self {
            shared: Arc::new((Mutex::new(state), Condvar::new())),
        }
    }

    pub(crate) fn faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.lock().faults);
    }

    /// Flushes done.
    pub(crate) fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// The power goes and comes back. Every flushed byte is there; of the others, any.
    pub(crate) fn lose_power(&self, random: &mut StdRng) {
        let mut state = self.lock();
        let state = &mut *state;
        let kept = random.random_range(0..=state.pending_names.len());
        for change in state.pending_names.drain(..).take(kept) {
            apply(&mut state.durable_names, change);
        }
        state.names.clone_from(&state.durable_names);
        for inode in &mut state.inodes {
            inode.lose_power(random);
        }
        state.faults = Faults::default();
        state.off = false;
    }

    /// The process goes; the page cache stays.
    pub(crate) fn kill_process(&self) {
        let mut state = self.lock();
        state.faults = Faults::default();
        state.off = false;
    }

    /// Changes a file's bytes behind everybody's back.
    pub(crate) fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.lock();
        let inode = state.names[name];
        let inode = &mut state.inodes[inode];
        change(&mut inode.now);
        inode.durable.clone_from(&inode.now);
    }

    /// A file's bytes.
    pub(crate) fn content(&self, name: &str) -> Vec<u8> {
        let state = self.lock();
        state.inodes[state.names[name]].now.clone()
    }

    /// Puts a file there.
    pub(crate) fn put(&self, name: &str, content: Vec<u8>) {
        let mut state = self.lock();
        let inode = state.inodes.len();
        state.inodes.push(Inode {
            durable: content.clone(),
            now: content,
            dirty: BTreeSet::new(),
        });
        state.names.insert(name.to_owned(), inode);
        state.durable_names.insert(name.to_owned(), inode);
    }

    /// Takes a file away.
    pub(crate) fn take(&self, name: &str) {
        let mut state = self.lock();
        state.names.remove(name);
        state.durable_names.remove(name);
    }

    /// Flushes wait until what this gives is dropped. Keep it behind the journal: a failed test lets go first.
    pub(crate) fn hold_syncs(&self) -> HeldSyncs {
        self.lock().hold_syncs = true;
        HeldSyncs(self.clone())
    }

    /// Waits until a flush waits.
    pub(crate) fn wait_for_held_sync(&self) {
        let mut state = self.lock();
        while state.held == 0 {
            state = self.shared.1.wait(state).unwrap();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap()
    }
}

/// Lets the flushes go when it is dropped.
pub(crate) struct HeldSyncs(Disk);

impl Drop for HeldSyncs {
    fn drop(&mut self) {
        self.0.lock().hold_syncs = false;
        self.0.shared.1.notify_all();
    }
}

impl Inode {
    fn lose_power(&mut self, random: &mut StdRng) {
        // Some disks keep pages whole, some only sectors.
        let unit = if random.random_bool(0.5) {
            PAGE_SECTORS
        } else {
            1
        };
        let keep_all = random.random_range(0.0..1.0);
        if self.now.len() > self.durable.len() && random.random_bool(0.5) {
            self.durable.resize(self.now.len(), 0);
        }
        let mut last = None;
        for &sector in &self.dirty {
            let piece = sector / unit;
            let kept = match last {
                Some((same, kept)) if same == piece => kept,
                _ => random.random_bool(keep_all),
            };
            last = Some((piece, kept));
            let start = sector * SECTOR_BYTES;
            let end = (start + SECTOR_BYTES)
                .min(self.now.len())
                .min(self.durable.len());
            if kept && start < end {
                self.durable[start..end].copy_from_slice(&self.now[start..end]);
            }
        }
        self.dirty.clear();
        self.now.clone_from(&self.durable);
    }
}

fn apply(names: &mut BTreeMap<String, usize>, change: NameChange) {
    match change {
        NameChange::Set(name, inode) => {
            names.insert(name, inode);
        }
        NameChange::Rename(from, to) => {
            if let Some(inode) = names.remove(&from) {
                names.insert(to, inode);
            }
        }
        NameChange::Remove(name) => {
            names.remove(&name);
        }
    }
}

impl State {
    /// A change is about to be made, if the power is on.
    fn change(&mut self) -> io::Result<()> {
        if self.off || counted_down(&mut self.faults.power_goes_after) {
            self.off = true;
            return Err(io::Error::other("the power is off"));
        }
        Ok(())
    }

    fn rename(&mut self, change: NameChange) -> io::Result<()> {
        self.change()?;
        apply(&mut self.names, change.clone());
        self.pending_names.push(change);
        Ok(())
    }

    fn used(&self) -> u64 {
        let inodes = self
            .names
            .values()
            .map(|&inode| self.inodes[inode].now.len() as u64);
        inodes.sum()
    }
}

/// Counts a fault down; whether it is its turn.
fn counted_down(fault: &mut Option<u64>) -> bool {
    match fault {
        Some(0) => {
            *fault = None;
            true
        }
        Some(left) => {
            *left -= 1;
            false
        }
        None => false,
    }
}

impl Storage for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().names.keys().cloned().collect())
    }

    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let mut state = self.lock();
        let inode = match (mode, state.names.get(name)) {
            (OpenMode::Existing, Some(&inode)) => inode,
            (OpenMode::Existing, None) => return Err(ErrorKind::NotFound.into()),
            (OpenMode::Create, _) => {
                if state.faults.refuse_create {
                    return Err(io::Error::other("too many open files"));
                }
                let inode = state.inodes.len();
                state.rename(NameChange::Set(name.to_owned(), inode))?;
                state.inodes.push(Inode::default());
                inode
            }
        };
        Ok(Arc::new(DiskFile {
            disk: self.clone(),
            inode,
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.lock()
            .rename(NameChange::Rename(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.lock().rename(NameChange::Remove(name.to_owned()))
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.lock();
        let state = &mut *state;
        state.change()?;
        if counted_down(&mut state.faults.sync_fails_after) {
            state.pending_names.clear();
            return Err(io::Error::other("injected"));
        }
        for change in state.pending_names.drain(..) {
            apply(&mut state.durable_names, change);
        }
        Ok(())
    }
}

struct DiskFile {
    disk: Disk,
    inode: usize,
}

impl StorageFile for DiskFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.disk.lock().inodes[self.inode].now.len() as u64)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.change()?;
        let more = bytes.saturating_sub(state.inodes[self.inode].now.len() as u64);
        if state
            .faults
            .capacity
            .is_some_and(|capacity| state.used() + more > capacity)
        {
            return Err(ErrorKind::StorageFull.into());
        }
        let inode = &mut state.inodes[self.inode];
        let length = inode.now.len().max(bytes as usize);
        inode.now.resize(length, 0);
        Ok(())
    }

    fn write_at(&self, data: &[u8], at: u64) -> io::Result<usize> {
        let mut state = self.disk.lock();
        state.change()?;
        if counted_down(&mut state.faults.write_fails_after) {
            return Err(io::Error::other("injected"));
        }
        let length = state
            .faults
            .short_writes
            .unwrap_or(usize::MAX)
            .min(data.len());
        let inode = &mut state.inodes[self.inode];
        let (start, end) = (at as usize, at as usize + length);
        if inode.now.len() < end {
            inode.now.resize(end, 0);
        }
        inode.now[start..end].copy_from_slice(&data[..length]);
        inode
            .dirty
            .extend(start / SECTOR_BYTES..=(end - 1) / SECTOR_BYTES);
        Ok(length)
    }

    fn read_at(&self, out: &mut [u8], at: u64) -> io::Result<usize> {
        let state = self.disk.lock();
        let now = &state.inodes[self.inode].now;
        let rest = now.get(at as usize..).unwrap_or_default();
        let length = rest.len().min(out.len());
        out[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        while state.hold_syncs {
            state.held += 1;
            self.disk.shared.1.notify_all();
            state = self.disk.shared.1.wait(state).unwrap();
            state.held -= 1;
        }
        state.change()?;
        let fails = counted_down(&mut state.faults.sync_fails_after);
        state.syncs += 1;
        let inode = &mut state.inodes[self.inode];
        if fails {
            // The pages count as clean from now on, and were never written.
            inode.dirty.clear();
            return Err(io::Error::other("injected"));
        }
        let now = &inode.now;
        inode.durable.resize(now.len(), 0);
        for &sector in &inode.dirty {
            let start = sector * SECTOR_BYTES;
            let end = (start + SECTOR_BYTES).min(now.len());
            inode.durable[start..end].copy_from_slice(&now[start..end]);
        }
        inode.dirty.clear();
        Ok(())
    }
}
