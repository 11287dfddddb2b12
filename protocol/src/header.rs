//! What stands in front of a body: of a request its API, version, correlation id and client id, of an answer the
//! correlation id. Flexible versions have tagged fields behind; nobody has defined one yet, and they are skipped.

use std::borrow::Cow;

use crate::ApiKey;
use crate::wire::{DecodeError, EncodeError, Layout, Reader, Unwritable, Writer};

/// Headers never have compact strings.
const CLASSIC: Layout = Layout {
    version: 0,
    flexible: false,
};

/// The header of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader<'a> {
    /// What is asked for.
    pub api_key: ApiKey,
    /// The version of it.
    pub api_version: i16,
    /// Comes back with the answer.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<Cow<'a, str>>,
}

/// API and version: the first four bytes of every request there is or will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestKind {
    /// What is asked for.
    pub api_key: ApiKey,
    /// The version of it.
    pub api_version: i16,
}

/// Reads API and version alone: how the rest lies depends on them.
///
/// # Errors
/// [`DecodeError`] when there are fewer than 4 bytes.
pub fn peek(frame: &[u8]) -> Result<RequestKind, DecodeError> {
    kind(&mut Reader::new(frame, CLASSIC))
}

/// Reads the header of a request whose version is known, and what is left: the body.
///
/// # Errors
/// [`DecodeError`] when it is none.
pub fn read_request(frame: &[u8]) -> Result<(RequestHeader<'_>, &[u8]), DecodeError> {
    let mut reader = Reader::new(frame, CLASSIC);
    let header = start(&mut reader)?;
    if header.api_key.tagged_request_header(header.api_version) {
        reader.skip_tags()?;
    }
    Ok((header, reader.rest()))
}

/// Reads of a request header what is the same in every version: for an ApiVersions request of a version nobody knows
/// here, which is answered all the same (KIP-511). What is left cannot be read.
///
/// # Errors
/// [`DecodeError`] when it is none.
pub fn read_request_start(frame: &[u8]) -> Result<(RequestHeader<'_>, &[u8]), DecodeError> {
    let mut reader = Reader::new(frame, CLASSIC);
    Ok((start(&mut reader)?, reader.rest()))
}

/// The body of an answer, behind its header.
///
/// # Errors
/// [`DecodeError`] when there is no header.
pub fn response_body(frame: &[u8], api_key: ApiKey, version: i16) -> Result<&[u8], DecodeError> {
    let mut reader = Reader::new(frame, CLASSIC);
    reader.fixed::<4>()?;
    if api_key.tagged_response_header(version) {
        reader.skip_tags()?;
    }
    Ok(reader.rest())
}

/// The correlation id of an answer.
///
/// # Errors
/// [`DecodeError`] when there are fewer than 4 bytes.
pub fn correlation_id(frame: &[u8]) -> Result<i32, DecodeError> {
    Reader::new(frame, CLASSIC).fixed().map(i32::from_be_bytes)
}

fn kind(reader: &mut Reader<'_>) -> Result<RequestKind, DecodeError> {
    Ok(RequestKind {
        api_key: ApiKey(i16::from_be_bytes(reader.fixed()?)),
        api_version: i16::from_be_bytes(reader.fixed()?),
    })
}

fn start<'a>(reader: &mut Reader<'a>) -> Result<RequestHeader<'a>, DecodeError> {
    let RequestKind {
        api_key,
        api_version,
    } = kind(reader)?;
    let correlation_id = i32::from_be_bytes(reader.fixed()?);
    let client_id = match reader.string_length()? {
        Some(length) => Some(reader.text(length)?),
        None => None,
    };
    Ok(RequestHeader {
        api_key,
        api_version,
        correlation_id,
        client_id,
    })
}

/// Bytes a request header takes.
pub(crate) fn request_size(header: &RequestHeader<'_>, tagged: bool) -> usize {
    let client_id = header.client_id.as_ref().map_or(0, |text| text.len());
    2 + 2 + 4 + 2 + client_id + usize::from(tagged)
}

/// Bytes an answer's header takes.
pub(crate) fn response_size(api_key: ApiKey, version: i16) -> usize {
    4 + usize::from(api_key.tagged_response_header(version))
}

/// Writes a request header, with the empty tagged fields of a flexible one.
pub(crate) fn write_request(
    to: &mut Writer,
    header: &RequestHeader<'_>,
    tagged: bool,
) -> Result<(), EncodeError> {
    to.put(&header.api_key.0.to_be_bytes());
    to.put(&header.api_version.to_be_bytes());
    to.put(&header.correlation_id.to_be_bytes());
    let client_id = header.client_id.as_deref();
    // Never compact, whatever the body is.
    let length = match client_id.map(str::len) {
        Some(length) => {
            i16::try_from(length).map_err(|_| Unwritable::TooLong(length).of("client_id"))?
        }
        None => -1,
    };
    to.put(&length.to_be_bytes());
    to.put(client_id.unwrap_or_default().as_bytes());
    if tagged {
        to.varint(0);
    }
    Ok(())
}

/// Writes an answer's header.
pub(crate) fn write_response(to: &mut Writer, correlation_id: i32, api_key: ApiKey, version: i16) {
    to.put(&correlation_id.to_be_bytes());
    if api_key.tagged_response_header(version) {
        to.varint(0);
    }
}
