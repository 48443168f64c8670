//! The model of the traffic. Visitors walk in lanes side by side: in each round every lane sees one page, in an order that is
//! new each round, so that the time on a page varies between nothing and two rounds. Every eight pages of a lane are cut into
//! visits of different users. A round takes as long as people look at a page, or as long as the span of the settings leaves.

use clickmill_columns::{format_instant, hash64};
use clickmill_settings::Generate;

use super::tables::{AGENTS, CAMPAIGNS, CATEGORIES, COUNTRIES, REFERRERS, WORDS};

/// Milliseconds that people look at a page, on average.
const ROUND: f64 = 25_000.0;
/// Users for each of whom is in the middle of a visit.
const USERS_A_LANE: u64 = 16;
/// Pages of a lane that are cut into visits together.
const BLOCK: u64 = 8;

/// A small generator of random numbers (SplitMix64), made anew for whatever is drawn from its key.
struct Random(u64);

impl Random {
    fn of(key: &[u64]) -> Random {
        let mut bytes = Vec::with_capacity(key.len() * 8);
        key.iter().for_each(|part| bytes.extend_from_slice(&part.to_le_bytes()));
        Random(hash64(&bytes))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In `0..below`.
    fn below(&mut self, below: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(below.max(1))) >> 64) as u64
    }

    /// In `0.0..1.0`.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The greater the number, the rarer, about by Zipf's law.
    fn long_tail(&mut self, below: u64) -> u64 {
        let rank = ((below.max(1) as f64 + 1.0).ln() * self.share()).exp() - 1.0;
        (rank as u64).min(below.saturating_sub(1))
    }

    fn weighted<'a, T>(&mut self, all: &'a [T], weight: impl Fn(&T) -> u32) -> &'a T {
        let sum: u32 = all.iter().map(&weight).sum();
        let mut left = self.below(sum.into()) as u32;
        let found = all.iter().find(|one| {
            let here = left < weight(one);
            left = left.saturating_sub(weight(one));
            here
        });
        found.unwrap_or(&all[0])
    }
}

/// What a key of [`Random`] is for.
#[derive(Clone, Copy)]
enum Draw {
    Round,
    Visit,
    User,
    Page,
    Record,
}

#[derive(Clone, Debug)]
pub struct Traffic {
    settings: Generate,
    partitions: u64,
    lanes: u64,
    /// Milliseconds from one record of a partition to the next.
    pace: f64,
}

impl Traffic {
    pub fn new(settings: &Generate) -> Traffic {
        let partitions = u64::from(settings.partitions.max(1));
        let users = settings.users.max(1).div_ceil(partitions);
        let lanes = (users / USERS_A_LANE).clamp(4, 1 << 16).next_power_of_two();
        let pace = match (settings.span, settings.events) {
            (Some(span), Some(events)) => span.as_millis() as f64 * partitions as f64 / events.max(1) as f64,
            _ => ROUND / lanes as f64,
        };
        Traffic { settings: settings.clone(), partitions, lanes, pace }
    }

    pub fn partitions(&self) -> u32 {
        self.partitions as u32
    }

    /// Records in all; none: without end.
    pub fn records(&self) -> Option<u64> {
        self.settings.events
    }

    /// Records of a partition.
    pub fn records_of(&self, partition: u32) -> Option<u64> {
        let more = |all: u64| u64::from(u64::from(partition) < all % self.partitions);
        self.settings.events.map(|all| all / self.partitions + more(all))
    }

    fn random(&self, draw: Draw, key: [u64; 3]) -> Random {
        Random::of(&[self.settings.seed, draw as u64, key[0], key[1], key[2]])
    }

    /// Appends a record, without a line end.
    pub fn write(&self, partition: u32, offset: u64, into: &mut Vec<u8>) {
        let partition = u64::from(partition);
        let (round, place) = (offset / self.lanes, offset % self.lanes);
        let mut order = self.random(Draw::Round, [partition, round, 0]);
        let (step, shift) = (order.next() | 1, order.next());
        let lane = place.wrapping_mul(step).wrapping_add(shift) % self.lanes;

        let (visit, page) =
            visit(&mut self.random(Draw::Visit, [partition, lane, round / BLOCK]), round % BLOCK);
        let mut visit = self.random(Draw::Visit, [partition, lane, (round / BLOCK) << 8 | 1 << 4 | visit]);
        let users = self.settings.users.max(1).saturating_sub(partition).div_ceil(self.partitions).max(1);
        let number = partition + self.partitions * visit.below(users);
        let mut record = self.random(Draw::Record, [partition, offset, 0]);
        let event = Event::new(self, number, &mut visit, (lane, round, page), &mut record);

        let mut time = self.settings.start + (offset as f64 * self.pace) as i64;
        if record.share() < self.settings.late {
            // Most of the late ones are late by minutes, some by hours.
            let most = if record.below(10) == 0 { 86_400_000 } else { 600_000 };
            time -= 1000 + record.below(most) as i64;
        }
        let begin = into.len();
        event.write(time, into);
        if record.share() < self.settings.bad {
            spoil(&mut record, begin, into);
        }
    }

