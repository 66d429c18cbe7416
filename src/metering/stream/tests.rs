//! Streams as providers send them.
