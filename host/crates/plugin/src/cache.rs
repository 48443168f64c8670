//! Compiled components, kept in files, so that a second start compiles nothing. A file is used only where it bears the digest of
//! its own content, of the component and of the engine; any other is compiled anew and replaced. Nothing here is an error: a
//! folder that cannot be written costs a compilation at the next start, and one line in the log says so.

use std::{
    fs,
    hash::{Hash, Hasher},
    io::{self, Write},
    path::{Path, PathBuf},
    process,
    sync::{
        Once,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use wasmtime::component::Component;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::engine::Engine;

/// What a file begins with: format, digest of the component, hash of the engine, digest of what follows.
const MAGIC: &[u8; 16] = b"clickmill cwasm1";
const HEAD: usize = 16 + 16 + 8 + 16;

/// Files kept, the newest: a folder of a host whose plugins are often rebuilt does not grow for ever.
const MAX_FILES: usize = 64;

/// What a compiled component depends on.
#[derive(Clone, Copy)]
struct Key {
    component: u128,
    engine: u64,
}

impl Key {
    fn of(engine: &Engine, bytes: &[u8]) -> Key {
        let mut hasher = Xxh3::new();
        engine.wasmtime().precompile_compatibility_hash().hash(&mut hasher);
        Key { component: xxh3_128(bytes), engine: hasher.finish() }
    }

    fn file_name(self) -> String {
        format!("{:032x}-{:016x}.cwasm", self.component, self.engine)
    }

    fn head(self, compiled: &[u8]) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[..16].copy_from_slice(MAGIC);
        head[16..32].copy_from_slice(&self.component.to_be_bytes());
        head[32..40].copy_from_slice(&self.engine.to_be_bytes());
        head[40..].copy_from_slice(&xxh3_128(compiled).to_be_bytes());
        head
    }
}

/// A component, and whether it came from the folder.
pub(crate) struct Compiled {
    pub component: Component,
    pub cached: bool,
}

/// The component of these bytes: as an earlier start left it in `folder`, else compiled and left there.
pub(crate) fn component(engine: &Engine, bytes: &[u8], folder: Option<&Path>) -> wasmtime::Result<Compiled> {
    let Some(folder) = folder else {
        return Ok(Compiled { component: Component::from_binary(engine.wasmtime(), bytes)?, cached: false });
    };
    let key = Key::of(engine, bytes);
    let path = folder.join(key.file_name());
    if let Some(component) = fs::read(&path).ok().and_then(|file| deserialize(engine, key, &file)) {
        return Ok(Compiled { component, cached: true });
    }
    let component = Component::from_binary(engine.wasmtime(), bytes)?;
    let kept =
        component.serialize().map_err(io::Error::other).and_then(|compiled| keep(folder, key, &compiled));
    if let Err(error) = kept {
        // Whatever keeps one plugin out of the folder keeps out the others.
        static TOLD: Once = Once::new();
        TOLD.call_once(|| {
            let folder = folder.display();
            tracing::warn!(
                "compiled plugins cannot be kept in {folder}: {error}; each start compiles them again, which takes seconds"
            );
        });
    }
    Ok(Compiled { component, cached: false })
}

/// A component out of a file of the folder, where the file is what this host wrote for this component and engine.
#[allow(unsafe_code)]
fn deserialize(engine: &Engine, key: Key, file: &[u8]) -> Option<Component> {
    let (head, compiled) = file.split_at_checked(HEAD)?;
    if head != key.head(compiled) {
        return None;
    }
    // SAFETY: the bytes must be what `Component::serialize` of a compatible engine gave. The file bears the digest of exactly
    // these bytes (they are in memory, so nobody changes them after the check), of the component and of the engine's settings
    // and version, under a name and in a form that only `keep` writes, in a folder that only this user can write to.
    unsafe { Component::deserialize(engine.wasmtime(), compiled) }.ok()
}

/// Writes the file under another name first: whoever reads sees a whole file or none.
fn keep(folder: &Path, key: Key, compiled: &[u8]) -> io::Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    make_folder(folder)?;
    let name = key.file_name();
    let draft = folder.join(format!(".{name}.{}.{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    let written = fs::File::create_new(&draft)
        .and_then(|mut file| file.write_all(&key.head(compiled)).and_then(|()| file.write_all(compiled)))
        .and_then(|()| fs::rename(&draft, folder.join(name)));
    if written.is_err() {
        // It may never have come into being; the error that counts is the first.
        let _ = fs::remove_file(&draft);
    }
    written.and_then(|()| drop_oldest(folder))
}

#[cfg(unix)]
fn make_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn make_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

fn drop_oldest(folder: &Path) -> io::Result<()> {
    let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "cwasm") {
            // Another host may drop the same files.
            if let Ok(modified) = fs::metadata(&path).and_then(|metadata| metadata.modified()) {
                files.push((modified, path));
            }
        }
    }
    files.sort();
    let surplus = files.len().saturating_sub(MAX_FILES);
    for (_, path) in files.into_iter().take(surplus) {
        let _ = fs::remove_file(path);
    }
    Ok(())
}
