//! A middleware that can drop a connection in the middle of an answer, as a proxy or a network does. Owns the
//! switch and the body that obeys it; when to cut is the server's business.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

/// The switch of one HTTP request: whoever serves it can drop its connection.
#[derive(Clone, Debug)]
pub(super) struct Cut(Arc<Semaphore>);

impl Cut {
    /// Drops the connection at once.
    pub(super) fn now(&self) {
        self.0.close();
    }

    /// Waits for the cut.
    async fn made(self) {
        // There are no permits, so this ends only when the semaphore is closed.
        let _ = self.0.acquire().await;
    }
}

/// Gives each request its switch, and lets the body of its answer end with an error when it is thrown.
pub(super) async fn cuttable(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let cut = Cut(Arc::new(Semaphore::new(0)));
    request.extensions_mut().insert(cut.clone());
    // An answer that has not even begun is cut too.
    tokio::select! {
        biased;
        response = next.call(request) => {
            let made = cut.made().boxed();
            Ok(response?.map_body(|_, body| BoxBody::new(CuttableBody { inner: body.boxed(), made })))
        }
        () = cut.clone().made() => Err(actix_web::error::ErrorBadGateway("the connection was cut")),
    }
}

struct CuttableBody {
    inner: BoxBody,
    made: BoxFuture<'static, ()>,
}

impl MessageBody for CuttableBody {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.inner.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        if this.made.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err("the connection was cut".into())));
        }
        Pin::new(&mut this.inner).poll_next(context)
    }
}
