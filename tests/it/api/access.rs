//! Who may do what on a fake API server: a small RBAC.

/// What a request for objects asks for, as the authorizer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    pub verb: &'static str,
    pub group: String,
    pub version: String,
    pub plural: String,
    pub namespace: Option<String>,
    pub name: Option<String>,
}

impl Attributes {
    pub fn title(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Why a request is refused, in the words of kube-apiserver.
    pub fn refusal(&self, user: &str) -> String {
        let Self { verb, group, plural, .. } = self;
        let what = match &self.name {
            Some(name) => format!("{} {name:?}", self.title()),
            None => self.title(),
        };
        let place = match &self.namespace {
            Some(namespace) => format!("in the namespace {namespace:?}"),
            None => "at the cluster scope".to_owned(),
        };
        format!("{what} is forbidden: User {user:?} cannot {verb} resource {plural:?} in API group {group:?} {place}")
    }
}

/// A verb on a resource, perhaps in one namespace only or on one object only.
#[derive(Debug, Clone)]
pub struct Rule {
    verb: &'static str,
    title: String,
    namespace: Option<String>,
    name: Option<String>,
}

impl Rule {
    /// A rule for a resource by its title, such as `seeds.kubermatic.k8c.io`.
    pub fn new(verb: &'static str, title: impl Into<String>) -> Self {
        Self { verb, title: title.into(), namespace: None, name: None }
    }

    pub fn named(self, namespace: &str, name: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), name: Some(name.to_owned()), ..self }
    }

    fn covers(&self, attributes: &Attributes) -> bool {
        let within = |rule: &Option<String>, asked: &Option<String>| rule.is_none() || rule == asked;
        self.verb == attributes.verb
            && self.title == attributes.title()
            && within(&self.namespace, &attributes.namespace)
            && within(&self.name, &attributes.name)
    }
}

/// What the users of a server may do; discovery and the version are everybody's.
#[derive(Debug, Clone, Default)]
pub struct Access {
    allowed: Option<Vec<Rule>>,
    denied: Vec<Rule>,
}

impl Access {
    pub fn only(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self { allowed: Some(rules.into_iter().collect()), denied: Vec::new() }
    }

    /// Everything but this.
    pub fn but(rule: Rule) -> Self {
        Self { allowed: None, denied: vec![rule] }
    }

    pub fn allows(&self, attributes: &Attributes) -> bool {
        let covered = |rules: &[Rule]| rules.iter().any(|rule| rule.covers(attributes));
        self.allowed.as_deref().is_none_or(covered) && !covered(&self.denied)
    }
}
