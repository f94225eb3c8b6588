//! `count`, `sum`, `min`, `max`, `avg`, `stats`.
