//! The documents in the repository: generated ones are current, and what they say to type works.
