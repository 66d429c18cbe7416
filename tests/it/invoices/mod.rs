//! What a bill says: every layout, packing and spelling of an export, read exactly or refused.

mod containers;
mod files;
mod formats;
mod properties;
mod reading;
mod survival;
