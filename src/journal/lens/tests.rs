//! Tests of the lens.
