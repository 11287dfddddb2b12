//! The __consumer_offsets log: its bytes, the journal under it, the offset-partition writer and the committed-offset index.
