//! What was used: the provider's report read from its answers, and our own count beside it.

mod answer_frame;
pub(crate) mod body;
mod boundary;
pub mod count;
pub(crate) mod counted;
pub(crate) mod image_tokens;
mod memo;
pub(crate) mod model_tokens;
pub(crate) mod prompt;
pub mod reply;
pub mod reported;
mod sample;
pub mod stream;
pub(crate) mod text;
pub mod tokenizer;
mod tool_text;

#[cfg(test)]
mod traffic_tests;
