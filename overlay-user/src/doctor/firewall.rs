//! Rules of nftables, and of iptables where that is made of them, that drop tunnels at input.

use serde_json::Value;

/// A chain that drops a tunnel's packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The family of its table.
    pub family: String,
    /// The table.
    pub table: String,
    /// The chain's name.
    pub chain: String,
    /// The tunnel's UDP port.
    pub port: u16,
}

impl Blocked {
    /// How `nft` names the chain.
    pub fn chain(&self) -> String {
        format!("{} {} {}", self.family, self.table, self.chain)
    }
}

/// What of a ruleset (`nft -j list ruleset`) drops packets to these ports: base chains at input
/// whose first rule about the port drops it, or that drop by default and have no rule about it.
/// Rules are read as far as they are about ports; whatever else they ask is taken to be met only
/// where they drop.
pub fn blocked(ruleset: &str, ports: &[u16]) -> Option<Vec<Blocked>> {
    let ruleset: Value = serde_json::from_str(ruleset).ok()?;
    let items = ruleset["nftables"].as_array()?;
    let mut found = Vec::new();
    for chain in items.iter().filter_map(|item| item.get("chain")) {
        if chain["hook"] != "input" {
            continue;
        }
        let field = |name: &str| chain[name].as_str().unwrap_or_default().to_owned();
        let (family, table, name) = (field("family"), field("table"), field("name"));
        let is_its = |rule: &&Value| {
            rule["family"] == chain["family"]
                && rule["table"] == chain["table"]
                && rule["chain"] == chain["name"]
        };
        let rules: Vec<&Value> =
            items.iter().filter_map(|item| item.get("rule")).filter(is_its).collect();
        for port in ports {
            let verdict = rules.iter().find_map(|rule| verdict(rule, *port));
            if verdict.unwrap_or(chain["policy"] == "drop") {
                let (family, table) = (family.clone(), table.clone());
                found.push(Blocked { family, table, chain: name.clone(), port: *port });
            }
        }
    }
    Some(found)
}

/// Whether a rule about this port drops; `None` where it is about something else.
fn verdict(rule: &Value, port: u16) -> Option<bool> {
    let parts = rule["expr"].as_array()?;
    let has = |name: &str| parts.iter().any(|part| part.get(name).is_some());
    let drops = has("drop") || has("reject");
    if !drops && !has("accept") {
        return None;
    }
    let matches: Vec<&Value> = parts.iter().filter_map(|part| part.get("match")).collect();
    let about_port = matches.iter().any(|part| {
        let payload = &part["left"]["payload"];
        payload["field"] == "dport"
            && payload["protocol"] != "tcp"
            && part["op"] != "!="
            && holds(&part["right"], port)
    });
    let unconditional = matches.is_empty();
    (about_port || unconditional).then_some(drops)
}

/// Whether a value, a set or a range holds a port.
fn holds(value: &Value, port: u16) -> bool {
    let number = u64::from(port);
    if let Some(set) = value.get("set").and_then(Value::as_array) {
        return set.iter().any(|value| holds(value, port));
    }
    if let Some([from, to]) = value.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        let (from, to) = (from.as_u64().unwrap_or(u64::MAX), to.as_u64().unwrap_or(0));
        return (from..=to).contains(&number);
    }
    value.as_u64() == Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ruleset(policy: &str, rules: &[Value]) -> String {
        let chain = json!({ "chain": { "family": "inet", "table": "filter", "name": "input", "hook": "input", "policy": policy } });
        let rules = rules.iter().map(|expr| {
            json!({ "rule": { "family": "inet", "table": "filter", "chain": "input", "expr": expr } })
        });
        let all: Vec<Value> = std::iter::once(chain).chain(rules).collect();
        json!({ "nftables": all }).to_string()
    }

    fn dport(right: &Value, verdict: &str) -> Value {
        let left = json!({ "payload": { "protocol": "udp", "field": "dport" } });
        json!([{ "match": { "op": "==", "left": left, "right": right } }, { verdict: null }])
    }

    #[test]
    fn the_first_rule_about_the_port_decides() {
        let is_blocked = |policy: &str, rules: &[Value]| {
            !blocked(&ruleset(policy, rules), &[4789]).unwrap().is_empty()
        };
        assert!(!is_blocked("accept", &[]));
        assert!(is_blocked("drop", &[]));
        assert!(is_blocked("accept", &[dport(&json!(4789), "drop")]));
        assert!(!is_blocked("drop", &[dport(&json!(4789), "accept")]));
        assert!(!is_blocked("accept", &[dport(&json!(53), "drop")]));
        let (set, range) = (json!({ "set": [53, 4789] }), json!({ "range": [4000, 5000] }));
        assert!(is_blocked("accept", &[dport(&set, "reject")]));
        assert!(is_blocked("accept", &[dport(&range, "drop")]));
        assert!(!is_blocked("drop", &[dport(&range, "accept"), dport(&json!(4789), "drop")]));
        assert!(is_blocked("accept", &[json!([{ "drop": null }])]), "everything is dropped");
        assert_eq!(blocked("no ruleset", &[4789]), None);
    }
}
