//! ApiVersions, versions 0 to 4 (KIP-511, KIP-482, KIP-584).
//!
//! * A version that is not served is answered in the layout of version 0 with UNSUPPORTED_VERSION and the range of
//!   ApiVersions alone; its body is not read and the connection lives on.
//! * From version 3 the client names its software; a name that is no plain word is INVALID_REQUEST.
//! * Produce is told from 0 although 0 to 2 are refused: librdkafka computes from it which codecs it may use.
//! * No features are told: none is finalized here, and older clients choke on some.

use callboard_protocol::messages::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse,
};
use callboard_protocol::{ApiKey, ErrorCode};

use super::APIS;
use crate::request::{Request, Work};

pub(super) fn handle(request: Request<'_>, _work: &mut Work) {
    let served = APIS
        .iter()
        .any(|api| api.key == ApiKey::API_VERSIONS && api.serves(request.version()));
    if !served {
        let own = APIS
            .iter()
            .filter(|api| api.key == ApiKey::API_VERSIONS)
            .map(range)
            .collect();
        let response = ApiVersionsResponse {
            error_code: ErrorCode::UNSUPPORTED_VERSION.0,
            api_keys: own,
            ..Default::default()
        };
        return request.responder.send_as(&response, 0);
    }
    let version = request.version();
    let Some((body, request)) = request.decode::<ApiVersionsRequest<'_>>() else {
        return;
    };
    let named = is_software_word(&body.client_software_name)
        && is_software_word(&body.client_software_version);
    let response = if version >= 3 && !named {
        ApiVersionsResponse {
            error_code: ErrorCode::INVALID_REQUEST.0,
            ..Default::default()
        }
    } else {
        ApiVersionsResponse {
            api_keys: APIS.iter().map(range).collect(),
            ..Default::default()
        }
    };
    request.responder.send(&response);
}

fn range(api: &super::Api) -> ApiVersion<'static> {
    let min_version = if api.key == ApiKey::PRODUCE {
        0
    } else {
        api.min
    };
    ApiVersion {
        api_key: api.key.0,
        min_version,
        max_version: api.max,
        ..Default::default()
    }
}

/// `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?` as KIP-511 has it.
fn is_software_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    ends.iter()
        .all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::is_software_word;

    #[test]
    fn software_words() {
        for good in ["oracle", "a", "librdkafka", "kafka-python", "1.0", "a-.b"] {
            assert!(is_software_word(good), "{good}");
        }
        for bad in ["", "-oracle-", ".", "a b", "a_", "ä", "a-"] {
            assert!(!is_software_word(bad), "{bad}");
        }
    }
}
