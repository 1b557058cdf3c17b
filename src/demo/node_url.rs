//! The database URL of the demo's nodes: tags their connections, so that the server can tell them apart.

/// Application name of nodes' connections. Chaos cuts these and never those of participants, whose ledgers must stay
/// true.
pub(super) const NODE: &str = "amends_demo_node";

/// Returns the database URL for a node, with the application name added.
pub(super) fn for_node(database_url: &str) -> String {
    let parameter = format!("application_name={NODE}");
    match (database_url.contains("://"), database_url.contains('?')) {
        (true, true) => format!("{database_url}&{parameter}"),
        (true, false) => format!("{database_url}?{parameter}"),
        (false, _) => format!("{database_url} {parameter}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_told_apart_in_any_connection_string() {
        let name = "application_name=amends_demo_node";
        assert_eq!(for_node("postgres://h/d"), format!("postgres://h/d?{name}"));
        assert_eq!(for_node("postgres://h/d?a=b"), format!("postgres://h/d?a=b&{name}"));
        assert_eq!(for_node("host=h dbname=d"), format!("host=h dbname=d {name}"));
    }
}
