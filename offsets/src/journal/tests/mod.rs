//! The journal on a disk that fails. What needs a real directory, or only the public interface, is in `tests/`.

mod compact;
mod crash;
mod damage;
mod desk;
mod disk;
mod faults;
mod recycle;
mod threads;
