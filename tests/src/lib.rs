//! Stories about the whole mesh; see `e2e`.
