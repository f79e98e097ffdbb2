//! Reading on after an early answer. Whoever closes a connection while a body still comes resets it, and the answer is
//! lost to all who send before they read, as browsers do. So what is left of a body is read for a while and thrown away.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Error;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, header};
use futures::StreamExt as _;
use futures::channel::oneshot::{Receiver, Sender, channel};
use hyper::body::{Frame, SizeHint};
use tokio::time::timeout;

/// How long the rest of a body is read.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the rest may pause.
const PAUSE: Duration = Duration::from_secs(5);

/// The rest of a body, which comes back once whoever reads it lets go of it.
pub(super) struct Rest(Option<Receiver<Body>>);

/// Lends a request's body to whoever answers it. Who waits to be asked for a body (`Expect`) will not send it after an
/// answer, so that there is nothing to read then.
pub(super) fn lend(body: Body, headers: &HeaderMap) -> (Body, Rest) {
    if headers.contains_key(header::EXPECT) || body.is_end_stream() {
        return (body, Rest(None));
    }
    let (back, rest) = channel();
    (Body::new(Lent { body, back: Some(back) }), Rest(Some(rest)))
}

impl Rest {
    /// Reads what was left and throws it away, within bounds of time.
    pub async fn drain(self) {
        let Some(Ok(Some(body))) = self.0.map(|mut rest| rest.try_recv()) else { return };
        let mut body = body.into_data_stream();
        let reading = async { while let Ok(Some(Ok(_))) = timeout(PAUSE, body.next()).await {} };
        // What has not come by then is cut off.
        let _ = timeout(PATIENCE, reading).await;
    }
}

/// A body that goes back when it is let go of before its end.
struct Lent {
    body: Body,
    back: Option<Sender<Body>>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.back = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(back) = self.back.take() {
            // Nobody waits for it any more when the connection has ended.
            let _ = back.send(mem::take(&mut self.body));
        }
    }
}
