//! A [`super::Target`] that answers from recorded text.
