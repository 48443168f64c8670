use std::{fs, sync::Arc, time::Instant, path::Path, future::Future, task::*, pin::pin};
use clickmill_columns::*;
use clickmill_plugin::*;
use clickmill_settings::Pipeline;
use clickmill_tasks::env::*;
struct U(std::thread::Thread);
impl Wake for U { fn wake(self: Arc<U>) { self.0.unpark() } }
fn wait<F: Future>(f: F) -> F::Output { let w = Waker::from(Arc::new(U(std::thread::current()))); let mut c = Context::from_waker(&w); let mut f = pin!(f); loop { match f.as_mut().poll(&mut c) { Poll::Ready(o) => return o, Poll::Pending => std::thread::park() } } }
fn cpu() -> f64 { let mut t = 0u64; for e in fs::read_dir("/proc/self/task").unwrap() { let s = fs::read_to_string(e.unwrap().path().join("schedstat")).unwrap(); t += s.split(' ').next().unwrap().parse::<u64>().unwrap(); } t as f64 }
fn main() {
    let dir = Path::new("target/components/wasm32-wasip2/component");
    let names = ["json","url","sessions","clicks","unique-users","time-on-page"];
    let bytes: Vec<Vec<u8>> = names.iter().map(|n| fs::read(dir.join(format!("plugin_{}.wasm", n.replace('-',"_")))).unwrap()).collect();
    let shipped: Vec<(&str,&[u8])> = names.iter().zip(&bytes).map(|(n,b)| (*n, &b[..])).collect();
    let start = Instant::now();
    let engine = Engine::new().unwrap();
    println!("engine {:?}", start.elapsed());
    let cache = Path::new("/tmp/clickmill-probe-cache");
    for _ in 0..2 {
        let start = Instant::now();
        let p = WasmPlugins::load(Loader { engine: &engine, shipped: &shipped, cache: Some(cache) }, &Pipeline::default());
        match p { Ok(_) => println!("load {:?}", start.elapsed()), Err(e) => { for e in e { println!("{e}") } return } }
    }
    let plugins = WasmPlugins::load(Loader { engine: &engine, shipped: &shipped, cache: Some(cache) }, &Pipeline::default()).unwrap();
    let info = &plugins.descriptions().parser.info;
    println!("{:?}", info.outputs.iter().map(|f| &f.name).collect::<Vec<_>>());
    for (n, mk) in [("ascii","Berlin"),("non-ascii","Köln")] {
    let mut v = Values::new();
    for i in 0..2700 {
        v.push(format!(r#"{{"event_id":"0198c5f0-{i:04}-7000-8000-000000000000","user_id":"user-{i}","timestamp":"2026-03-01T10:00:{:02}.123Z","url":"https://example.com/products/category/item-{i}?utm_source=x&q=3","event_type":"page_view","country":"DE","city":"{mk}","ip_address":"10.0.0.1","user_agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36","referrer":"https://www.google.com/"}}
"#, i%60).as_bytes());
    }
    println!("{n} bytes an event {}", v.bytes().len() / v.len());
    let v = Arc::new(v);
    let wanted: Vec<usize> = (0..info.outputs.len().min(10)).collect();
    let parser = plugins.parser(&wanted).unwrap();
    for _ in 0..3 {
        let start = cpu();
        for _ in 0..100 { let p = wait(parser.parse(v.clone(), false)).unwrap(); assert!(p.rejects.is_empty(), "{:?}", p.rejects[0]); }
        println!("one at a time {:.1} cpu ns an event", (cpu()-start) / 270000.);
        let start = Instant::now();
        let all: Vec<_> = (0..100).map(|_| parser.parse(v.clone(), false)).collect();
        for a in all { wait(a).unwrap(); }
        println!("ahead {:.1} ns an event", start.elapsed().as_nanos() as f64 / 270000.);
    }
    }
    let mut m = plugins.metric(0).unwrap();
    for rows in [1usize, 16, 256, 4096] {
        let slots: Vec<u32> = (0..rows as u32).collect();
        let start = cpu();
        for _ in 0..10000 { wait(m.update(&[], &slots, false)).unwrap(); }
        println!("clicks update {rows}: {:.1} ns a call", (cpu()-start) / 10000.);
    }
    let start = Instant::now();
    for _ in 0..100 { plugins.metric(0).unwrap(); }
    println!("start a metric {:?}", start.elapsed() / 100);
}
