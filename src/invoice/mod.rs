//! What was billed: exports read into rows, and rows into lines, by grammar only.

pub mod anthropic;
pub mod container;
pub mod dates;
pub mod doubts;
pub mod encoding;
pub mod export;
pub mod foreign;
pub mod format;
pub mod grammar;
pub mod header;
pub mod line;
pub mod line_item;
pub mod numbers;
pub mod openai;
pub mod openai_usage;
pub mod personal;
pub mod record;
pub mod refusal;
pub mod rows;
pub mod summary;
