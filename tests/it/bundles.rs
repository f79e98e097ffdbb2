//! Bundles as others see them: the published vectors, stock tools, damage and forgery.
