//! What kube-apiserver answers, byte shapes included; compared with one of Kubernetes 1.36.

use serde_json::{Value, json};

use super::access::{Access, Attributes};
use super::http::{Answer, Request};
use super::objects::{List, Objects, RESOURCES, Resource};
use super::paging::{Cluster, NoPage, Page, Wanted, inconsistent};

/// Answers a request; `user` is absent where the credentials are wrong.
pub fn answer(cluster: &mut Cluster, request: &Request, user: Option<&str>, access: &Access) -> Answer {
    let Some(user) = user else { return error(401, request, None) };
    if request.method != "GET" {
        let message = "the server does not allow this method on the requested resource";
        return status_with(405, "MethodNotAllowed", message, "{}", "{}");
    }
    if request.path == "/version" {
        return version(cluster.objects().version.as_deref().unwrap_or("v1.33.4"));
    }
    if let Some(answer) = discovery(cluster.objects(), &request.path) {
        return answer;
    }
    let Some(asked) = attributes(&request.path) else { return page_not_found() };
    if !access.allows(&asked) {
        return forbidden(&asked, user);
    }
    let resource = RESOURCES.iter().find(|resource| {
        (resource.group, resource.version, resource.plural) == (&asked.group, &asked.version, &asked.plural)
            && cluster.objects().is_installed(resource)
    });
    match (resource, &asked.name) {
        // CRDs are not known to the mux, which has a text for what it does not know.
        (None, _) if asked.group.is_empty() => error(404, request, None),
        (None, _) => page_not_found(),
        (Some(resource), Some(_)) => object(cluster.objects(), resource, &asked),
        (Some(resource), None) => list(cluster, resource, &asked, request),
    }
}

/// What a path asks for. Paths that name no objects give nothing.
pub fn attributes(path: &str) -> Option<Attributes> {
    let parts: Vec<_> = path.strip_prefix('/')?.split('/').collect();
    let (group, version, rest) = match parts[..] {
        ["api", version, ref rest @ ..] => ("", version, rest),
        ["apis", group, version, ref rest @ ..] => (group, version, rest),
        _ => return None,
    };
    let (namespace, plural, name) = match *rest {
        ["namespaces", name] => (Some(name), "namespaces", Some(name)),
        ["namespaces", namespace, plural] => (Some(namespace), plural, None),
        ["namespaces", namespace, plural, name] => (Some(namespace), plural, Some(name)),
        [plural] => (None, plural, None),
        [plural, name] => (None, plural, Some(name)),
        _ => return None,
    };
    Some(Attributes {
        verb: if name.is_some() { "get" } else { "list" },
        group: group.to_owned(),
        version: version.to_owned(),
        plural: plural.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: name.map(str::to_owned),
    })
}

// Errors.

