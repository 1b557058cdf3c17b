//! Whether anybody still listens to the answer of a request. Owns noticing that a stream was closed, which
//! rmcp does not tell of while a session lives; what follows from it is the definition's to say.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;
use rmcp::RoleServer;
use rmcp::model::ProtocolVersion;
use rmcp::service::RequestContext;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The far end of a request.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    /// The client cancelled the request, or its session is gone.
    cancelled: CancellationToken,
    /// The HTTP response was dropped before it was whole; never over a pipe.
    dropped: Option<Dropped>,
    /// A client of the old era takes up a stream that broke where it broke.
    may_return: bool,
}

/// Is cancelled when an HTTP response is dropped before it was whole.
#[derive(Clone, Debug)]
pub(super) struct Dropped(CancellationToken);

impl Listener {
    /// Whoever listens to the answer of a request.
    pub(super) fn of(context: &RequestContext<RoleServer>) -> Self {
        let extensions = rmcp_actix_web::transport::on_request_extensions(&context.extensions);
        let dropped = extensions.and_then(|extensions| extensions.get::<Dropped>());
        let is_modern = context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
        Self { cancelled: context.ct.clone(), dropped: dropped.cloned(), may_return: !is_modern }
    }

    /// Waits until nobody can hear the answer any more, not even by coming back.
    pub(super) async fn gone_for_good(&self) {
        match self.may_return {
            true => self.cancelled.cancelled().await,
            false => self.gone().await,
        }
    }

    /// Waits until nobody listens any more.
    pub(super) async fn gone(&self) {
        match &self.dropped {
            Some(Dropped(dropped)) => tokio::select! {
                () = self.cancelled.cancelled() => {}
                () = dropped.cancelled() => {}
            },
            None => self.cancelled.cancelled().await,
        }
    }
}

/// Watches a request from before it is handled: dropped, it is gone.
#[derive(Debug)]
pub(super) struct Watch(DropGuard);

/// Begins to watch a request.
pub(super) fn watch() -> (Dropped, Watch) {
    let token = CancellationToken::new();
    (Dropped(token.clone()), Watch(token.drop_guard()))
}

impl Watch {
    /// Goes on watching until the response is whole.
    pub(super) fn over(self, body: impl MessageBody + 'static) -> Watched {
        let is_stream = matches!(body.size(), BodySize::Stream);
        let mut watched = Watched { body: body.boxed(), watch: Some(self.0) };
        if !is_stream {
            watched.whole();
        }
        watched
    }
}

/// A response that is watched.
pub(super) struct Watched {
    body: BoxBody,
    watch: Option<DropGuard>,
}

impl Watched {
    fn whole(&mut self) {
        if let Some(guard) = self.watch.take() {
            guard.disarm();
        }
    }
}

impl MessageBody for Watched {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let watched = self.get_mut();
        let polled = Pin::new(&mut watched.body).poll_next(context);
        if matches!(polled, Poll::Ready(None)) {
            watched.whole();
        }
        polled
    }
}
