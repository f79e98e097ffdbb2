//! Wrong inputs: each has a message of its own, and nothing is written.
