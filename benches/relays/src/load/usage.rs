//! What a stretch of a run costs everybody, and what is done in it.

use super::order::Outcome;
use crate::procs;
use std::time::Instant;

/// Counters at one moment.
pub struct Snapshot {
    at: Instant,
    up: u64,
    down: u64,
    /// CPU seconds of the relay, the backend, this process, and the machine.
    cpu: [f64; 4],
}

impl Snapshot {
    pub fn take(relay: &[u32], backend: u32, outcome: &Outcome) -> Self {
        let own = [std::process::id()];
        let [relay, backend, own] = [relay, &[backend], &own].map(procs::cpu_seconds);
        let cpu = [relay, backend, own, procs::machine_seconds()];
        Snapshot { at: Instant::now(), up: outcome.up, down: outcome.down, cpu }
    }

    /// Puts what has come since `begin` into `outcome`.
    pub fn since(&self, begin: &Snapshot, outcome: Outcome) -> Outcome {
        let [relay_cpu, backend_cpu, load_cpu, machine] =
            [0, 1, 2, 3].map(|who| self.cpu[who] - begin.cpu[who]);
        Outcome {
            secs: (self.at - begin.at).as_secs_f64(),
            up: self.up - begin.up,
            down: self.down - begin.down,
            relay_cpu,
            backend_cpu,
            load_cpu,
            others_cpu: (machine - relay_cpu - backend_cpu - load_cpu).max(0.0),
            ..outcome
        }
    }
}
