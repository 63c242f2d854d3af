//! Named files: those that a configuration names, and that are read again at SIGHUP.

use super::gate::auth::AuthFiles;
use crate::backend::BackendAuthorities;
use crate::net::tls::Authorities;

/// Those that several routes may share.
#[derive(Debug, Default)]
pub struct NamedFiles {
    /// Passwords and tokens.
    pub auth: AuthFiles,
    /// Whose certificates backends have to have.
    pub authorities: BackendAuthorities,
}

impl NamedFiles {
    /// None yet; what is open in `old` is not read again, as long as its name is the same.
    pub fn after(old: Option<&NamedFiles>) -> Self {
        NamedFiles {
            auth: AuthFiles::after(old.map(|old| &old.auth)),
            authorities: BackendAuthorities::after(old.map(|old| &old.authorities)),
        }
    }

    /// Lets go of those that only the configuration before this one has.
    pub fn settle(&mut self) {
        self.auth.settle();
        self.authorities.settle();
    }

    /// Reads them again; false if there are none. One that can't be used changes nothing, and is logged.
    pub fn reload(&self) -> bool {
        let any = self.auth.reload();
        self.authorities.iter().map(Authorities::reload).count() > 0 || any
    }
}
