//! The hosts of one consumer group, as processes that can be killed, stopped and told to die.

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use clickmill_tests::Folder;

pub struct Group {
    pub folder: Folder,
    /// Each with its number.
    hosts: Vec<(Child, u32)>,
    started: u32,
}

impl Group {
    /// Hosts with these settings; none runs yet.
    pub fn new(settings: &str) -> Group {
        let folder = Folder::new("chaos");
        folder.write("clickmill.toml", settings);
        Group { folder, hosts: Vec::new(), started: 0 }
    }

    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Starts a further host, which may have to die at a point of a commit.
    pub fn start(&mut self, die_at: Option<&str>) {
        let log = File::create(self.log_of(self.started)).unwrap();
        let mut command = self.folder.command(&["run"]);
        if let Some(point) = die_at {
            command.env("CLICKMILL_DIE_AT", point);
        }
        let host = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.hosts.push((host, self.started));
        self.started += 1;
    }

    /// So many hosts, no more and no fewer: others join, or some leave in good order.
    pub fn resize(&mut self, hosts: usize) {
        while self.len() < hosts {
            self.start(None);
        }
        while self.len() > hosts {
            self.leave(0);
        }
    }

    /// Whether there is a document.
    pub fn has_documents(&self) -> bool {
        !self.folder.run(&["query", "--format", "ndjson", "--limit", "1"]).stdout.is_empty()
    }

    /// What the host that was started as that one has said.
    pub fn log(&self, number: u32) -> String {
        fs::read_to_string(self.log_of(number)).unwrap()
    }

    fn log_of(&self, number: u32) -> PathBuf {
        self.folder.path().join(format!("host-{}.log", number + 1))
    }

    /// What a host has said of itself every ten seconds: the records that it has read, and those that it is behind.
    pub fn progress(&self, number: u32) -> Vec<(u64, u64)> {
        self.log(number).lines().filter_map(progress).collect()
    }

    /// Resident memory of a host, in bytes.
    pub fn memory(&self, place: usize) -> u64 {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.hosts[place].0.id())).unwrap();
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }

    /// Hosts end only when they are told to.
    pub fn check(&mut self) {
        for (host, _) in &mut self.hosts {
            if let Some(status) = host.try_wait().unwrap() {
                panic!("a host ended by itself, {status}: {}", self.folder.path().display());
            }
        }
    }

    /// Places of hosts that were given partitions.
    pub fn at_work(&self) -> Vec<usize> {
        let given = |place: &usize| self.log(self.hosts[*place].1).contains("the group gives partitions");
        (0..self.len()).filter(given).collect()
    }

    /// SIGKILL.
    pub fn kill(&mut self, place: usize) {
        self.check();
        let (mut host, _) = self.hosts.remove(place);
        host.kill().unwrap();
        host.wait().unwrap();
    }

    /// SIGTERM, and waits for its end, which must be a good one.
    pub fn leave(&mut self, place: usize) {
        self.check();
        let (mut host, _) = self.hosts.remove(place);
        signal(&host, "TERM");
        let ended = host.wait().unwrap();
        assert!(ended.success(), "a host was asked to end: {ended}");
    }

    /// SIGSTOP, and SIGCONT after that time.
    pub fn freeze(&mut self, place: usize, time: Duration) {
        self.check();
        signal(&self.hosts[place].0, "STOP");
        thread::sleep(time);
        signal(&self.hosts[place].0, "CONT");
    }

    /// Whether the host that was started last has died at its point within that time.
    pub fn died(&mut self, within: Duration) -> bool {
        let began = Instant::now();
        while began.elapsed() < within {
            let ended: Option<ExitStatus> =
                self.hosts.last_mut().and_then(|(host, _)| host.try_wait().unwrap());
            if let Some(status) = ended {
                assert_eq!(status.signal(), Some(6), "it was to die, and ended: {status}");
                self.hosts.pop();
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for (host, _) in &mut self.hosts {
            let _ = host.kill();
            let _ = host.wait();
        }
    }
}

/// Of a line such as "… 12,345 records, 1,000/s, 7,000 behind, …".
fn progress(line: &str) -> Option<(u64, u64)> {
    let number = |text: &str| text.replace(',', "").parse().ok();
    let (read, rest) = line.split_once(" records, ")?;
    let (behind, _) = rest.split_once("/s, ")?.1.split_once(" behind, ")?;
    Some((number(read.rsplit(' ').next()?)?, number(behind)?))
}

fn signal(host: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &host.id().to_string()]).status().unwrap();
    assert!(sent.success(), "kill -s {name}");
}
