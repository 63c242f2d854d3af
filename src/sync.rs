//! Locks that stay usable after a panic of their holder, and a value that is replaced while others read it.

use std::sync::{Arc, Mutex, MutexGuard};

/// Takes a lock, also one whose holder panicked: the data behind our locks change in single steps, and so are
/// consistent whenever the lock is free.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A value that a reload replaces as a whole. The lock is held for as long as it takes to clone or set a pointer.
#[derive(Debug)]
pub struct Current<T>(Mutex<Arc<T>>);

impl<T> Current<T> {
    /// Holds this value at first.
    pub fn new(value: Arc<T>) -> Self {
        Current(Mutex::new(value))
    }

    /// The current value.
    pub fn get(&self) -> Arc<T> {
        lock(&self.0).clone()
    }

    /// Replaces the value. Clones of the old one stay valid.
    pub fn set(&self, value: Arc<T>) {
        *lock(&self.0) = value;
    }
}
