//! Pool: the backends of a route. They outlive a reload, and so does what is known of each.
//!
//! ```text
//!  a route's pool ─┬─▶ backend ─▶ connector
//!  another's ──────┘      ▲ by target
//!  backends of the configuration before this one
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::connector::{BackendConnector, BackendFiles};
use super::program::ProgramPermits;
use super::{BackendIo, ClientFacts, OpenError, ProxyProtocol, Target};
use crate::error::StartError;

/// The backends of a route. There is one.
#[derive(Debug)]
pub struct Pool {
    backend: Arc<Backend>,
    /// The header that each connection begins with.
    proxy_protocol: Option<ProxyProtocol>,
}

/// A target, and what is known of it. All routes with this target share it.
#[derive(Debug)]
struct Backend {
    /// The target, as the operator named it.
    name: Arc<str>,
    connector: BackendConnector,
}

/// The backends of a configuration, by target, with the files that they use.
///
/// A target that is in the next configuration too has the same backend there, unless what opens its
/// connections has changed: another file of authorities, or a program that is found elsewhere.
#[derive(Debug, Default)]
pub struct Backends {
    /// Each lives as long as a route has it, of this configuration or of an older one that requests still use.
    by_target: HashMap<Target, Weak<Backend>>,
    files: BackendFiles,
}

impl Pool {
    /// The pool of a route to this target. Connections begin with the header of `proxy_protocol`.
    ///
    /// # Errors
    /// [`StartError::Environment`], if it can't be used.
    pub fn new(
        target: &Target,
        proxy_protocol: Option<ProxyProtocol>,
        backends: &mut Backends,
    ) -> Result<Self, StartError> {
        Ok(Pool { backend: backends.get(target)?, proxy_protocol })
    }

    /// Whether both have the same backend.
    #[cfg(test)]
    pub fn is(&self, other: &Pool) -> bool {
        Arc::ptr_eq(&self.backend, &other.backend)
    }

    /// Chooses a backend and connects to it for this client within `limit`, or starts its program. A program's
    /// `permits` are given back when it is gone. Returns the connection and the name of its other end.
    ///
    /// # Errors
    /// [`OpenError`], whose text is fit for the client: it names the backend as the operator did.
    pub async fn connect(
        &self,
        client: &ClientFacts<'_>,
        limit: Duration,
        permits: ProgramPermits,
    ) -> Result<(BackendIo, Arc<str>), OpenError> {
        let Pool { backend, proxy_protocol } = self;
        let preface = proxy_protocol.map_or_else(Vec::new, |version| version.header(client));
        let (mut io, chosen) = backend.connector.open(client, limit, permits, &preface).await?;
        let chosen = chosen.or_else(|| io.program().map(Arc::from));
        let name = chosen.unwrap_or_else(|| backend.name.clone());
        Ok((io, name))
    }
}

impl Backends {
    /// None yet; those of `old` are used again where they are the same. If this configuration fails, `old`
    /// has not changed.
    pub fn after(old: Option<&Backends>) -> Self {
        let Some(old) = old else { return Backends::default() };
        let by_target = old.by_target.iter().filter(|(_, backend)| backend.strong_count() > 0);
        Backends {
            by_target: by_target
                .map(|(target, backend)| (target.clone(), backend.clone()))
                .collect(),
            files: BackendFiles::after(&old.files),
        }
    }

    /// The backend of a target: the one that is known, or a new one.
    fn get(&mut self, target: &Target) -> Result<Arc<Backend>, StartError> {
        let connector = BackendConnector::new(target, &mut self.files)?;
        let known = self.by_target.get(target).and_then(Weak::upgrade);
        if let Some(known) = known.filter(|known| known.connector == connector) {
            return Ok(known);
        }
        let backend = Arc::new(Backend { name: target.to_string().into(), connector });
        self.by_target.insert(target.clone(), Arc::downgrade(&backend));
        Ok(backend)
    }

    /// Drops the files that only the configuration before this one has.
    pub fn settle(&mut self) {
        self.files.settle();
    }

    /// Reads the files of backends again; false if there are none. One that can't be used changes nothing,
    /// and is logged.
    pub fn reload(&self) -> bool {
        self.files.reload()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::program::{Program, ProgramDir};
    use rcgen::{CertificateParams, KeyPair};
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use tempfile::TempDir;

    /// The next configuration, with the pools of routes to these targets.
    fn configure(old: Option<&Backends>, targets: &[Target]) -> (Backends, Vec<Pool>) {
        let mut backends = Backends::after(old);
        let pools = targets.iter().map(|target| Pool::new(target, None, &mut backends).unwrap());
        let pools = pools.collect();
        backends.settle();
        (backends, pools)
    }

    fn authority(path: &Path) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        fs::write(path, params.self_signed(&key).unwrap().pem()).unwrap();
    }

