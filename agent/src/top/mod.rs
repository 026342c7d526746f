//! `top`: the running agent on a screen. [`figures`] makes numbers of two health documents, [`picture`] lines of the numbers, and [`screen`]
//! shows them until a key ends it. Only the last touches a terminal.

pub mod figures;
pub mod picture;
pub mod screen;