fn status_with(code: u16, reason: &str, message: &str, details: &str, metadata: &str) -> Answer {
    let (reason, message) = (json!(reason), json!(message));
    let details = if details.is_empty() { String::new() } else { format!(r#""details":{details},"#) };
    let body = format!(
        concat!(
            r#"{{"kind":"Status","apiVersion":"v1","metadata":{metadata},"status":"Failure","#,
            r#""message":{message},"reason":{reason},{details}"code":{code}}}"#,
            "\n"
        ),
        metadata = metadata,
        message = message,
        reason = reason,
        details = details,
        code = code
    );
    Answer::json(code, body)
}

fn status(code: u16, reason: &str, message: &str) -> Answer {
    status_with(code, reason, message, "", "{}")
}

fn page_not_found() -> Answer {
    Answer::text(404, "404 page not found\n").header("X-Content-Type-Options", "nosniff")
}

fn forbidden(asked: &Attributes, user: &str) -> Answer {
    let details = details(asked);
    status_with(403, "Forbidden", &asked.refusal(user), &details, "{}").header("X-Content-Type-Options", "nosniff")
}

/// Name, group and kind, in this order and where they are not empty.
fn details(asked: &Attributes) -> String {
    let fields = [
        ("name", asked.name.as_deref().unwrap_or_default()),
        ("group", asked.group.as_str()),
        ("kind", asked.plural.as_str()),
    ];
    let fields = fields.iter().filter(|(_, value)| !value.is_empty());
    let fields: Vec<_> = fields.map(|(name, value)| format!("{}:{}", json!(name), json!(value))).collect();
    format!("{{{}}}", fields.join(","))
}

/// kube-apiserver's own error of a code, wherever it comes from.
pub fn error(code: u16, request: &Request, retry_after: Option<u64>) -> Answer {
    let asked = attributes(&request.path);
    let answer = match code {
        401 => status(401, "Unauthorized", "Unauthorized"),
        403 => forbidden(&asked.expect("only requests for objects can be forbidden"), "somebody"),
        404 => status_with(404, "NotFound", "the server could not find the requested resource", "{}", "{}"),
        410 => expired(request),
        429 => Answer::text(429, "Too many requests, please try again later.\n"),
        500 => {
            let cause = "etcdserver: request timed out";
            let details = json!({"causes": [{"message": cause}]}).to_string();
            status_with(500, "InternalError", &format!("Internal error occurred: {cause}"), &details, "{}")
        }
        503 => {
            let message = "the request has been made before all known HTTP paths have been installed, please try again";
            let details = retry_after.map_or("{}".to_owned(), |after| format!(r#"{{"retryAfterSeconds":{after}}}"#));
            status_with(503, "ServiceUnavailable", message, &details, "{}")
        }
        504 => {
            let message = "Timeout: request did not complete within the allotted timeout";
            status_with(504, "Timeout", message, "{}", "{}")
        }
        _ => panic!("the fake API server has no error {code}"),
    };
    retry_after.into_iter().fold(answer, |answer, after| answer.header("Retry-After", &after.to_string()))
}

/// Pages in the middle of a list are offered a token that goes on all the same, in the state of today.
fn expired(request: &Request) -> Answer {
    match request.asks("continue") {
        None => status(410, "Expired", "The resourceVersion for the provided list is too old."),
        Some(token) => expired_with(&inconsistent(token)),
    }
}

fn expired_with(token: &str) -> Answer {
    let message = "The provided continue parameter is too old to display a consistent list result. You can start a \
                   new list without the continue parameter, or use the continue token in this response to retrieve \
                   the remainder of the results. Continuing with the provided token results in an inconsistent list \
                   - objects that were created, modified, or deleted between the time the first chunk was returned \
                   and now may show up in the list.";
    let metadata = json!({ "continue": token }).to_string();
    status_with(410, "Expired", message, "", &metadata)
}

// Version and discovery.

fn version(version: &str) -> Answer {
    let mut numbers = version.trim_start_matches('v').split('.');
    let body = json!({
        "major": numbers.next().unwrap_or_default(),
        "minor": numbers.next().unwrap_or_default(),
        "gitVersion": version,
        "gitCommit": "0000000000000000000000000000000000000000",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "go1.24.6",
        "compiler": "gc",
        "platform": "linux/amd64",
    });
    Answer::json(200, serde_json::to_string_pretty(&body).unwrap())
}

fn discovery(objects: &Objects, path: &str) -> Option<Answer> {
    let parts: Vec<_> = path.strip_prefix('/')?.split('/').collect();
    let answer = match parts[..] {
        ["api"] => json!({"kind": "APIVersions", "versions": ["v1"]}).to_string(),
        ["api", "v1"] => resources(objects, "", "v1")?,
        ["apis"] => groups(objects),
        // A group that nobody installed is as unknown as any other path.
        ["apis", group, version] => match resources(objects, group, version) {
            Some(body) => body,
            None => return Some(page_not_found()),
        },
        _ => return None,
    };
    Some(Answer::json(200, answer + "\n"))
}

fn groups(objects: &Objects) -> String {
    let mut versions: Vec<_> = RESOURCES
        .iter()
        .filter(|resource| !resource.group.is_empty() && objects.is_installed(resource))
        .map(|resource| (resource.group, resource.version))
        .collect();
    versions.dedup();
    let groups = versions.into_iter().map(|(group, version)| {
        let version = json!({"groupVersion": format!("{group}/{version}"), "version": version});
        json!({"name": group, "versions": [version], "preferredVersion": version})
    });
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups.collect::<Vec<_>>()}).to_string()
}

fn resources(objects: &Objects, group: &str, version: &str) -> Option<String> {
    let of_group = RESOURCES
        .iter()
        .filter(|resource| (resource.group, resource.version) == (group, version) && objects.is_installed(resource));
    let verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    let rows: Vec<_> = of_group
        .map(|resource| {
            json!({
                "name": resource.plural,
                "singularName": resource.kind.to_lowercase(),
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": verbs,
            })
        })
        .collect();
    let first = RESOURCES.iter().find(|resource| (resource.group, resource.version) == (group, version))?;
    let body = json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": first.api_version(),
        "resources": rows,
    });
    (!rows.is_empty()).then(|| body.to_string())
}

