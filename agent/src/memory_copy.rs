//! `memcpy` and `memmove` for the static binary.
//!
//! musl's copy for x86-64 moves the bytes before an aligned target and after the last whole word one by one, and starts `rep movsq` between
//! them: some 30 ns for the dozen bytes that a JSON writer appends at a time. It was 40 % of the sensor's processor time in a storm of
//! execs (`perf record`, 20,000 execs by two workers). These load head and tail as overlapping vectors instead, as other C libraries do.
//! In assembly, because link-time optimisation may drop or fold functions of these names that are written in Rust. Both have
//! to be here: musl's `memmove` jumps into its `memcpy`.
//!
//! Every load of a copy of up to 128 bytes comes before its first store, so these are safe for overlapping ranges too.
//! Only the x86-64 baseline (SSE2) is used.

#[cfg(all(target_arch = "x86_64", any(target_env = "musl", test)))]
macro_rules! define {
    ($memcpy:literal, $memmove:literal) => {
        core::arch::global_asm!(
            concat!(".globl ", $memcpy),
            concat!(".globl ", $memmove),
            concat!(".type ", $memcpy, ",@function"),
            concat!(".type ", $memmove, ",@function"),
            ".p2align 5",
            concat!($memmove, ":"),
            "mov rax, rdi",
            "sub rax, rsi",
            "cmp rax, rdx",
            "mov rax, rdi",
            "jae 20f",
            "cmp rdx, 128",
            "jbe 20f",
            // The target begins inside the source: from the end down, with the head kept from being overwritten.
            "movups xmm4, [rsi]",
            "movups xmm5, [rsi + 16]",
            "movups xmm6, [rsi + 32]",
            "movups xmm7, [rsi + 48]",
            "21:",
            "movups xmm0, [rsi + rdx - 16]",
            "movups xmm1, [rsi + rdx - 32]",
            "movups xmm2, [rsi + rdx - 48]",
            "movups xmm3, [rsi + rdx - 64]",
            "movups [rdi + rdx - 16], xmm0",
            "movups [rdi + rdx - 32], xmm1",
            "movups [rdi + rdx - 48], xmm2",
            "movups [rdi + rdx - 64], xmm3",
            "sub rdx, 64",
            "cmp rdx, 64",
            "ja 21b",
            "movups [rdi], xmm4",
            "movups [rdi + 16], xmm5",
            "movups [rdi + 32], xmm6",
            "movups [rdi + 48], xmm7",
            "ret",
            ".p2align 5",
            concat!($memcpy, ":"),
            "mov rax, rdi",
            "20:",
            "cmp rdx, 16",
            "ja 24f",
            "cmp edx, 8",
            "jae 23f",
            "cmp edx, 4",
            "jae 22f",
            "test edx, edx",
            "je 29f",
            // One to three bytes: first, middle, last.
            "mov r9, rdx",
            "shr r9",
            "movzx ecx, byte ptr [rsi]",
            "movzx r10d, byte ptr [rsi + r9]",
            "movzx r8d, byte ptr [rsi + rdx - 1]",
            "mov [rdi], cl",
            "mov [rdi + r9], r10b",
            "mov [rdi + rdx - 1], r8b",
            "29:",
            "ret",
            "22:",
            "mov ecx, [rsi]",
            "mov r8d, [rsi + rdx - 4]",
            "mov [rdi], ecx",
            "mov [rdi + rdx - 4], r8d",
            "ret",
            "23:",
            "mov rcx, [rsi]",
            "mov r8, [rsi + rdx - 8]",
            "mov [rdi], rcx",
            "mov [rdi + rdx - 8], r8",
            "ret",
            "24:",
            "cmp rdx, 32",
            "ja 25f",
            "movups xmm0, [rsi]",
            "movups xmm1, [rsi + rdx - 16]",
            "movups [rdi], xmm0",
            "movups [rdi + rdx - 16], xmm1",
            "ret",
            "25:",
            "movups xmm0, [rsi]",
            "movups xmm1, [rsi + 16]",
            "movups xmm6, [rsi + rdx - 32]",
            "movups xmm7, [rsi + rdx - 16]",
            "cmp rdx, 64",
            "ja 26f",
            "movups [rdi], xmm0",
            "movups [rdi + 16], xmm1",
            "movups [rdi + rdx - 32], xmm6",
            "movups [rdi + rdx - 16], xmm7",
            "ret",
            "26:",
            "movups xmm4, [rsi + rdx - 64]",
            "movups xmm5, [rsi + rdx - 48]",
            "cmp rdx, 128",
            "ja 27f",
            "movups xmm2, [rsi + 32]",
            "movups xmm3, [rsi + 48]",
            "movups [rdi], xmm0",
            "movups [rdi + 16], xmm1",
            "movups [rdi + 32], xmm2",
            "movups [rdi + 48], xmm3",
            "movups [rdi + rdx - 64], xmm4",
            "movups [rdi + rdx - 48], xmm5",
            "movups [rdi + rdx - 32], xmm6",
            "movups [rdi + rdx - 16], xmm7",
            "ret",
            // Longer: upward in steps of 64; the tail is in registers before anything is written.
            "27:",
            "cmp rdx, 2048",
            "jae 30f",
            "lea r8, [rdi + rdx]",
            "28:",
            "movups xmm0, [rsi]",
            "movups xmm1, [rsi + 16]",
            "movups xmm2, [rsi + 32]",
            "movups xmm3, [rsi + 48]",
            "movups [rdi], xmm0",
            "movups [rdi + 16], xmm1",
            "movups [rdi + 32], xmm2",
            "movups [rdi + 48], xmm3",
            "add rsi, 64",
            "add rdi, 64",
            "sub rdx, 64",
            "cmp rdx, 64",
            "ja 28b",
            "movups [r8 - 64], xmm4",
            "movups [r8 - 48], xmm5",
            "movups [r8 - 32], xmm6",
            "movups [r8 - 16], xmm7",
            "ret",
            "30:",
            "mov rcx, rdx",
            "rep movsb",
            "ret",
        );
    };
}