    /// The address of a page, as it is everywhere.
    fn url(&self, number: u64, into: &mut String) {
        let word = |n: u64| WORDS[(n % WORDS.len() as u64) as usize];
        let mut draw = self.random(Draw::Page, [number, 0, 0]);
        let category = CATEGORIES[draw.below(CATEGORIES.len() as u64) as usize];
        let (a, b) = (word(draw.next()), word(draw.next()));
        let path = match number {
            0 => String::new(),
            n if n <= CATEGORIES.len() as u64 => format!("c/{}", CATEGORIES[n as usize - 1]),
            n if n % 20 == 0 => format!("search?q={a}+{category}&page={n}"),
            n if n % 7 == 0 => format!("blog/{}/{a}-{b}-{n}", 2020 + n % 7),
            n => format!("p/{category}/{a}-{b}-{n}"),
        };
        into.push_str("https://shop.example.com/");
        into.push_str(&path);
    }
}

/// Which of the visits of a block a page belongs to, and its number in that visit.
fn visit(draw: &mut Random, place: u64) -> (u64, u64) {
    let (mut number, mut begin) = (0, 0);
    loop {
        let pages = 1 + draw.below(BLOCK).min(draw.below(BLOCK));
        if place < begin + pages {
            return (number, place - begin);
        }
        begin += pages;
        number += 1;
    }
}

struct Event {
    id: u128,
    user: u64,
    session: u64,
    kind: &'static str,
    url: String,
    referrer: String,
    agent: &'static str,
    country: (&'static str, &'static str),
    address: [u8; 4],
}

impl Event {
    fn new(
        traffic: &Traffic,
        user: u64,
        visit: &mut Random,
        (lane, round, page): (u64, u64, u64),
        record: &mut Random,
    ) -> Event {
        let mut own = traffic.random(Draw::User, [user, 0, 0]);
        let (country, _, city, [a, b]) = *own.weighted(&COUNTRIES, |country| country.1);
        let agent = own.weighted(&AGENTS, |agent| agent.1).0;
        let address = [a, b, own.below(256) as u8, own.below(254) as u8 + 1];
        let session = visit.next();
        // Each page of a visit is drawn by itself, so that the one before is known too.
        let urls = traffic.settings.urls.max(1);
        let page_of = |round: u64| traffic.random(Draw::Page, [lane, round, 1 << 32 | user]).long_tail(urls);
        let (mut url, mut referrer) = (String::with_capacity(96), String::new());
        traffic.url(page_of(round), &mut url);
        if page > 0 {
            traffic.url(page_of(round - 1), &mut referrer);
        } else {
            referrer.push_str(visit.weighted(&REFERRERS, |referrer| referrer.1).0);
            if visit.below(4) == 0 {
                let campaign = CAMPAIGNS[visit.below(CAMPAIGNS.len() as u64) as usize];
                url.push(if url.contains('?') { '&' } else { '?' });
                url.push_str(campaign);
                if campaign.ends_with('=') {
                    url.push_str(&format!("{:x}", visit.next()));
                }
            }
        }
        let kind = match record.below(100) {
            0..=4 => "click",
            5..=6 => "add_to_cart",
            7 => "purchase",
            _ => "page_view",
        };
        let id = u128::from(record.next()) << 64 | u128::from(record.next());
        Event { id, user, session, kind, url, referrer, agent, country: (country, city), address }
    }

    fn write(&self, time: i64, into: &mut Vec<u8>) {
        let id = self.id;
        let [a, b, c, d] = self.address;
        let (country, city) = self.country;
        let text = format!(
            "{{\"event_id\":\"{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}\",\"event_type\":\"{}\",\"user_id\":\"u{:07}\",\
             \"session_id\":\"{:016x}\",\"timestamp\":\"{}\",\"url\":\"{}\",\"referrer\":{},\"country\":\"{country}\",\
             \"city\":\"{city}\",\"ip_address\":\"{a}.{b}.{c}.{d}\",\"user_agent\":\"{}\"}}",
            (id >> 96) as u32,
            (id >> 80) as u16,
            (id >> 68) as u16 & 0xfff,
            (id >> 56) as u16 & 0xfff,
            id & 0xffff_ffff_ffff,
            self.kind,
            self.user,
            self.session,
            format_instant(time, true),
            self.url,
            if self.referrer.is_empty() { "null".to_owned() } else { format!("\"{}\"", self.referrer) },
            self.agent,
        );
        into.extend_from_slice(text.as_bytes());
    }
}

