//! Certificates: has them renewed, and their files looked at, as long as the server runs.

use std::pin::pin;
use std::sync::Arc;

use futures::future::{join, select};

use super::shared::Shared;
use crate::clock::Deadline;
use crate::net::tls::{self, Acceptor};
use crate::threads::CERTIFICATES;

/// Has certificates renewed and read again for ever; returns at once without TLS.
pub async fn watch(shared: Arc<Shared>) {
    loop {
        let Some(acceptor) = shared.state.get().acceptor.clone() else { return };
        let watching = pin!(join(acceptor.renew(), look_at(&acceptor)));
        select(watching, pin!(replaced(&acceptor, &shared))).await;
    }
}

/// Looks at the files again and again. A look may take as long as the disk.
async fn look_at(acceptor: &Arc<Acceptor>) {
    loop {
        Deadline::after(tls::LOOK).await;
        if acceptor.has_files() {
            let acceptor = acceptor.clone();
            CERTIFICATES.run(move || acceptor.look()).await;
        }
    }
}

/// Waits until a reload has replaced this acceptor.
async fn replaced(acceptor: &Arc<Acceptor>, shared: &Shared) {
    while shared.state.get().acceptor.as_ref().is_some_and(|now| Arc::ptr_eq(now, acceptor)) {
        Deadline::after(tls::LOOK).await;
    }
}
