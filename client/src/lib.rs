//! What every client of a Kafka cluster needs: connections, metadata, produce and admin requests.
