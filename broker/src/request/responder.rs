//! The one way in which a request is answered. Large answers are made where nobody waits, and paid for before.

use std::slice;
use std::sync::Arc;

use bytes::Bytes;
use callboard_protocol::header::RequestHeader;
use callboard_protocol::{ApiKey, Message, frame};
use callboard_supervision::seldom;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedSender;

use super::shared_elements::{ArrayAtEnd, SHARED_BYTES, Unwritable};
use super::{Context, RequestNumber};
use crate::budget::{Room, SMALL};

/// How a request ended.
#[derive(Debug)]
pub(crate) enum Answer {
    /// These bytes, in this order.
    Send {
        chunks: Vec<Bytes>,
        /// What was paid for them; None: it is not paid yet.
        room: Option<Room>,
    },
    /// Nothing is sent (Produce with acks 0).
    Nothing,
    /// The connection closes after the answers before this one. The reason is a value of the metric's `kind`.
    Close(&'static str),
}

/// Answers one request, once. Dropped unanswered it closes the connection: every request has an end.
#[derive(Debug)]
pub(crate) struct Responder {
    number: RequestNumber,
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    /// None once answered.
    sink: Option<UnboundedSender<(RequestNumber, Answer)>>,
    /// For an answer that may be large.
    maker: Option<Maker>,
    /// What is paid for the bytes of the request: somebody may work on them although the connection closes.
    held: Option<Room>,
}

/// The right to make a large answer, which not many have at a time.
#[derive(Debug)]
pub(crate) struct Maker {
    context: Arc<Context>,
    _permit: OwnedSemaphorePermit,
    /// On a thread where nobody waits.
    elsewhere: bool,
}

impl Maker {
    pub(crate) fn new(context: &Arc<Context>, permit: OwnedSemaphorePermit) -> Self {
        Self {
            context: Arc::clone(context),
            _permit: permit,
            elsewhere: false,
        }
    }

    /// Whether there is ever room for so many bytes.
    fn may_make(&self, bytes: usize) -> bool {
        let most = self.context.answers.most();
        if bytes > most {
            seldom!(warn, client = %self.context.client_host, bytes, most, "an answer is larger than callboard.queued.max.response.bytes");
        }
        bytes <= most
    }

    /// Waits, on a thread where that is allowed, for room for an answer that is about to be made. None: there is never
    /// so much.
    fn room(&self, bytes: usize) -> Option<Room> {
        let answers = &self.context.answers;
        if !self.may_make(bytes) {
            return None;
        }
        let small = bytes <= SMALL;
        let room = match answers.try_take(bytes, small) {
            Some(room) => room,
            None => tokio::runtime::Handle::current().block_on(answers.take(bytes, small)),
        };
        Some(room.busy())
    }
}

impl Responder {
    pub(crate) fn new(
        number: RequestNumber,
        header: &RequestHeader<'_>,
        sink: UnboundedSender<(RequestNumber, Answer)>,
        maker: Option<Maker>,
        held: Room,
    ) -> Self {
        Self {
            maker,
            held: Some(held),
            number,
            api: header.api_key,
            version: header.api_version,
            correlation_id: header.correlation_id,
            sink: Some(sink),
        }
    }

    /// What works on the request takes so many bytes beside the request's.
    pub(crate) fn charging(mut self, bytes: usize) -> Self {
        if let Some(held) = &mut self.held {
            held.settle(held.bytes() + bytes);
        }
        self
    }

    /// What is paid for the bytes of the request, for whoever takes them on: the answer does not wait with it.
    pub(crate) fn hand_over(&mut self) -> Option<Room> {
        self.held.take()
    }

    /// The request waits for its peer's time, and so many of its bytes are kept meanwhile: they are the peer's to give
    /// back, by hanging up, and count against it when others find no room.
    pub(crate) fn keeping(mut self, bytes: usize) -> Self {
        self.held = self.held.take().map(|mut held| {
            held.settle(bytes.min(held.bytes()));
            held.ready()
        });
        self
    }

    /// Sends a message in the version of the request.
    pub(crate) fn send<'r>(self, message: &impl Message<'r>) {
        let version = self.version;
        self.send_as(message, version);
    }

