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
    patience: Duration,
    deadline: Pin<Box<Sleep>>,
    /// Whether something waits to be taken.
    waits: bool,
}

impl<S> Patient<S> {
    /// Around a stream whose other end may take nothing for so long.
    pub fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, deadline: Box::pin(sleep(patience)), waits: false }
    }

    /// What became of an attempt to send, once the time is considered.
    fn judged<T>(&mut self, sent: Poll<Result<T>>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        if sent.is_ready() {
            self.waits = false;
            return sent;
        }
        if !self.waits {
            self.waits = true;
            let deadline = Instant::now() + self.patience;
            self.deadline.as_mut().reset(deadline);
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    /// Room between the two ends, in bytes.
    const ROOM: usize = 16;
    const SHORT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn who_takes_nothing_is_not_waited_for() {
        let (near, mut far) = duplex(ROOM);
        let mut near = Patient::new(near, SHORT);
        // What there is room for waits for nobody, however long ago the stream was made.
        tokio::time::sleep(2 * SHORT).await;
        near.write_all(&[1; ROOM]).await.expect("there is room");
        let begun = Instant::now();
        let error = near.write_all(&[2; ROOM]).await.expect_err("nobody takes it");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "the other end takes nothing");
        assert!(begun.elapsed() >= SHORT, "{:?}", begun.elapsed());
        let mut taken = [0; ROOM];
        far.read_exact(&mut taken).await.expect("what was sent before");
        assert_eq!(taken, [1; ROOM]);
    }

    #[tokio::test]
    async fn who_takes_a_little_now_and_then_is_waited_for() {
        const PATIENCE: Duration = Duration::from_secs(2);
        let (near, mut far) = duplex(ROOM);
        let mut near = Patient::new(near, PATIENCE);
        let slow = tokio::spawn(async move {
            let mut taken = 0;
            while taken < 13 * ROOM {
                tokio::time::sleep(PATIENCE / 10).await;
                let mut some = [0; ROOM];
                taken += far.read(&mut some).await.expect("some more");
            }
            far
        });
        let begun = Instant::now();
        near.write_all(&[3; 14 * ROOM]).await.expect("it goes on all the time");
        assert!(begun.elapsed() > PATIENCE, "{:?}: no longer than one wait", begun.elapsed());
        drop(slow.await.expect("it was taken"));
    }
}
