//! tests
pub(crate) fn sabotage(_: Option<&std::sync::Arc<str>>, _: &[crate::core::Effect]) {}
