//! The list of tools of an MCP server. A call asks for the list when its failure may mean that the server lacks the
//! tool. Reads all pages, at most `TOOL_PAGES_MAX`, as raw JSON.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::model::{ClientRequest, ListToolsRequest, PaginatedRequestParams};
use tokio::time::Instant;

use super::raw::fields;
use crate::config::participant::TOOL_PAGES_MAX;

/// A server that can be asked for its list of tools.
pub(super) trait Server: Sync {
    /// Sends a request and returns the text of its result; none if there is no result.
    fn answer(&self, request: ClientRequest) -> impl Future<Output = Option<String>> + Send;
}

/// The list of tools of a session, once it was read.
#[derive(Default)]
pub(super) struct Tools(Mutex<Option<Listed>>);

#[derive(Clone)]
struct Listed {
    /// When it was asked for.
    at: Instant,
    names: Arc<BTreeSet<String>>,
}

impl Tools {
    /// Whether the server lists a tool, so that it may have carried out a call begun at `begun`; none if that cannot
    /// be found out. An older list can prove that there is such a tool. Only a list asked for after `begun` can prove
    /// that there is none.
    pub(super) async fn has(&self, tool: &str, begun: Instant, server: &impl Server) -> Option<bool> {
        let last = self.last();
        match last.filter(|last| last.at >= begun || last.names.contains(tool)) {
            Some(last) => Some(last.names.contains(tool)),
            None => {
                let at = Instant::now();
                let names = Arc::new(list(server).await?);
                let has = names.contains(tool);
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Listed { at, names });
                Some(has)
            }
        }
    }

    fn last(&self) -> Option<Listed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads all pages; none if one of them cannot be read.
async fn list(server: &impl Server) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut cursor = None;
    for _ in 0..TOOL_PAGES_MAX {
        let params = PaginatedRequestParams::default().with_cursor(cursor);
        let request = ClientRequest::ListToolsRequest(ListToolsRequest::with_param(params));
        let (found, next) = page(&server.answer(request).await?)?;
        names.extend(found);
        match next {
            Some(next) => cursor = Some(next),
            None => return Some(names),
        }
    }
    None
}

/// Reads the names on a page, and the cursor of the next page. Ignores everything else about a tool.
fn page(page: &str) -> Option<(Vec<String>, Option<String>)> {
    let fields = fields(page)?;
    let tools: Vec<&serde_json::value::RawValue> = serde_json::from_str(fields.get("tools")?.get()).ok()?;
    let name = |tool: &serde_json::value::RawValue| -> Option<String> {
        serde_json::from_str(self::fields(tool.get())?.get("name")?.get()).ok()
    };
    let names = tools.into_iter().map(name).collect::<Option<Vec<_>>>()?;
    let next = match fields.get("nextCursor") {
        Some(next) => serde_json::from_str(next.get()).ok()?,
        None => None,
    };
    Some((names, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_for_its_names_alone() {
        let odd = r#"{"tools":[{"name":"a","inputSchema":7},{"name":"b","x":[]}],"nextCursor":"2","ttl":{}}"#;
        assert_eq!(page(odd), Some((vec!["a".into(), "b".into()], Some("2".into()))));
        assert_eq!(page(r#"{"tools":[],"nextCursor":null}"#), Some((vec![], None)));
        // A list that cannot be read in full proves nothing.
        for broken in [r#"{"tools":[{"title":"a"}]}"#, r#"{"tools":{}}"#, "{}", r#"{"tools":[],"nextCursor":7}"#] {
            assert_eq!(page(broken), None, "{broken}");
        }
    }
}
