//! Notices when a client no longer listens for the answer to its request. rmcp does not report a closed stream while
//! its session lives. The definition decides what follows (`on_disconnect`).

use std::any::Any;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;
use rmcp::RoleServer;
use rmcp::model::ProtocolVersion;
use rmcp::service::RequestContext;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The client's end of a request.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    /// Cancelled when the client cancels the request, or when its session ends.
    cancelled: CancellationToken,
    /// Cancelled when the HTTP response is dropped before it is complete; none over a pipe.
    dropped: Option<Dropped>,
    /// The client speaks the old era, in which it can resume a broken stream.
    may_return: bool,
}

/// Token that is cancelled when an HTTP response is dropped before it is complete.
#[derive(Clone, Debug)]
pub(super) struct Dropped(CancellationToken);

impl Listener {
    /// Returns the listener of a request.
    pub(super) fn from_context(context: &RequestContext<RoleServer>) -> Self {
        let extensions = rmcp_actix_web::transport::on_request_extensions(&context.extensions);
        let dropped = extensions.and_then(|extensions| extensions.get::<Dropped>());
        let is_modern = context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
        Self { cancelled: context.ct.clone(), dropped: dropped.cloned(), may_return: !is_modern }
    }

    /// Waits until the client can no longer get the answer, not even by resuming its stream.
    pub(super) async fn gone_for_good(&self) {
        match self.may_return {
            true => self.cancelled.cancelled().await,
            false => self.gone().await,
        }
    }

    /// Waits until the client no longer listens.
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

/// Drop guard of a request. Dropped before the response is complete, it cancels its [`Dropped`].
#[derive(Debug)]
pub(super) struct Watch(DropGuard);

/// Starts to watch a request. Call it before the request is handled.
pub(super) fn watch() -> (Dropped, Watch) {
    let token = CancellationToken::new();
    (Dropped(token.clone()), Watch(token.drop_guard()))
}

impl Watch {
    /// Watches the response until it is complete. A response that is not a stream is complete at once. `held` is kept
    /// until the body is dropped.
    pub(super) fn over(self, body: impl MessageBody + 'static, held: impl Any) -> Watched {
        let is_stream = matches!(body.size(), BodySize::Stream);
        let mut watched = Watched { body: body.boxed(), watch: Some(self.0), _held: Box::new(held) };
        if !is_stream {
            watched.whole();
        }
        watched
    }
}

/// A response with a drop guard.
pub(super) struct Watched {
    body: BoxBody,
    watch: Option<DropGuard>,
    /// What the request holds until it is answered.
    _held: Box<dyn Any>,
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
