//! Jumps of the wall clock: records carry its time, so a jump is said once when it happens.

use std::time::Duration;

use tokio::time::Instant;

use crate::names::Clock;

/// How often the two clocks are laid side by side.
const EVERY: Duration = Duration::from_secs(1);

/// A difference up to this is a clock being disciplined, or a machine that was busy.
const TOLERANCE_MICROS: i64 = 5_000_000;

/// Watches until it is dropped. A machine that slept shows as one jump forward.
pub(crate) async fn watch(clock: Clock) {
    let started = Instant::now();
    let begun = clock.now().micros();
    let mut jumps = Jumps::default();
    loop {
        tokio::time::sleep(EVERY).await;
        let elapsed = i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX);
        let now = clock.now();
        let ahead = now.micros().saturating_sub(begun).saturating_sub(elapsed);
        if let Some(jump) = jumps.seen(ahead) {
            let seconds = jump / 1_000_000;
            tracing::warn!(%now, seconds, "the wall clock jumped; records carry its time");
        }
    }
}

/// How far the wall clock was ahead of the steady one when a jump was last said.
#[derive(Debug, Default)]
struct Jumps {
    known: i64,
}

impl Jumps {
    /// The jump since the last one, in microseconds, if there was one.
    fn seen(&mut self, ahead: i64) -> Option<i64> {
        let jump = ahead.saturating_sub(self.known);
        let jumped = jump.abs() > TOLERANCE_MICROS;
        if jumped {
            self.known = ahead;
        }
        jumped.then_some(jump)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_jump_is_said_once_and_a_small_difference_never() {
        let mut jumps = Jumps::default();
        assert_eq!(jumps.seen(4_000_000), None);
        assert_eq!(jumps.seen(60_000_000), Some(60_000_000));
        assert_eq!(jumps.seen(60_000_000), None);
        assert_eq!(jumps.seen(57_000_000), None);
        assert_eq!(jumps.seen(-3_600_000_000), Some(-3_660_000_000));
        assert_eq!(jumps.seen(-3_600_000_000), None);
    }
}