    #[test]
    fn a_reload_keeps_the_backend_of_an_unchanged_target() {
        let tmp = TempDir::new().unwrap();
        let [ca, other_ca] = ["ca.pem", "other.pem"].map(|name| tmp.path().join(name));
        authority(&ca);
        authority(&other_ca);
        let to = |text: &str| Target::parse(text).unwrap();
        let tls = |text: &str, ca: &Path| to(text).with_ca(ca.to_str());
        let program = |args: &[&str], pass_env: &str| {
            Target::Program(Program {
                command: "sh".into(),
                args: args.iter().map(|&arg| arg.into()).collect(),
                pass_env: vec![pass_env.into()],
                kill_grace: Duration::from_secs(1),
            })
        };
        let programs = |dir: &Path, kill_grace| {
            let (dir, pass_env) = (dir.to_owned(), Vec::new());
            Target::Programs(ProgramDir {
                dir,
                pass_env,
                kill_grace: Duration::from_secs(kill_grace),
            })
        };
        let (tmp, root) = (tmp.path(), Path::new("/"));
        for (target, others) in [
            (
                to("a.example:7777"),
                vec![to("a.example:7778"), to("b.example:7777"), tls("tls://a.example:7777", &ca)],
            ),
            (to("[::1]:7777"), vec![to("127.0.0.1:7777")]),
            (to("unix:/run/a"), vec![to("unix:/run/b")]),
            (
                tls("tls://a.example:7777", &ca),
                vec![
                    tls("tls://a.example:7777", &other_ca),
                    tls("tls://b.example:7777", &ca),
                    to("a.example:7777"),
                ],
            ),
            (program(&["x"], "PATH"), vec![program(&["y"], "PATH"), program(&["x"], "HOME")]),
            (programs(tmp, 1), vec![programs(root, 1), programs(tmp, 2)]),
        ] {
            let (first, pools) = configure(None, &[target.clone(), target.clone()]);
            assert!(pools[0].is(&pools[1]), "two routes to {target}");
            let (second, kept) = configure(Some(&first), &[others[0].clone(), target.clone()]);
            assert!(pools[0].is(&kept[1]), "{target} is unchanged");
            for other in others {
                let (_, changed) = configure(Some(&second), std::slice::from_ref(&other));
                assert!(!kept[1].is(&changed[0]), "{target:?} became {other:?}");
            }
        }
    }

    #[test]
    fn dropped_authorities_are_not_trusted_again() {
        let tmp = TempDir::new().unwrap();
        let ca = tmp.path().join("ca.pem");
        authority(&ca);
        let target = Target::parse("tls://a.example:1").unwrap().with_ca(ca.to_str());
        let targets = [target];
        let (first, pools) = configure(None, &targets);
        let (without, _none) = configure(Some(&first), &[]);
        assert!(first.reload() && !without.reload());
        let (_again, again) = configure(Some(&without), &targets);
        assert!(!pools[0].is(&again[0]), "the old one would not see the file read again");
    }

    #[test]
    fn programs_are_looked_for_again() {
        let tmp = TempDir::new().unwrap();
        let path = tmp.path().join("chat");
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let target = Target::Program(Program {
            command: path.to_str().unwrap().into(),
            args: Vec::new(),
            pass_env: Vec::new(),
            kill_grace: Duration::from_secs(1),
        });
        let (first, _pools) = configure(None, std::slice::from_ref(&target));
        fs::remove_file(&path).unwrap();
        let why =
            Pool::new(&target, None, &mut Backends::after(Some(&first))).unwrap_err().to_string();
        assert!(why.contains("can't start"), "{why}");
    }

    #[test]
    fn a_backend_that_no_route_has_is_forgotten() {
        let target = [Target::parse("a.example:1").unwrap()];
        let (first, pools) = configure(None, &target);
        let (second, _none) = configure(Some(&first), &[]);
        assert_eq!(second.by_target.len(), 1, "requests of the old configuration use it");
        drop(pools);
        assert!(Backends::after(Some(&second)).by_target.is_empty());
    }

    #[test]
    fn a_configuration_that_fails_changes_nothing() {
        let [a, b] = ["a.example:1", "b.example:1"].map(|to| Target::parse(to).unwrap());
        let (first, pools) = configure(None, std::slice::from_ref(&a));
        let mut failed = Backends::after(Some(&first));
        drop(Pool::new(&b, None, &mut failed));
        drop(failed);
        let (_second, kept) = configure(Some(&first), &[a]);
        assert!(pools[0].is(&kept[0]));
        assert_eq!(first.by_target.len(), 1);
    }
}
