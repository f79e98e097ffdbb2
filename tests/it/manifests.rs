//! The manifest source: layouts, formats, duplicates, what counts and what does not.
