//! What the made-up traffic is drawn from.

/// Countries with a weight, a city, and the first two bytes of their addresses.
pub const COUNTRIES: [(&str, u32, &str, [u8; 2]); 24] = [
    ("US", 300, "New York", [23, 20]),
    ("DE", 120, "Berlin", [91, 64]),
    ("GB", 90, "London", [81, 2]),
    ("IN", 90, "Mumbai", [49, 36]),
    ("FR", 60, "Paris", [90, 80]),
    ("BR", 55, "São Paulo", [177, 32]),
    ("JP", 50, "東京", [126, 12]),
    ("CA", 40, "Toronto", [99, 224]),
    ("ES", 35, "Madrid", [83, 32]),
    ("IT", 35, "Milano", [79, 0]),
    ("NL", 30, "Amsterdam", [84, 24]),
    ("PL", 25, "Kraków", [83, 0]),
    ("AU", 25, "Sydney", [101, 160]),
    ("MX", 22, "Ciudad de México", [187, 128]),
    ("SE", 15, "Göteborg", [78, 64]),
    ("CH", 14, "Zürich", [85, 0]),
    ("AT", 12, "Wien", [77, 116]),
    ("TR", 12, "İstanbul", [78, 160]),
    ("KR", 11, "서울", [121, 128]),
    ("ZA", 8, "Cape Town", [102, 64]),
    ("NO", 7, "Oslo", [84, 208]),
    ("DK", 6, "København", [80, 160]),
    ("FI", 5, "Helsinki", [80, 220]),
    ("NZ", 3, "Auckland", [101, 98]),
];

/// User agents with a weight.
pub const AGENTS: [(&str, u32); 10] = [
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/144.0.0.0 Safari/537.36",
        34,
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Mobile/15E148 Safari/604.1",
        22,
    ),
    (
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/144.0.0.0 Mobile Safari/537.36",
        18,
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Safari/605.1.15",
        8,
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/144.0.0.0 Safari/537.36",
        6,
    ),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:147.0) Gecko/20100101 Firefox/147.0", 5),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/144.0.0.0 Safari/537.36 Edg/144.0.0.0",
        4,
    ),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:147.0) Gecko/20100101 Firefox/147.0", 1),
    (
        "Mozilla/5.0 (iPad; CPU OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Mobile/15E148 Safari/604.1",
        1,
    ),
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", 1),
];

/// Where visits come from, with a weight; empty: nowhere that is told.
pub const REFERRERS: [(&str, u32); 8] = [
    ("", 38),
    ("https://www.google.com/", 34),
    ("https://www.bing.com/", 6),
    ("https://duckduckgo.com/", 4),
    ("https://www.facebook.com/", 6),
    ("https://www.instagram.com/", 5),
    ("https://news.ycombinator.com/item?id=39876543", 2),
    ("https://newsletter.example.net/issues/118", 5),
];

/// Parameters that campaigns put on the page where a visit begins.
pub const CAMPAIGNS: [&str; 5] = [
    "utm_source=newsletter&utm_medium=email&utm_campaign=spring",
    "utm_source=google&utm_medium=cpc&utm_campaign=brand&gclid=",
    "fbclid=IwAR2",
    "utm_source=instagram&utm_medium=social",
    "msclkid=",
];

/// What the made-up shop sells: each has a page, and the pages of products lie below it.
pub const CATEGORIES: [&str; 8] =
    ["shoes", "jackets", "bags", "watches", "bikes", "tents", "lamps", "chairs"];

/// Adjectives that name products and articles.
pub const WORDS: [&str; 16] = [
    "alpine", "urban", "classic", "light", "nordic", "coastal", "vintage", "modern", "trail", "canvas",
    "copper", "velvet", "summit", "river", "ember", "willow",
];
