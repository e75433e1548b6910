//! A stream whose other end has to take what is sent to it within a time.

use std::future::Future as _;
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long the other end may take nothing.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A stream that ends where its other end takes nothing for so long.
pub struct Patient<S> {
    stream: S,
    deadline: Pin<Box<Sleep>>,
    /// Whether something waits to be taken.
    waits: bool,
}

impl<S> Patient<S> {
    /// Around a stream.
    pub fn new(stream: S) -> Self {
        Self { stream, deadline: Box::pin(sleep(PATIENCE)), waits: false }
    }

    /// What became of an attempt to send, once the time is considered.
    fn judged<T>(&mut self, sent: Poll<Result<T>>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        if sent.is_ready() {
            self.waits = false;
            return sent;
        }
        if !self.waits {
            self.waits = true;
            self.deadline.as_mut().reset(Instant::now() + PATIENCE);
        }
        ready!(self.deadline.as_mut().poll(cx));
        let message = "the other end takes nothing";
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, message)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judged(sent, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let sent = Pin::new(&mut self.stream).poll_flush(cx);
        self.judged(sent, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let sent = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.judged(sent, cx)
    }
}
