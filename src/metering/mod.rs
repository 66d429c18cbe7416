//! What was used: the provider's report read from its answers, and our own count beside it.

mod answer_frame;
pub mod body;
mod boundary;
pub mod count;
pub mod counted;
pub mod image_tokens;
mod memo;
pub mod model_tokens;
pub mod prompt;
pub mod reply;
pub mod reported;
mod sample;
pub mod stream;
pub mod text;
pub mod tokenizer;
mod tool_text;

#[cfg(test)]
mod traffic_tests;
