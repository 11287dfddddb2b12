//! Record batches of version 2, read and written. Reading copies nothing: batches, records and header values share the
//! memory of the bytes they came in, or of one decompressed body. Old message sets (versions 0 and 1) are recognised
//! and refused. Nothing here performs I/O, and no bytes make it panic or allocate what is merely announced.
//!
//! ```
//! use callboard_protocol::records::{BatchBuilder, BatchIter, Compression, DecompressLimit};
//!
//! let mut builder = BatchBuilder::new(40, Compression::Lz4);
//! builder.push(1_700_000_000_000, Some(b"alice"), Some(b"1 coffee"), &[]);
//! let bytes = builder.build()?;
//! for batch in BatchIter::new(bytes) {
//!     let batch = batch?;
//!     batch.verify_crc()?;
//!     for record in batch.records(DecompressLimit::new(1024 * 1024))? {
//!         let record = record?;
//!         assert_eq!((record.offset, record.key.as_deref()), (40, Some(&b"alice"[..])));
//!     }
//! }
//! # Ok::<(), callboard_protocol::records::RecordsError>(())
//! ```

mod batch;
mod builder;
mod codec;
mod error;
mod header;
mod iter;
mod record;
mod scan;

pub use batch::{Batch, BatchBody, BatchIter};
pub use builder::BatchBuilder;
pub use codec::{Compression, DecompressLimit};
pub use error::{RecordFault, RecordsError, Stage};
pub use header::{BatchHeader, HEADER_BYTES};
pub use iter::{RecordViews, Records};
pub use record::{Header, HeaderIter, HeaderView, HeaderViews, Headers, Record, RecordView};
pub use scan::{Scan, Scanned, Step};
