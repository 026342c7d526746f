//! `linnet-keys` as a black box, with hosts that look at what it publishes.

#[cfg(test)]
mod bundle;
#[cfg(test)]
mod flows;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod place;
