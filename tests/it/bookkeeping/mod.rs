//! Everything after the fact, by the command line and by the library: exports imported whole or not
//! at all, months explained, keys tied, and what bad input, crashes and full disks leave behind.

mod exports;
mod hostile;
mod house;
mod idle_days;
mod imports;
mod interrupted;
mod many;
mod misuse;
mod months;
mod packings;
mod replaced;
mod spans;
mod ties;
mod whose;
