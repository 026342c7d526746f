//! What every host shares: atomic files, the health document, locks, host identity.
