//! Made-up clicks whose truth is known: every field is canonical already, so the answer needs no parser.

/// A click as it must count.
#[derive(Clone, Debug)]
pub struct Click {
    pub partition: u32,
    pub offset: i64,
    pub user: String,
    /// Milliseconds.
    pub time: i64,
    pub url: String,
    pub country: String,
}

/// SplitMix64, by Sebastiano Vigna: small, and the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.draw() % n
    }
}

/// Lines for one partition, and the clicks among them.
pub struct Traffic {
    random: Random,
    partition: u32,
    users: u64,
    urls: u64,
    now: i64,
    offset: i64,
    /// One record in so many is none; 0: all are good.
    bad: u64,
    /// A field of each event that nobody reads.
    unused: String,
    pub clicks: Vec<Click>,
    pub dead: u64,
    /// Of all lines, without line feeds.
    pub bytes: u64,
}

const COUNTRIES: [&str; 6] = ["DE", "US", "FR", "BR", "JP", "ZZ"];
const START: i64 = 1_772_359_200_000;

impl Traffic {
    pub fn new(seed: u64, partition: u32, users: u64, urls: u64, bad: u64) -> Traffic {
        let random = Random(seed ^ u64::from(partition) << 32);
        Traffic {
            random,
            partition,
            users,
            urls,
            now: START,
            offset: 0,
            bad,
            unused: String::new(),
            clicks: Vec::new(),
            dead: 0,
            bytes: 0,
        }
    }

    /// Each event is larger by a field of so many bytes that nobody reads.
    pub fn with_unused(mut self, bytes: usize) -> Traffic {
        if bytes > 0 {
            self.unused = format!(r#","unused":"{}""#, "-".repeat(bytes));
        }
        self
    }

    /// The next record, without a line feed.
    pub fn line(&mut self) -> String {
        let line = self.next_line();
        self.bytes += line.len() as u64;
        line
    }

    fn next_line(&mut self) -> String {
        self.now += self.random.below(400) as i64;
        let offset = self.offset;
        self.offset += 1;
        if self.bad > 0 && self.random.below(self.bad) == 0 {
            self.dead += 1;
            return self.bad_line();
        }
        // A tenth comes late, some of it by hours.
        let late = match self.random.below(20) {
            0 => self.random.below(7_200_000) as i64,
            1 => self.random.below(60_000) as i64,
            _ => 0,
        };
        let user = format!("{}-{}", self.partition, self.random.below(self.users));
        let url = format!(
            "https://example.com/page/{}",
            self.random.below(self.urls).min(self.random.below(self.urls))
        );
        let country = COUNTRIES[self.random.below(6) as usize].to_owned();
        let time = self.now - late;
        let line = format!(
            r#"{{"event_id":"{offset}","user_id":"{user}","timestamp":{time},"click_data":{{"url":"{url}"}},"country":"{country}"{unused}}}"#,
            unused = self.unused
        );
        let partition = self.partition;
        self.clicks.push(Click { partition, offset, user, time, url, country });
        line
    }

    fn bad_line(&mut self) -> String {
        match self.random.below(5) {
            0 => r#"{"user_id":"u","timestamp":17723592000"#.into(),
            1 => r#"[1,2,3]"#.into(),
            2 => r#"{"timestamp":1772359200000,"url":"https://example.com/"}"#.into(),
            3 => r#"{"user_id":"u","timestamp":"yesterday","url":"https://example.com/"}"#.into(),
            _ => r#"{"user_id":"u","timestamp":1772359200000,"url":"ftp://example.com/"}"#.into(),
        }
    }

    /// `count` lines, each with its line feed.
    pub fn lines(&mut self, count: usize) -> String {
        let mut text = String::new();
        for _ in 0..count {
            text.push_str(&self.line());
            text.push('\n');
        }
        text
    }
}
