//! InitProducerId. Versions 0 to 6. 2 is flexible; 3 lets a producer go on after an error (KIP-360); 6 belongs to
//! two-phase commit (KIP-939) and is not offered by Kafka 4.2 unless it is told to.

messages! {
    /// Gets a producer id, for idempotence or transactions.
    request InitProducerIdRequest (INIT_PRODUCER_ID, versions 0-6, flexible 2+) answered by InitProducerIdResponse {
        transactional_id: string (0+, null 0+),
        transaction_timeout_ms: int32 (0+),
        producer_id: int64 (3+, default -1),
        producer_epoch: int16 (3+, default -1),
        enable2_pc: bool (6+),
        keep_prepared_txn: bool (6+),
    }

    /// The answer to [`InitProducerIdRequest`].
    response InitProducerIdResponse (INIT_PRODUCER_ID, versions 0-6, flexible 2+) {
        throttle_time_ms: int32 (0+),
        error_code: int16 (0+),
        producer_id: int64 (0+, default -1),
        producer_epoch: int16 (0+),
        ongoing_txn_producer_id: int64 (6+, default -1),
        ongoing_txn_producer_epoch: int16 (6+, default -1),
    }
}