#[cfg(all(target_arch = "x86_64", target_env = "musl", not(test)))]
define!("memcpy", "memmove");

#[cfg(all(target_arch = "x86_64", test))]
define!("linnet_memcpy", "linnet_memmove");

#[cfg(all(target_arch = "x86_64", test))]
mod tests {
    unsafe extern "C" {
        fn linnet_memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8;
        fn linnet_memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8;
    }

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|index| (index * 31 % 251) as u8).collect()
    }

    #[test]
    fn every_length_is_copied_whole_and_nothing_beyond_it() {
        for len in (0..700).chain([1023, 1024, 2047, 2048, 2049, 5000]) {
            let from = pattern(len + 3);
            let mut to = vec![0xAA; len + 40];
            // SAFETY: both ranges lie inside their vectors and are apart.
            let returned = unsafe { linnet_memcpy(to.as_mut_ptr().add(17), from.as_ptr().add(3), len) };
            assert_eq!(returned, to.as_mut_ptr().wrapping_add(17));
            assert_eq!(&to[17..17 + len], &from[3..3 + len], "{len}");
            assert!(to[..17].iter().chain(&to[17 + len..]).all(|&byte| byte == 0xAA), "{len}");
        }
    }

    #[test]
    fn overlapping_ranges_move_as_if_through_a_third_place() {
        for len in (0..300).chain([640, 1000, 2047, 2048, 3000]) {
            for shift in [1usize, 2, 7, 8, 15, 16, 17, 31, 63, 64, 65, 127, 128, 200] {
                for (to, from) in [(0, shift), (shift, 0)] {
                    let mut moved = pattern(len + shift);
                    let mut expected = moved.clone();
                    expected.copy_within(from..from + len, to);
                    let start = moved.as_mut_ptr();
                    // SAFETY: both ranges lie inside the vector.
                    unsafe { linnet_memmove(start.add(to), start.add(from), len) };
                    assert_eq!(moved, expected, "{len} bytes from {from} to {to}");
                }
            }
        }
    }
}
