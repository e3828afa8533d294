use std::time::Duration;

/// How the double fails. By default it does not.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Of a hundred requests, so many are answered 503 before they do anything.
    pub unavailable_percent: u64,
    /// So many writes are done, and then answered 503: their callers do not know.
    pub answers_lost: u64,
    /// So many uploads end in the middle of their bytes.
    pub uploads_cut: u64,
    /// So many reads end in the middle of their bytes.
    pub reads_cut: u64,
    /// How long each read waits before it is answered.
    pub reads_late: Duration,
    /// Every uploaded byte that is a multiple of this many has a bit flipped on its way in; 0 for none.
    pub flipped_every: u64,
}

/// What is left of the faults that were asked for, and what has come of them.
#[derive(Default)]
pub struct Failing {
    pub faults: Faults,
    pub failed: u64,
    asked: u64,
}

impl Failing {
    pub fn new(faults: Faults) -> Failing {
        Failing { faults, ..Failing::default() }
    }

    /// Whether this request is refused; spread evenly, and the same in every run.
    pub fn refuses(&mut self) -> bool {
        self.asked += 1;
        let refused = self.asked * 37 % 100 < self.faults.unavailable_percent;
        self.failed += u64::from(refused);
        refused
    }

    pub fn loses_answer(&mut self) -> bool {
        take(&mut self.faults.answers_lost, &mut self.failed)
    }

    pub fn cuts_upload(&mut self) -> bool {
        take(&mut self.faults.uploads_cut, &mut self.failed)
    }

    pub fn cuts_read(&mut self) -> bool {
        take(&mut self.faults.reads_cut, &mut self.failed)
    }

    /// Damages bytes that arrive as those from `at` on.
    pub fn damage(&self, at: u64, bytes: &mut [u8]) {
        let every = self.faults.flipped_every;
        for (place, byte) in (at..).zip(bytes) {
            if every > 0 && place % every == 0 {
                *byte ^= 1;
            }
        }
    }
}

fn take(left: &mut u64, failed: &mut u64) -> bool {
    let there = *left > 0;
    *left -= u64::from(there);
    *failed += u64::from(there);
    there
}
