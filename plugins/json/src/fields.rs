//! The contract's fields: their names, aliases, rules and places in stored events.

/// Where stored events keep a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Click,
    Geo,
    UserAgent,
}

impl Family {
    /// In the order in which fields are looked for.
    pub const ALL: [Self; 3] = [Self::Click, Self::Geo, Self::UserAgent];

    pub fn name(self) -> &'static str {
        match self {
            Self::Click => "click_data",
            Self::Geo => "geo_data",
            Self::UserAgent => "user_agent_data",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }
}

/// What a value must be, and what it becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    UserId,
    Timestamp,
    Url,
    /// Text that is `page_view` where there is none.
    EventType,
    /// A code that is `ZZ` where there is none.
    Country,
    Address,
    Text,
    /// Any value, as its JSON text.
    Json,
    Instant,
    /// Milliseconds.
    Duration,
    Integer,
    Unsigned,
    Real,
    Boolean,
}

/// A field of the contract.
pub struct Known {
    pub name: &'static str,
    pub alias: Option<&'static str>,
    pub rule: Rule,
    pub family: Family,
    pub doc: &'static str,
}

const fn known(name: &'static str, rule: Rule, family: Family, doc: &'static str) -> Known {
    Known { name, alias: None, rule, family, doc }
}

/// The contract's fields, the three required ones first, in the order in which they are judged.
pub const KNOWN: [Known; 15] = [
    known("user_id", Rule::UserId, Family::Click, "Who clicked: a text, or a whole number in plain digits"),
    known("timestamp", Rule::Timestamp, Family::Click, "When the click was"),
    Known {
        alias: Some("page_url"),
        ..known("url", Rule::Url, Family::Click, "The page's URL, as it was found")
    },
    known("event_id", Rule::Text, Family::Click, "The sender's name for the event; stored, never used"),
    known("event_type", Rule::EventType, Family::Click, "What happened; `page_view` where nothing is said"),
    Known {
        alias: Some("referer"),
        ..known("referrer", Rule::Text, Family::Click, "Where the user came from")
    },
    known("session_id", Rule::Text, Family::Click, "The sender's name for the session"),
    known("country", Rule::Country, Family::Geo, "ISO 3166-1 alpha-2 or `XK`; `ZZ` where it is unknown"),
    known("city", Rule::Text, Family::Geo, "The city"),
    known("region", Rule::Text, Family::Geo, "The region"),
    Known {
        alias: Some("ip"),
        ..known("ip_address", Rule::Address, Family::Geo, "The address, in canonical text")
    },
    known("user_agent", Rule::Text, Family::UserAgent, "The user agent, as the browser names itself"),
    known("browser", Rule::Text, Family::UserAgent, "The browser, where the event brings it"),
    known(
        "operating_system",
        Rule::Text,
        Family::UserAgent,
        "The operating system, where the event brings it",
    ),
    known("device", Rule::Text, Family::UserAgent, "The device, where the event brings it"),
];

/// The places of those that an event must have, in [`KNOWN`] and in every plan.
pub const USER_ID: usize = 0;
pub const TIMESTAMP: usize = 1;
pub const URL: usize = 2;
/// How many they are.
pub const REQUIRED: usize = 3;

impl Known {
    /// Where the field is looked for: at the top, then in each family's object, by name and then by alias.
    pub fn default_paths(&self) -> Vec<Vec<String>> {
        let families = Family::ALL.into_iter().map(|family| Some(family.name()));
        let mut paths = Vec::new();
        for object in std::iter::once(None).chain(families) {
            for name in std::iter::once(self.name).chain(self.alias) {
                paths.push(object.into_iter().chain([name]).map(str::to_owned).collect());
            }
        }
        paths
    }
}
