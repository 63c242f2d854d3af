//! The cache of a configuration's files, by name. Each is opened once, and kept for the next configuration
//! that names it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// The open files of one kind, by name.
#[derive(Debug)]
pub struct OpenFiles<K, T> {
    open: HashMap<K, Arc<T>>,
    /// The files of the previous configuration, until [`settle`](Self::settle).
    old: HashMap<K, Arc<T>>,
}

impl<K, T> Default for OpenFiles<K, T> {
    fn default() -> Self {
        OpenFiles { open: HashMap::new(), old: HashMap::new() }
    }
}

impl<K: Clone + Eq + Hash, T> OpenFiles<K, T> {
    /// No files yet; those that are open in `old` will not be read again.
    pub fn after(old: Option<&Self>) -> Self {
        let old = old.map(|old| old.open.clone()).unwrap_or_default();
        OpenFiles { open: HashMap::new(), old }
    }

    /// The file of this name, opened if neither configuration has it.
    ///
    /// # Errors
    /// Those of `open`.
    pub fn get<E>(&mut self, name: &K, open: impl FnOnce(K) -> Result<T, E>) -> Result<Arc<T>, E> {
        if let Some(file) = self.open.get(name) {
            return Ok(file.clone());
        }
        let file = match self.old.get(name) {
            Some(file) => file.clone(),
            None => Arc::new(open(name.clone())?),
        };
        self.open.insert(name.clone(), file.clone());
        Ok(file)
    }

    /// Drops the files that only the previous configuration has.
    pub fn settle(&mut self) {
        self.old = HashMap::new();
    }

    /// All files of this configuration.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.open.values().map(|file| &**file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_opened_once() {
        let mut opened = 0;
        let mut get = |files: &mut OpenFiles<&'static str, usize>, name| {
            let open = |_| {
                opened += 1;
                Ok::<_, ()>(opened)
            };
            *files.get(&name, open).unwrap()
        };
        let mut first = OpenFiles::default();
        assert_eq!(["a", "b", "a"].map(|name| get(&mut first, name)), [1, 2, 1]);
        first.settle();
        let mut second = OpenFiles::after(Some(&first));
        assert_eq!(["c", "b", "b"].map(|name| get(&mut second, name)), [3, 2, 2]);
        second.settle();
        assert_eq!(second.iter().count(), 2);
        let mut third = OpenFiles::after(Some(&second));
        assert_eq!(get(&mut third, "a"), 4, "the second one let go of it");
        assert_eq!(third.get(&"x", |_| Err("no")), Err("no"));
        assert_eq!(third.iter().count(), 1);
    }
}
