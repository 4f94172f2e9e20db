mod bench;
mod fake;
mod frames;
mod keys;
mod life;
