//! Usage objects of every shape.
