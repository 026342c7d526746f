//! Cases and how they ended; several run at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many cases passed and failed.
#[derive(Debug, Default)]
pub struct Score {
    /// Those that did.
    pub passed: usize,
    /// Those that did not.
    pub failed: usize,
}

impl Score {
    /// Takes one result in, and says why it failed.
    pub fn one(&mut self, name: &str, result: anyhow::Result<()>) {
        match result {
            Ok(()) => {
                println!("ok {name}");
                self.passed += 1;
            }
            Err(error) => {
                println!("FAILED {name}: {error:#}");
                self.failed += 1;
            }
        }
    }

    /// Runs many cases of one kind, and says how many there were; only failures are named.
    pub fn many<C: Sync>(
        &mut self,
        what: &str,
        jobs: usize,
        cases: &[C],
        run: impl Fn(&C) -> anyhow::Result<()> + Sync,
    ) {
        let next = AtomicUsize::new(0);
        let failures = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..jobs.max(1) {
                scope.spawn(|| {
                    while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                        if let Err(error) = run(case)
                            && let Ok(mut failures) = failures.lock()
                        {
                            failures.push(format!("{error:#}"));
                        }
                    }
                });
            }
        });
        let failures = failures.into_inner().unwrap_or_default();
        for failure in &failures {
            println!("FAILED {what}: {failure}");
        }
        self.failed += failures.len();
        self.passed += cases.len() - failures.len();
        println!("ok {what}: {} of {} cases", cases.len() - failures.len(), cases.len());
    }
}
