//! What was billed: exports read into rows, and rows into lines, by grammar only.

pub(crate) mod anthropic;
pub(crate) mod container;
pub(crate) mod dates;
pub mod doubts;
pub(crate) mod encoding;
pub mod export;
pub(crate) mod foreign;
pub mod format;
pub(crate) mod grammar;
pub(crate) mod header;
pub mod line;
pub(crate) mod line_item;
pub(crate) mod numbers;
pub(crate) mod openai;
pub(crate) mod openai_usage;
pub(crate) mod personal;
pub(crate) mod record;
pub mod refusal;
pub mod rows;
pub mod summary;
