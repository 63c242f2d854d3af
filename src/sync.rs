//! Sync: locks that a panic elsewhere leaves usable, and a value that is replaced while others read it.

use std::sync::{Arc, Mutex, MutexGuard};

/// Takes a lock, also one whose holder panicked: what is behind ours is changed in single steps,
/// so it is whole whenever the lock is free.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A value that a reload replaces as a whole. The lock is held for as long as it takes to clone or set a pointer.
#[derive(Debug)]
pub struct Current<T>(Mutex<Arc<T>>);

impl<T> Current<T> {
    /// This value, at first.
    pub fn new(value: Arc<T>) -> Self {
        Current(Mutex::new(value))
    }

    /// The value of this moment.
    pub fn get(&self) -> Arc<T> {
        lock(&self.0).clone()
    }

    /// Puts another value in its place. Whoever has the old one keeps it.
    pub fn set(&self, value: Arc<T>) {
        *lock(&self.0) = value;
    }
}