    /// Sends a message in another version than the request's (the ApiVersions fallback).
    pub(crate) fn send_as<'r>(mut self, message: &impl Message<'r>, version: i16) {
        let answer = match self.paid(|_most| message.encoded_size(version)) {
            Ok(room) => self.encode(message, version, room),
            Err(unpaid) => unpaid,
        };
        self.finish(answer);
    }

    /// Sends a message for which `room` was taken.
    pub(crate) fn send_in<'r>(mut self, message: &impl Message<'r>, mut room: Room) {
        room.settle(message.encoded_size(self.version));
        let answer = self.encode(message, self.version, Some(room));
        self.finish(answer);
    }

    /// Takes room for an answer that is made elsewhere, and none for another. `bytes` says how many it has, or more than
    /// its parameter, which is the most there may be. Err: the answer when there is never so much.
    fn paid(&self, bytes: impl FnOnce(usize) -> usize) -> Result<Option<Room>, Answer> {
        let Some(maker) = self.maker.as_ref().filter(|maker| maker.elsewhere) else {
            return Ok(None);
        };
        let room = maker.room(bytes(maker.context.answers.most()));
        room.map(Some).ok_or(Answer::Close("answer_too_large"))
    }

    fn encode<'r>(&self, message: &impl Message<'r>, version: i16, room: Option<Room>) -> Answer {
        match frame::encode_response(self.correlation_id, message, version) {
            Ok(chunks) => Answer::Send { chunks, room },
            Err(reason) => self.unwritable(&reason),
        }
    }

    fn unwritable(&self, reason: &dyn std::fmt::Display) -> Answer {
        seldom!(error, api = self.api.name(), version = self.version, %reason, "an answer cannot be encoded");
        Answer::Close("internal")
    }

    /// Answers in `job`: where nobody waits if the answer may be large, else here.
    pub(crate) fn elsewhere(mut self, job: impl FnOnce(Self) + Send + 'static) {
        if self.maker.is_none() {
            return job(self);
        }
        self.makes_elsewhere();
        // A panic drops the responder, which closes the connection.
        drop(tokio::task::spawn_blocking(move || job(self)));
    }

    /// It answers on a thread that may wait.
    pub(super) fn makes_elsewhere(&mut self) {
        if let Some(maker) = &mut self.maker {
            maker.elsewhere = true;
        }
    }

    /// Whether the connection is still there.
    pub(crate) fn is_wanted(&self) -> bool {
        self.sink.as_ref().is_some_and(|sink| !sink.is_closed())
    }

    /// Whether an answer of so many bytes may be made at all.
    pub(crate) fn may_make(&self, bytes: usize) -> bool {
        let maker = self.maker.as_ref();
        maker.is_none_or(|maker| maker.may_make(bytes))
    }

    /// Sends an answer whose last array has an element for each of `places`, of which many may be the same: each is
    /// written once and its bytes are shared. `of` makes the answer with one of the elements, or with none.
    pub(crate) fn send_shared<'r, T, M: Message<'r>>(
        mut self,
        elements: &'r [T],
        places: &[usize],
        of: impl Fn(&'r [T]) -> M,
    ) {
        let answer = match self.share(elements, places, of) {
            Ok(answer) => answer,
            Err(reason) => self.unwritable(&reason),
        };
        self.finish(answer);
    }

    fn share<'r, T, M: Message<'r>>(
        &self,
        elements: &'r [T],
        places: &[usize],
        of: impl Fn(&'r [T]) -> M,
    ) -> Result<Answer, Unwritable> {
        let layout = ArrayAtEnd::new(&of(&[]), self.correlation_id, self.version)?;
        let paid = self.paid(|most| {
            let mut times = vec![0; elements.len()];
            for place in places {
                if let Some(times) = times.get_mut(*place) {
                    *times += 1;
                }
            }
            let mut charged = places.len() * size_of::<Bytes>();
            for (element, times) in elements.iter().zip(times) {
                let bytes = of(slice::from_ref(element)).encoded_size(self.version);
                charged += if bytes < SHARED_BYTES {
                    bytes * times
                } else {
                    bytes
                };
                // How much more it is, does not matter.
                if charged > most {
                    break;
                }
            }
            charged
        });
        let room = match paid {
            Ok(room) => room,
            Err(unpaid) => return Ok(unpaid),
        };
        let mut written = Vec::with_capacity(elements.len());
        for element in elements {
            let one = of(slice::from_ref(element));
            written.push(layout.element(&one, self.correlation_id, self.version)?);
        }
        let chunks = layout.whole(&written, places)?;
        Ok(Answer::Send { chunks, room })
    }

    /// Ends the request without an answer.
    pub(crate) fn nothing(mut self) {
        self.finish(Answer::Nothing);
    }

    /// Closes the connection when it is this request's turn.
    pub(crate) fn close(mut self, kind: &'static str) {
        self.finish(Answer::Close(kind));
    }

    fn finish(&mut self, answer: Answer) {
        // Before anybody sees the answer.
        (self.held, self.maker) = (None, None);
        if let Some(sink) = self.sink.take() {
            // The connection may be gone; then nobody waits for the answer.
            let _ = sink.send((self.number, answer));
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.finish(Answer::Close("internal"));
    }
}
