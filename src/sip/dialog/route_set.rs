//! The route set of a dialog (RFC 3261 §12.1, §12.2.1.1), loose and strict routers.

use crate::sip::msg::NameAddr;

/// The routers between us and the peer, nearest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RouteSet(Vec<Route>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Route {
    value: Box<str>,
    uri: Box<str>,
    loose: bool,
}

impl RouteSet {
    /// From the Record-Route set of the request that made us a callee: in its order.
    pub(crate) fn of_callee(record_routes: &[NameAddr]) -> Self {
        let route = |address: &NameAddr| Route {
            value: address.to_string().into(),
            uri: address.uri.to_string().into(),
            loose: address.uri.is_loose(),
        };
        Self(record_routes.iter().map(route).collect())
    }

    /// From the Record-Route set of the response that made us a caller: reversed.
    pub(crate) fn of_caller(record_routes: &[NameAddr]) -> Self {
        let mut routes = Self::of_callee(record_routes);
        routes.0.reverse();
        routes
    }

    /// Request-URI and Route values of a request to `target`.
    pub(crate) fn apply(&self, target: &str) -> (String, Vec<String>) {
        let Some((first, rest)) = self.0.split_first() else {
            return (target.into(), Vec::new());
        };
        if first.loose {
            return (
                target.into(),
                self.0.iter().map(|r| r.value.to_string()).collect(),
            );
        }
        // A strict router finds itself in the Request-URI and the target at the end of Route.
        let mut routes: Vec<String> = rest.iter().map(|r| r.value.to_string()).collect();
        routes.push(format!("<{target}>"));
        (first.uri.to_string(), routes)
    }

    /// The URI whose host the request is sent to.
    pub(crate) fn next_hop<'a>(&'a self, target: &'a str) -> &'a str {
        self.0.first().map_or(target, |first| &first.uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(values: &[&str]) -> Vec<NameAddr> {
        values.iter().map(|v| NameAddr::parse(v).unwrap()).collect()
    }

    #[test]
    fn without_routes_the_target_is_the_request_uri() {
        assert_eq!(
            RouteSet::default().apply("sip:a@b"),
            ("sip:a@b".into(), vec![])
        );
        assert_eq!(RouteSet::default().next_hop("sip:a@b"), "sip:a@b");
    }

    #[test]
    fn loose_routes_are_listed_and_the_target_stays() {
        let routes = RouteSet::of_caller(&routes(&["<sip:p2;lr>", "<sip:p1;lr>"]));
        let (uri, values) = routes.apply("sip:a@b");
        assert_eq!(
            (uri.as_str(), values),
            (
                "sip:a@b",
                vec!["<sip:p1;lr>".to_owned(), "<sip:p2;lr>".to_owned()]
            )
        );
        assert_eq!(routes.next_hop("sip:a@b"), "sip:p1;lr");
    }

    #[test]
    fn a_strict_router_becomes_the_request_uri() {
        let routes = RouteSet::of_callee(&routes(&["<sip:p1>;x=y", "<sip:p2;lr>"]));
        let (uri, values) = routes.apply("sip:a@b");
        assert_eq!(
            (uri.as_str(), values),
            (
                "sip:p1",
                vec!["<sip:p2;lr>".to_owned(), "<sip:a@b>".to_owned()]
            )
        );
    }
}
