//! Container and pod identity from a cgroup path.
