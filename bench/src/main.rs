//! Load and its measure, on our broker and on a real Apache Kafka beside it.

fn main() {}
