//! What a person sees in the browser, and what becomes of what is said there.

mod house;
mod promises;
mod said;
mod schema;
