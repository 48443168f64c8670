//! A WASI that is empty and deterministic, for the runtimes of languages that call it at their start: clocks stand still,
//! random bytes come from a fixed seed, there are no files, arguments, variables and no network, what is printed goes to the
//! capped log. Nothing in it waits, so no call of a guest can hang in the host, where its limit of time would not reach it.
//!
//! Only what a component imports is linked. A function of a WASI interface that is not answered here traps when it is called,
//! with its name in the text.

use wasmtime::{
    StoreContextMut, bail,
    component::{
        ComponentType, Lift, LinkerInstance, Lower, Resource, ResourceAny, ResourceType, Val,
        types::{ComponentFunc, ComponentInstance, ComponentItem},
    },
};

use crate::state::State;

/// Bytes that a guest is told it may write at once.
const MAX_WRITE: u64 = 4096;
/// Random bytes that one call may ask for.
const MAX_RANDOM: u64 = 1 << 20;

/// The packages of WASI 0.2 that are answered or refused here. Others, HTTP for one, are unknown imports.
const PACKAGES: [&str; 6] =
    ["wasi:io/", "wasi:cli/", "wasi:clocks/", "wasi:random/", "wasi:filesystem/", "wasi:sockets/"];

/// Whether the import of this name is one of WASI 0.2.
pub fn is_known(import: &str) -> bool {
    PACKAGES.iter().any(|package| import.starts_with(package)) && import.contains("@0.2.")
}

/// Every resource of WASI is one number to us: guests get streams and pollables that all behave alike.
struct Handle;

/// What is wrong with a stream.
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
#[allow(dead_code, reason = "no write fails, but the variant has the cases")]
enum StreamError {
    #[component(name = "last-operation-failed")]
    Failed(Resource<Handle>),
    #[component(name = "closed")]
    Closed,
}

