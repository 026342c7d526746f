//! A decoder that calls itself without end: the stack is full, and what tells it needs another one.

use std::{mem::zeroed, ptr::null_mut};

const BYTES: usize = 256 << 10;

/// Gives libFuzzer's handler of SIGSEGV a stack of its own. Without one the process just ends, and the input with it.
pub fn overflow_is_told() {
    let stack = Box::leak(vec![0_u8; BYTES].into_boxed_slice());
    // SAFETY: the stack is never freed. SIGSEGV keeps its default, and libFuzzer, which puts its own handler there afterwards, takes
    // over the flag (`SetSigaction` in its FuzzerUtilPosix.cpp).
    let is_set = unsafe {
        let alternative = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: BYTES };
        let mut action: libc::sigaction = zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        action.sa_flags = libc::SA_ONSTACK;
        libc::sigaltstack(&raw const alternative, null_mut()) == 0
            && libc::sigaction(libc::SIGSEGV, &raw const action, null_mut()) == 0
    };
    assert!(is_set, "no stack for signals: {}", std::io::Error::last_os_error());
}
