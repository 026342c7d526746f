//! OCSF 1.8 events as typed values, written as safe NDJSON.
