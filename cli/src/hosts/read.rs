//! From the text of hosts.yaml to an inventory: parse, put variables in, check, merge, expand, judge as a whole.

use std::{
    path::{Path as FilePath, PathBuf},
    sync::LazyLock,
};

use mesh_core::kind::Role;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::{
    HostEntry, Inventory, Rolling,
    expand::names_of,
    file::{HostsFile, Settings},
    format::check_format,
    place::{exists, locate},
    range::HOSTS_MAX,
    rules, settings,
};
use crate::yaml::{self, Path, Problem, Problems, Tree};

/// What a file may refer to outside of itself.
pub(crate) struct Surroundings<'a> {
    /// The environment.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    /// What `~` is.
    pub(crate) home: Option<&'a FilePath>,
    /// What relative paths start at.
    pub(crate) folder: &'a FilePath,
}

/// A file whose form is right, with the places of everything.
pub(crate) struct Source<'a> {
    tree: &'a Tree,
    json: Json,
    /// Whether something had to be taken out: what is missing then may only be misspelt.
    is_whole: bool,
}

/// One host with where it is said.
pub(crate) struct Placed {
    /// The host.
    pub(crate) entry: HostEntry,
    /// Which item of `hosts` it is from.
    pub(crate) item: usize,
}

static SCHEMA: LazyLock<Json> = LazyLock::new(yaml::schema_of::<HostsFile>);

/// The published schema of hosts.yaml.
pub(crate) fn schema() -> &'static Json {
    &SCHEMA
}

/// Reads a text; the result depends on nothing else.
pub(crate) fn read(name: &str, text: &str, around: &Surroundings<'_>) -> Result<Inventory, Vec<Problem>> {
    let mut problems = Problems::new(name);
    let tree = match yaml::parse(text) {
        Ok(tree) => tree,
        Err((at, sentence)) => {
            problems.add(at, &Path::default(), format!("this is not YAML: {sentence}"), None);
            return Err(problems.into_sorted());
        }
    };
    let mut tree = tree;
    yaml::interpolate(&mut tree, &Path::default(), around.variable, &mut problems);
    let tree = yaml::check(schema(), tree, &check_format, &mut problems);
    let mut source = Source { tree: &tree, json: tree.to_json(), is_whole: problems.is_empty() };
    let inventory = source.inventory(name, around, &mut problems);
    match inventory {
        Some(inventory) if problems.is_empty() => Ok(inventory),
        _ => Err(problems.into_sorted()),
    }
}

impl Source<'_> {
    fn inventory(&mut self, name: &str, around: &Surroundings<'_>, problems: &mut Problems) -> Option<Inventory> {
        let file = match HostsFile::deserialize(&self.json) {
            Ok(file) => file,
            Err(error) => {
                // What the schema lets through, the types read; said all the same rather than assumed.
                problems.add(self.tree.at, &Path::default(), error.to_string(), None);
                return None;
            }
        };
        let mut hosts = Vec::new();
        let mut voters = 0;
        for (item, host) in file.hosts.iter().flatten().enumerate() {
            let path = Path::default().key("hosts").index(item);
            let pool = host.pool.as_ref().map(|it| it.0.as_str());
            if let Some(pool) = pool.filter(|it| !file.pools.contains_key(*it)) {
                let known = file.pools.keys().map(String::as_str);
                let hint = match yaml::nearest(pool, known.clone()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if file.pools.is_empty() => format!("declare it: pools: {{{pool}: {{...}}}}"),
                    None => format!("there are: {}", known.collect::<Vec<_>>().join(", ")),
                };
                self.add(problems, &path.key("pool"), format!("there is no pool {}", yaml::quoted(pool)), Some(hint));
            }
            let Some(settings) = self.merged(item, pool) else { continue };
            let Some(named) = names_of(self, host, &settings, item, problems) else {
                self.is_whole = false;
                continue;
            };
            let context = settings::Context { pool, around };
            for named in named.into_iter().take((HOSTS_MAX + 1).saturating_sub(hosts.len())) {
                let mut entry = context.entry(named, &settings);
                if entry.is(Role::Coordinator) {
                    voters += 1;
                    entry.voter = Some(voters);
                }
                hosts.push(Placed { entry, item });
            }
        }
        rules::judge(self, &file, &hosts, problems);
        let rolling = file.rolling.as_ref().map_or_else(Rolling::default, settings::rolling);
        let hosts = hosts.into_iter().map(|it| it.entry).collect();
        Some(Inventory { mesh: file.mesh?.0, hosts, rolling, file: PathBuf::from(name) })
    }

    /// The settings of a host: its own words before its pool's before the defaults.
    fn merged(&self, item: usize, pool: Option<&str>) -> Option<Settings> {
        let mut merged = Map::new();
        let layers = [
            self.json.get("defaults"),
            pool.and_then(|pool| self.json.get("pools")?.get(pool)),
            self.json.get("hosts").and_then(|it| it.get(item)),
        ];
        for layer in layers.into_iter().flatten().filter_map(Json::as_object) {
            for (key, value) in layer {
                match (merged.get_mut(key), value) {
                    // The two words of the door are said together or not at all.
                    (Some(Json::Object(under)), Json::Object(over)) if key != "router" => {
                        under.extend(over.iter().map(|(key, value)| (key.clone(), value.clone())));
                    }
                    _ => {
                        merged.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        Settings::deserialize(Json::Object(merged)).ok()
    }

    /// Where a setting of a host is said: at the host, its pool or the defaults; at the host when nowhere.
    pub(crate) fn origin(&self, item: usize, keys: &[&str]) -> Path {
        let own = Path::default().key("hosts").index(item);
        let pool = self.json.pointer(&format!("/hosts/{item}/pool")).and_then(Json::as_str);
        let layers = [
            Some(own.clone()),
            pool.map(|it| Path::default().key("pools").key(it)),
            Some(Path::default().key("defaults")),
        ];
        let full = |base: &Path| keys.iter().fold(base.clone(), |path, key| path.key(key));
        let said = layers.into_iter().flatten().map(|it| full(&it)).find(|it| exists(self.tree, it));
        said.unwrap_or_else(|| full(&own))
    }

    /// Adds a problem at the place of a path.
    pub(crate) fn add(&self, problems: &mut Problems, path: &Path, text: impl Into<String>, hint: Option<String>) {
        problems.add(locate(self.tree, path), path, text, hint);
    }

    /// Where a path is, as the text of an error says it.
    pub(crate) fn place(&self, path: &Path) -> String {
        let at = locate(self.tree, path);
        format!("{}:{}", at.line, at.column)
    }

    /// Whether everything in the file could be read.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Whether the file says anything at a path.
    pub(crate) fn says(&self, path: &Path) -> bool {
        exists(self.tree, path)
    }
}
