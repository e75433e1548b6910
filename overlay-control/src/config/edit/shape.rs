//! What a configuration is made of: which tables there are in which, and what tells those of a
//! list from each other.

/// A table, or a list of them.
#[derive(Debug, PartialEq, Eq)]
pub struct Shape {
    /// Its key in the file.
    pub word: &'static str,
    /// What tells one from the others.
    pub by: By,
    /// What it holds.
    pub within: &'static [Shape],
}

/// What tells a table from the others of its list.
#[derive(Debug, PartialEq, Eq)]
pub enum By {
    /// There is only one.
    Only,
    /// The values of these keys, the first of which each has.
    Keys(&'static [Key]),
    /// Its place in the list.
    Position,
}

/// A key that tells tables apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// How its values are compared.
    pub like: Like,
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Like {
    /// Letter by letter.
    Text,
    /// As MAC addresses.
    Mac,
    /// As IP addresses.
    Ip,
    /// As networks.
    Network,
    /// As numbers.
    Number,
    /// As kinds of VLAN tags, where the usual one may be left out.
    Tag,
}

const fn only(word: &'static str) -> Shape {
    Shape { word, by: By::Only, within: &[] }
}

const fn list(word: &'static str, keys: &'static [Key], within: &'static [Shape]) -> Shape {
    Shape { word, by: By::Keys(keys), within }
}

const NAME: &[Key] = &[Key { name: "name", like: Like::Text }];
const MAC: &[Key] = &[Key { name: "mac", like: Like::Mac }];
const IP: &[Key] = &[Key { name: "ip", like: Like::Ip }];
const PREFIX: &[Key] = &[Key { name: "prefix", like: Like::Network }];
const INTERFACE: &[Key] = &[Key { name: "interface", like: Like::Text }];
const PORT: &[Key] = &[
    Key { name: "interface", like: Like::Text },
    Key { name: "vlan", like: Like::Number },
    Key { name: "protocol", like: Like::Tag },
];

/// The whole file.
pub static FILE: Shape = Shape {
    word: "",
    by: By::Only,
    within: &[
        only("node"),
        only("api"),
        only("metrics"),
        only("web"),
        list("uplink", INTERFACE, &[]),
        list(
            "segment",
            NAME,
            &[
                list("port", PORT, &[list("host", MAC, &[]), only("limit")]),
                list("fdb", MAC, &[]),
                list("neighbour", IP, &[]),
                Shape { word: "acl", by: By::Position, within: &[] },
                only("acl_default"),
                only("limit"),
            ],
        ),
        list("vrf", NAME, &[list("route", PREFIX, &[])]),
        list("peer", NAME, &[only("limit")]),
    ],
};

impl Shape {
    /// What it holds under this key.
    pub fn within(&self, word: &str) -> Option<&'static Shape> {
        self.within.iter().find(|shape| shape.word == word)
    }

    /// Whether there may be several.
    pub fn is_list(&self) -> bool {
        self.by != By::Only
    }

    /// The keys that tell it from the others.
    pub const fn keys(&self) -> &'static [Key] {
        match self.by {
            By::Keys(keys) => keys,
            By::Only | By::Position => &[],
        }
    }

    /// How one of it is named in a path.
    pub fn form(&self) -> String {
        match self.by {
            By::Only => self.word.to_owned(),
            By::Position => format!("{}/POSITION", self.word),
            By::Keys(keys) => {
                let (first, more) = keys.split_first().map_or(("", keys), |(k, m)| (k.name, m));
                let more: String =
                    more.iter().map(|key| format!("[/{}]", key.name.to_uppercase())).collect();
                format!("{}/{}{more}", self.word, first.to_uppercase())
            }
        }
    }
}
