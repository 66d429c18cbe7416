//! What was billed: exports read into rows, and rows into lines, by grammar only.

pub mod line;