/// Links the functions of one interface as far as the component imports them.
pub fn link(
    linker: &mut LinkerInstance<'_, State>,
    interface: &str,
    imported: &ComponentInstance,
    engine: &wasmtime::Engine,
) -> wasmtime::Result<()> {
    let interface: String = interface.split('@').next().unwrap_or(interface).to_owned();
    for (name, item) in imported.exports(engine) {
        match item.ty {
            ComponentItem::Resource(_) => {
                linker.resource(name, ResourceType::host::<Handle>(), |_, _| Ok(()))?;
            }
            ComponentItem::ComponentFunc(_) => {
                let function = format!("{interface}#{name}");
                if WRITES.contains(&function.as_str()) {
                    linker.func_wrap(name, print)?;
                    continue;
                }
                linker.func_new(name, move |mut store, ty, params, results| {
                    match results.first_mut() {
                        Some(slot) => *slot = answer(&mut store, &function, &ty, params)?,
                        None => answer_nothing(&function)?,
                    }
                    params.iter().try_for_each(|param| give_back(&mut store, param))
                })?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Ends the borrow of every handle that a guest lent for a call.
fn give_back(store: &mut StoreContextMut<'_, State>, param: &Val) -> wasmtime::Result<()> {
    match param {
        Val::Resource(handle) => handle.resource_drop(store),
        Val::List(handles) => handles.iter().try_for_each(|handle| give_back(store, handle)),
        _ => Ok(()),
    }
}

/// Calls that print. They take their bytes as such, not one value a byte.
const WRITES: [&str; 2] = [
    "wasi:io/streams#[method]output-stream.write",
    "wasi:io/streams#[method]output-stream.blocking-write-and-flush",
];

fn print(
    mut store: StoreContextMut<'_, State>,
    (_, bytes): (Resource<Handle>, Vec<u8>),
) -> wasmtime::Result<(Result<(), StreamError>,)> {
    store.data_mut().log.print(&bytes);
    Ok((Ok(()),))
}

/// Calls that have no result.
fn answer_nothing(function: &str) -> wasmtime::Result<()> {
    match function {
        "wasi:io/poll#[method]pollable.block" => Ok(()),
        "wasi:cli/exit#exit" | "wasi:cli/exit#exit-with-code" => bail!("it ended itself by `{function}`"),
        _ => refuse(function),
    }
}

fn answer(
    store: &mut StoreContextMut<'_, State>,
    function: &str,
    ty: &ComponentFunc,
    params: &[Val],
) -> wasmtime::Result<Val> {
    Ok(match function {
        "wasi:cli/environment#get-environment"
        | "wasi:cli/environment#get-arguments"
        | "wasi:filesystem/preopens#get-directories" => Val::List(vec![]),
        "wasi:cli/environment#initial-cwd"
        | "wasi:cli/environment#get-initial-cwd"
        | "wasi:cli/terminal-stdin#get-terminal-stdin"
        | "wasi:cli/terminal-stdout#get-terminal-stdout"
        | "wasi:cli/terminal-stderr#get-terminal-stderr"
        | "wasi:filesystem/types#filesystem-error-code" => Val::Option(None),

        "wasi:cli/stdin#get-stdin"
        | "wasi:cli/stdout#get-stdout"
        | "wasi:cli/stderr#get-stderr"
        | "wasi:io/streams#[method]input-stream.subscribe"
        | "wasi:io/streams#[method]output-stream.subscribe"
        | "wasi:clocks/monotonic-clock#subscribe-instant"
        | "wasi:clocks/monotonic-clock#subscribe-duration"
        | "wasi:sockets/instance-network#instance-network" => handle(store)?,

        "wasi:io/streams#[method]input-stream.read"
        | "wasi:io/streams#[method]input-stream.blocking-read"
        | "wasi:io/streams#[method]input-stream.skip"
        | "wasi:io/streams#[method]input-stream.blocking-skip" => closed(),
        "wasi:io/streams#[method]output-stream.check-write" => ok(Some(Val::U64(MAX_WRITE))),
        "wasi:io/streams#[method]output-stream.flush"
        | "wasi:io/streams#[method]output-stream.blocking-flush"
        | "wasi:io/streams#[method]output-stream.write-zeroes"
        | "wasi:io/streams#[method]output-stream.blocking-write-zeroes-and-flush" => ok(None),
        "wasi:io/error#[method]error.to-debug-string" => Val::String("there is nothing here".into()),

        // Everything is ready at once: nothing will ever happen for which one could wait.
        "wasi:io/poll#[method]pollable.ready" => Val::Bool(true),
        "wasi:io/poll#poll" => match params.first() {
            Some(Val::List(pollables)) => {
                Val::List((0u32..).zip(pollables).map(|(i, _)| Val::U32(i)).collect())
            }
            _ => Val::List(vec![]),
        },

        "wasi:clocks/monotonic-clock#now" => Val::U64(0),
        "wasi:clocks/monotonic-clock#resolution" => Val::U64(1_000_000_000),
        "wasi:clocks/wall-clock#now" | "wasi:clocks/wall-clock#resolution" => Val::Record(vec![
            ("seconds".into(), Val::U64(u64::from(function.ends_with("resolution")))),
            ("nanoseconds".into(), Val::U32(0)),
        ]),

        "wasi:random/random#get-random-u64" | "wasi:random/insecure#get-insecure-random-u64" => {
            Val::U64(store.data_mut().random.next())
        }
        "wasi:random/random#get-random-bytes" | "wasi:random/insecure#get-insecure-random-bytes" => {
            let Some(&Val::U64(length)) = params.first() else { return refuse(function) };
            if length > MAX_RANDOM {
                bail!("it asked `{function}` for {length} bytes, {MAX_RANDOM} at once are allowed");
            }
            let random = &mut store.data_mut().random;
            Val::List((0..length).map(|_| Val::U8((random.next() >> 56) as u8)).collect())
        }
        "wasi:random/insecure-seed#insecure-seed" => {
            let random = &mut store.data_mut().random;
            Val::Tuple(vec![Val::U64(random.next()), Val::U64(random.next())])
        }

        _ if function.starts_with("wasi:sockets/") => match ty.results().next() {
            Some(wasmtime::component::Type::Result(_)) => {
                Val::Result(Err(Some(Box::new(Val::Enum("access-denied".into())))))
            }
            _ => return refuse(function),
        },
        _ => return refuse(function),
    })
}

fn refuse<T>(function: &str) -> wasmtime::Result<T> {
    bail!("it called `{function}`, which plugins are not given")
}

fn ok(value: Option<Val>) -> Val {
    Val::Result(Ok(value.map(Box::new)))
}

/// The answer of a stream that is at its end.
fn closed() -> Val {
    Val::Result(Err(Some(Box::new(Val::Variant("closed".into(), None)))))
}

fn handle(store: &mut StoreContextMut<'_, State>) -> wasmtime::Result<Val> {
    Ok(Val::Resource(ResourceAny::try_from_resource(Resource::<Handle>::new_own(0), store)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_answered_is_known() {
        assert!(is_known("wasi:cli/stdin@0.2.0"));
        assert!(is_known("wasi:random/random@0.2.6"));
        assert!(!is_known("wasi:cli/stdin@0.3.0"));
        assert!(!is_known("wasi:http/outgoing-handler@0.2.0"));
        assert!(!is_known("wasi:keyvalue/store@0.2.0"));
        assert!(!is_known("acme:cli/stdin@0.2.0"));
    }
}
