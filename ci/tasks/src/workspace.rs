//! The crates of the workspace and what each depends on, as cargo tells it.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

pub struct Workspace {
    /// Absolute path of the checkout.
    pub root: String,
    /// Text of the root `Cargo.toml`.
    pub manifest: String,
    pub packages: Vec<Package>,
}

/// A member of the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Folder relative to the root: `engine/types`.
    pub folder: String,
    pub dependencies: Vec<Dependency>,
}

/// A dependency on another member; foreign crates are none of our business here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    pub folder: String,
    /// Only the tests, examples and benchmarks of the crate use it.
    pub only_tests: bool,
}

impl Workspace {
    pub fn load() -> Result<Self, String> {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--format-version", "1", "--no-deps"])
            .output()
            .map_err(|error| format!("cargo metadata: {error}"))?;
        if !output.status.success() {
            return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let metadata = serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
        let (root, packages) = parse(&metadata)?;
        let manifest = std::fs::read_to_string(Path::new(&root).join("Cargo.toml"))
            .map_err(|error| format!("the root Cargo.toml: {error}"))?;
        Ok(Workspace { root, manifest, packages })
    }
}

fn parse(metadata: &Value) -> Result<(String, Vec<Package>), String> {
    let root = text(metadata, "workspace_root")?;
    let packages = array(metadata, "packages")?
        .iter()
        .map(|package| {
            let manifest = text(package, "manifest_path")?;
            let folder = relative(&root, manifest.trim_end_matches("/Cargo.toml"));
            let dependencies = array(package, "dependencies")?
                .iter()
                .filter_map(|dependency| {
                    let path = dependency.get("path")?.as_str()?;
                    let only_tests = dependency.get("kind").and_then(Value::as_str) == Some("dev");
                    Some(Dependency { folder: relative(&root, path), only_tests })
                })
                .collect();
            Ok(Package { folder, dependencies })
        })
        .collect::<Result<_, String>>()?;
    Ok((root, packages))
}

fn relative(root: &str, path: &str) -> String {
    path.strip_prefix(root).unwrap_or(path).trim_start_matches('/').to_string()
}

fn text(value: &Value, field: &str) -> Result<String, String> {
    let found = value.get(field).and_then(Value::as_str);
    Ok(found.ok_or_else(|| format!("cargo metadata has no {field}"))?.to_string())
}

fn array<'a>(value: &'a Value, field: &str) -> Result<&'a Vec<Value>, String> {
    value.get(field).and_then(Value::as_array).ok_or_else(|| format!("cargo metadata has no {field}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_are_told_from_foreign_crates_and_test_dependencies_from_others() {
        let metadata = json!({
            "workspace_root": "/w",
            "packages": [{
                "manifest_path": "/w/engine/kv/Cargo.toml",
                "dependencies": [
                    { "name": "serde", "kind": null },
                    { "name": "shoal-types", "path": "/w/engine/types", "kind": null },
                    { "name": "shoal-oracle", "path": "/w/engine/oracle", "kind": "dev" },
                ],
            }],
        });
        let dependency = |folder: &str, only_tests| Dependency { folder: folder.into(), only_tests };
        let package = Package {
            folder: "engine/kv".into(),
            dependencies: vec![dependency("engine/types", false), dependency("engine/oracle", true)],
        };
        assert_eq!(parse(&metadata), Ok(("/w".into(), vec![package])));
    }

    #[test]
    fn an_answer_without_packages_is_an_error_and_not_an_empty_workspace() {
        assert!(parse(&json!({ "workspace_root": "/w" })).is_err());
    }
}