// Objects.

fn object(objects: &Objects, resource: &Resource, asked: &Attributes) -> Answer {
    let list = objects.list(resource);
    let name = asked.name.as_deref().unwrap_or_default();
    let key = match &asked.namespace {
        Some(namespace) if resource.namespaced => format!("{namespace}/{name}"),
        _ => name.to_owned(),
    };
    let index = list.first_from(&key);
    if index == list.len() || list.key(index) != key {
        let message = format!("{} {name:?} not found", asked.title());
        return status_with(404, "NotFound", &message, &details(asked), "{}");
    }
    let object = list.at(index);
    // Typed objects begin with what they are.
    let body = if resource.group.is_empty() {
        let mut rest = typeless(&object);
        let inner = rest.split_off(1);
        format!(r#"{{"kind":{},"apiVersion":{},{inner}"#, json!(resource.kind), json!(resource.version))
    } else {
        object.to_string()
    };
    Answer::json(200, body + "\n")
}

/// An object without `kind` and `apiVersion`, as items of typed lists are; metadata comes first.
fn typeless(object: &Value) -> String {
    let rest = object.as_object().into_iter().flatten();
    let mut rest: Vec<_> = rest.filter(|(name, _)| !matches!(name.as_str(), "kind" | "apiVersion")).collect();
    rest.sort_by_key(|(name, _)| *name != "metadata");
    let rest: Vec<_> = rest.into_iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
    format!("{{{}}}", rest.join(","))
}

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Typed,
    Custom,
    PartialMetadata,
}

fn list(cluster: &mut Cluster, resource: &'static Resource, asked: &Attributes, request: &Request) -> Answer {
    let known = ["continue", "limit", "pretty", "resourceVersion", "timeoutSeconds"];
    if let Some(unknown) = request.query.keys().find(|name| !known.contains(&name.as_str())) {
        return Answer::text(501, &format!("the fake API server does not know {unknown}\n"));
    }
    let Ok(limit) = request.asks("limit").unwrap_or("0").parse() else {
        return status(400, "BadRequest", "strconv.ParseInt: invalid syntax");
    };
    let Some(form) = form(resource, request.header("accept")) else {
        let message = "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, \
                       application/vnd.kubernetes.protobuf";
        return status_with(406, "NotAcceptable", message, "{}", "{}");
    };
    let asked_for = |name: &str| request.asks(name).filter(|value| !value.is_empty()).map(str::to_owned);
    let wanted = Wanted { limit, token: asked_for("continue"), resource_version: asked_for("resourceVersion") };
    match cluster.page(resource, asked, &wanted) {
        Ok(page) => page_answer(resource, form, page),
        Err(NoPage::Bad(message)) => status(400, "BadRequest", message),
        Err(NoPage::Expired(token)) => expired_with(&token),
    }
}

