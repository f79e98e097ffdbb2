//! No leak: whatever is planted in an installation's names and secrets is found nowhere.
