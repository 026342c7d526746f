//! Writing by a time. A socket's own timeout is for each call, and begins anew with each byte that is taken.

use std::{
    io,
    net::TcpStream,
    time::{Duration, Instant},
};

use rustls::ClientConnection;

/// An error when there is none.
pub(super) fn time_left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

pub(super) fn send_pending(
    conn: &mut ClientConnection,
    sock: &mut TcpStream,
    until: Instant,
) -> io::Result<()> {
    while conn.wants_write() {
        sock.set_write_timeout(Some(time_left(until)?))?;
        conn.write_tls(sock)?;
    }
    Ok(())
}

/// Writes all of it by then, however slowly it is taken.
pub(super) fn write_by(
    until: Instant,
    mut rest: &[u8],
    mut write: impl FnMut(&[u8], Duration) -> io::Result<usize>,
) -> io::Result<()> {
    while !rest.is_empty() {
        match write(rest, time_left(until)?) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(taken) => rest = rest.get(taken..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_byte_by_byte_is_not_waited_for_longer_than_that() {
        let mut taken = 0;
        let result = write_by(Instant::now() + Duration::from_millis(50), &[0; 1 << 20], |_, left| {
            assert!(!left.is_zero());
            std::thread::sleep(Duration::from_millis(5));
            taken += 1;
            Ok(1)
        });
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(taken > 0);
    }
}