/// Makes a record one that is no event.
fn spoil(draw: &mut Random, begin: usize, into: &mut Vec<u8>) {
    let length = into.len() - begin;
    let replaced = |into: &[u8], from: &str, to: &str| {
        String::from_utf8_lossy(&into[begin..]).replacen(from, to, 1).into_bytes()
    };
    let bad = match draw.below(7) {
        0 => into[begin..begin + 1 + draw.below(length as u64 - 1) as usize].to_vec(),
        1 => b"[\"page_view\"]".to_vec(),
        2 => replaced(into, "\"user_id\":", "\"uid\":"),
        3 => replaced(into, "\"timestamp\":\"2", "\"timestamp\":\"yesterday 2"),
        4 => replaced(into, "\"url\":\"https://shop.example.com", "\"url\":\""),
        5 => {
            let mut bytes = into[begin..].to_vec();
            let place = bytes.iter().position(|byte| *byte == b'u').unwrap_or(0);
            bytes[place] = 0xff;
            bytes
        }
        _ => replaced(into, ",", ",,"),
    };
    into.truncate(begin);
    into.extend_from_slice(&bad);
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{HashMap, HashSet},
        time::Duration,
    };

    use super::*;

    fn settings() -> Generate {
        Generate { events: Some(40_000), users: 2_000, urls: 500, ..Generate::default() }
    }

    fn parsed(traffic: &Traffic, partition: u32, offset: u64) -> serde_json::Value {
        let mut line = Vec::new();
        traffic.write(partition, offset, &mut line);
        serde_json::from_slice(&line)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&line)))
    }

    #[test]
    fn traffic_looks_like_traffic() {
        let traffic = Traffic::new(&settings());
        let (mut urls, mut users, mut sessions) =
            (HashMap::<String, u32>::new(), HashSet::new(), HashMap::<String, u32>::new());
        for offset in 0..40_000 {
            let event = parsed(&traffic, 0, offset);
            let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            let url = text("url");
            *urls.entry(url.split(['?', '#']).next().unwrap_or_default().to_owned()).or_default() += 1;
            users.insert(text("user_id"));
            *sessions.entry(text("session_id")).or_default() += 1;
        }
        assert!(users.len() > 1_800 && users.len() <= 2_000, "{}", users.len());
        let most = urls.values().max().copied().unwrap_or(0);
        assert!(urls.len() > 300 && most > 40_000 / 20, "{} urls, the first {most} times", urls.len());
        let mean = 40_000.0 / sessions.len() as f64;
        assert!((2.0..5.0).contains(&mean), "{mean} pages a visit");
    }

    #[test]
    fn a_user_is_in_one_partition() {
        let traffic = Traffic::new(&Generate { partitions: 3, ..settings() });
        let mut of = HashMap::new();
        for partition in 0..3 {
            for offset in 0..3_000 {
                let user = parsed(&traffic, partition, offset)["user_id"].to_string();
                assert_eq!(*of.entry(user).or_insert(partition), partition);
            }
        }
        assert_eq!((0..3).map(|partition| traffic.records_of(partition).unwrap()).sum::<u64>(), 40_000);
    }

    #[test]
    fn a_span_holds_however_many_there_are() {
        for events in [100, 10_000] {
            let span = Some(Duration::from_secs(3_600));
            let traffic = Traffic::new(&Generate { events: Some(events), span, late: 0.0, ..settings() });
            let time = |offset| parsed(&traffic, 0, offset)["timestamp"].as_str().unwrap().to_owned();
            assert!(time(0).ends_with("T00:00:00.000Z"), "{}", time(0));
            assert!(time(events / 2).ends_with("T00:30:00.000Z"), "{}", time(events / 2));
            assert!(time(events - 1).contains("T00:59:"), "{}", time(events - 1));
        }
    }

    #[test]
    fn some_are_late_and_some_are_bad() {
        let traffic = Traffic::new(&Generate { late: 0.1, bad: 0.1, ..settings() });
        let (mut bad, mut late, mut before) = (0, 0, String::new());
        for offset in 0..10_000 {
            let mut line = Vec::new();
            traffic.write(0, offset, &mut line);
            match serde_json::from_slice::<serde_json::Value>(&line) {
                Ok(event) if event["timestamp"].as_str().is_some_and(|time| time.starts_with('2')) => {
                    let time = event["timestamp"].as_str().unwrap_or_default().to_owned();
                    if time < before { late += 1 } else { before = time }
                }
                _ => bad += 1,
            }
        }
        assert!((500..900).contains(&bad), "{bad}");
        assert!((700..1_300).contains(&late), "{late}");
    }
}
