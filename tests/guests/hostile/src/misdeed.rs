//! What the parameters ask for, and the misdeeds that any call can commit.

use crate::bindings::clickmill::plugin::{
    columns::Failure,
    log::{self, Level},
};

/// What to do, and in which call.
pub struct Misdeed {
    at: String,
    what: String,
}

impl Misdeed {
    /// Out of `{"at": "...", "do": "..."}`.
    pub fn read(params: &str) -> Misdeed {
        Misdeed { at: setting(params, "at"), what: setting(params, "do") }
    }

    /// Commits the misdeed if this is the call for it and it can be committed anywhere; else says what it is, if the call is
    /// the one for it.
    pub fn meet(&self, call: &str) -> Result<&str, Failure> {
        if self.at != call {
            return Ok("");
        }
        match self.what.as_str() {
            "trap" => panic!("on purpose"),
            "loop" => forever(),
            "grow" => hoard(),
            "recurse" => {
                deeper(0);
            }
            "exit" => std::process::exit(3),
            "chatter" => {
                for number in 0..100_000 {
                    log::write(Level::Info, &format!("chatter {number}"));
                    println!("chatter {number}");
                }
            }
            "big-message" => log::write(Level::Info, &"x".repeat(64 << 20)),
            "give-up" => return Err(Failure::Call("no wish to".into())),
            "row" => return Err(Failure::Row((1, "not this one".into()))),
            "row-outside" => return Err(Failure::Row((1000, "not that one".into()))),
            _ => {}
        }
        Ok(&self.what)
    }
}

fn setting(params: &str, name: &str) -> String {
    let rest = params.split_once(&format!("\"{name}\"")).map_or("", |(_, rest)| rest);
    rest.split('"').nth(1).unwrap_or_default().to_owned()
}

fn forever() -> ! {
    let mut number = 0u64;
    loop {
        number = std::hint::black_box(number.wrapping_add(1));
    }
}

fn hoard() -> ! {
    let mut all = Vec::new();
    loop {
        all.push(std::hint::black_box(vec![1u8; 1 << 20]));
    }
}

/// Without locals in memory, so that the stack of calls is what ends.
#[allow(unconditional_recursion, reason = "that is the misdeed")]
#[inline(never)]
fn deeper(depth: u64) -> u64 {
    deeper(depth.wrapping_mul(31) ^ 7).rotate_left(5) ^ depth
}