/// The first form in `Accept` that the server has.
fn form(resource: &Resource, accept: &str) -> Option<Form> {
    let own = if resource.group.is_empty() { Form::Typed } else { Form::Custom };
    if accept.is_empty() {
        return Some(own);
    }
    accept.split(',').find_map(|clause| {
        let mut parts = clause.split(';').map(str::trim);
        let media = parts.next()?;
        if !matches!(media, "application/json" | "application/*" | "*/*") {
            return None;
        }
        let parameters: Vec<_> = parts.collect();
        match parameters.iter().find_map(|parameter| parameter.strip_prefix("as=")) {
            None => Some(own),
            Some("PartialObjectMetadataList") => {
                let named = ["g=meta.k8s.io", "v=v1"].iter().all(|parameter| parameters.contains(parameter));
                named.then_some(Form::PartialMetadata)
            }
            Some(_) => None,
        }
    })
}

fn page_answer(resource: &'static Resource, form: Form, page: Page) -> Answer {
    let (before, after) = around_items(resource, form, &page);
    let Page { list, range, .. } = page;
    let first = range.start;
    let items = range.map(move |index| {
        let comma = if index == first { "" } else { "," };
        format!("{comma}{}", item(&list, index, form)).into_bytes()
    });
    let mut answer = Answer::json(200, "");
    answer.body = Box::new(std::iter::once(before).chain(items).chain(std::iter::once(after)));
    answer
}

fn item(list: &List, index: usize, form: Form) -> String {
    let object = list.at(index);
    match form {
        Form::Typed => typeless(&object),
        Form::Custom => object.to_string(),
        Form::PartialMetadata => format!(
            r#"{{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{}}}"#,
            object["metadata"]
        ),
    }
}

/// What stands before and behind the items. Lists of custom resources are maps, whose keys are sorted: what one would
/// like to know first comes last.
fn around_items(resource: &Resource, form: Form, page: &Page) -> (Vec<u8>, Vec<u8>) {
    let revision = page.revision.to_string();
    let (before, after) = match form {
        Form::Custom => {
            let mut metadata =
                json!({"continue": page.token.as_deref().unwrap_or_default(), "resourceVersion": revision});
            if let Some(remaining) = page.remaining {
                metadata["remainingItemCount"] = json!(remaining);
            }
            let before = format!(r#"{{"apiVersion":{},"items":["#, json!(resource.api_version()));
            (before, format!(r#"],"kind":{},"metadata":{metadata}}}"#, json!(format!("{}List", resource.kind))))
        }
        Form::Typed | Form::PartialMetadata => {
            let (kind, version) = match form {
                Form::PartialMetadata => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned()),
                _ => (format!("{}List", resource.kind), resource.api_version()),
            };
            let mut metadata = format!(r#""resourceVersion":{}"#, json!(revision));
            if let (Some(token), Some(remaining)) = (&page.token, page.remaining) {
                let more = format!(r#","continue":{},"remainingItemCount":{remaining}"#, json!(token));
                metadata.push_str(&more);
            }
            let (kind, version) = (json!(kind), json!(version));
            (format!(r#"{{"kind":{kind},"apiVersion":{version},"metadata":{{{metadata}}},"items":["#), "]}".to_owned())
        }
    };
    (before.into_bytes(), (after + "\n").into_bytes())
}

/// A list whose `items` is a given text.
pub fn list_with_items(path: &str, items: &str) -> Answer {
    let (before, after) = around_no_items(path);
    let (Some(before), Some(after)) = (before.strip_suffix(b"["), after.strip_prefix(b"]")) else {
        unreachable!("items are an array")
    };
    Answer::json(200, [before, items.as_bytes(), after].concat())
}

/// A list without end, in which one object after another differs only by its name.
pub fn endless_list(path: &str) -> Answer {
    let items = (0u64..).map(|number| format!(r#"{{"metadata":{{"name":"endless-{number:020}"}},"spec":{{}}}},"#));
    let mut answer = Answer::json(200, "");
    answer.body = Box::new(std::iter::once(around_no_items(path).0).chain(items.map(String::into_bytes)));
    answer
}

fn around_no_items(path: &str) -> (Vec<u8>, Vec<u8>) {
    let resource = RESOURCES.iter().find(|resource| resource.path() == path).expect("the path of a list");
    let form = if resource.group.is_empty() { Form::Typed } else { Form::Custom };
    let page = Page { list: List::default(), range: 0..0, revision: 1, token: None, remaining: None };
    around_items(resource, form, &page)
}
