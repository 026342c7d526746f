//! The sensor's own cgroup: made, limited, entered, read back.
