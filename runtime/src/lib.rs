//! Runtime of the crumbs language.
