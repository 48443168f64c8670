//! The default plugins, as the build script built them. None is privileged: they are loaded as any file would be.

macro_rules! component {
    ($name:literal) => {
        ($name, include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".wasm")))
    };
}

/// Name and component of each plugin that the binary carries.
pub const DEFAULTS: &[(&str, &[u8])] = &[
    component!("json"),
    component!("url"),
    component!("sessions"),
    component!("clicks"),
    component!("unique-users"),
    component!("time-on-page"),
];
