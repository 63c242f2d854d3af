//! Sync: locks that a panic elsewhere leaves usable.

use std::sync::{Mutex, MutexGuard};

/// Takes a lock, also one whose holder panicked: what is behind ours is changed in single steps,
/// so it is whole whenever the lock is free.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
