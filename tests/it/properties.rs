//! Properties of the formats: canonical JSON, deltas, bundles.
