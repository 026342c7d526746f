//! What runs in the kernel, and the records that cross the ring.
