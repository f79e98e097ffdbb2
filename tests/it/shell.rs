//! What the program tells shells and readers of manuals, and what it says of its own build.

use std::process::{Command, Stdio};

use crate::support::{Desk, Printed, root, skip, tool};

/// Every verb and what is below it, as help lists them.
fn verbs(desk: &Desk) -> Vec<Vec<String>> {
    let listed = |above: &[String]| -> Vec<Vec<String>> {
        let help = desk.run(above.iter().map(String::as_str).chain(["--help"])).ok().stdout;
        let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        let names =
            lines.take_while(|line| !line.is_empty()).filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
        let names = names.filter(|name| !name.is_empty() && *name != "help");
        names.map(|name| above.iter().cloned().chain([name.to_owned()]).collect()).collect()
    };
    let first = listed(&[]);
    let below = first
        .iter()
        .filter(|verb| ["keys", "tables"].contains(&verb[0].as_str()))
        .flat_map(|verb| listed(verb))
        .collect::<Vec<_>>();
    first.into_iter().chain(below).collect()
}

#[test]
fn there_is_a_manual_page_for_every_verb_with_its_options() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("man")).unwrap();
    desk.line("man man").ok();
    let verbs = verbs(&desk);
    assert!(verbs.len() > 18, "{verbs:?}");
    let mut expected: Vec<_> = verbs.iter().map(|verb| format!("kubermatic-telemetry-{}.1", verb.join("-"))).collect();
    expected.push("kubermatic-telemetry.1".to_owned());
    expected.sort();
    assert_eq!(desk.tree("man"), expected);
    let main = desk.line("man -").ok().stdout;
    assert_eq!(main, std::fs::read_to_string(desk.path("man/kubermatic-telemetry.1")).unwrap());
    for verb in &verbs {
        let page =
            std::fs::read_to_string(desk.path(&format!("man/kubermatic-telemetry-{}.1", verb.join("-")))).unwrap();
        let plain = page.replace("\\-", "-");
        let help = desk.run(verb.iter().map(String::as_str).chain(["--help"])).ok().stdout;
        let words = help.split(|c: char| c.is_whitespace() || "[],.;=`".contains(c));
        for option in words.filter(|word| word.starts_with("--") && word.len() > 2) {
            let option = option.trim_end_matches(['\'', ')', ':']);
            assert!(plain.contains(option), "{option} is not on the page of {verb:?}");
        }
        assert!(main.replace("\\-", "-").contains(&verb[0]), "{verb:?}");
    }
    // Written again over the old ones; not where there is no directory.
    desk.line("man man").ok();
    desk.line("man nowhere").code(1).says("nowhere is no directory").says("hint: mkdir -p nowhere");
    let groff = Command::new("man").args(["--warnings", "-l"]).arg(desk.path("man/kubermatic-telemetry.1")).output();
    match groff {
        Ok(output) if output.status.success() => assert!(output.stderr.is_empty(), "{output:?}"),
        _ => skip("there is no `man` to read the pages with; their contents were checked all the same"),
    }
}

#[test]
fn completions_can_be_read_by_the_shells_and_know_the_verbs() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = desk.line(&format!("completions {shell}")).ok();
        assert_eq!(script.stderr, "");
        for verb in ["collect", "receipt", "rotate", "--metrics-file"] {
            let word = if shell == "fish" { verb.trim_start_matches('-') } else { verb };
            assert!(script.stdout.contains(word), "{verb} in {shell}");
        }
        let file = desk.file(shell, &script.stdout);
        if shell == "bash" {
            tool(&desk.path(""), "bash", &["-n", file.to_str().unwrap()]);
            let ask = "source ./bash; COMP_WORDS=(kubermatic-telemetry rec); COMP_CWORD=1; \
                       _kubermatic__telemetry kubermatic-telemetry rec kubermatic-telemetry; echo ${COMPREPLY[@]}";
            let answer = tool(&desk.path(""), "bash", &["-c", ask]);
            assert_eq!(String::from_utf8_lossy(&answer.stdout).trim(), "receipt");
        } else if Command::new(shell).arg("-c").arg("true").stdin(Stdio::null()).output().is_ok()
            && shell != "powershell"
        {
            tool(&desk.path(""), shell, &["-n", file.to_str().unwrap()]);
        }
    }
    desk.line("completions csh").code(2);
}

#[test]
fn the_version_names_the_commit_and_the_features() {
    let desk = Desk::new();
    let printed = desk.line("--version").ok().stdout;
    let version = format!("kubermatic-telemetry {} (", env!("CARGO_PKG_VERSION"));
    let rest = printed.strip_prefix(&version).unwrap_or_else(|| panic!("{printed}"));
    let (commit, features) = rest.strip_suffix(")\n").unwrap().split_once(", features ").unwrap();
    assert!(!commit.is_empty() && !commit.contains(char::is_whitespace), "{printed}");
    assert_eq!(features, "agent+ingest+pages");
    desk.line("keys rotate --version").ok().prints(&format!(" ({commit}, features {features})"));
}

/// The build script in a directory of its own, with these variables.
fn build(desk: &Desk, variables: &[(&str, &str)]) -> Printed {
    let mut script = Command::new(desk.path("script"));
    script.current_dir(desk.path("repository")).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    script.env("OUT_DIR", desk.path("")).env("CARGO_PKG_VERSION", "1.2.3").env("HOME", desk.path(""));
    Printed::of(script.envs(variables.iter().copied()).output().unwrap())
}

#[test]
fn a_build_takes_its_commit_from_the_variable_then_from_its_repository() {
    let desk = Desk::new();
    desk.file("repository/keys/receipts/.gitkeep", "");
    let script = root().join("src/build.rs");
    tool(&desk.path(""), "rustc", &["--edition", "2024", "-o", "script", script.to_str().unwrap()]);
    build(&desk, &[]).ok().prints("cargo::rustc-env=BUILT_AS=1.2.3 (unknown, features none)");
    let git = |arguments: &[&str]| tool(&desk.path("repository"), "git", arguments);
    git(&["init", "-q"]);
    git(&["-c", "user.name=t", "-c", "user.email=t@example.invalid", "commit", "-q", "--allow-empty", "-m", "m"]);
    let head = git(&["rev-parse", "--short=12", "HEAD"]).stdout;
    let head = String::from_utf8(head).unwrap().trim().to_owned();
    let agent = ("CARGO_FEATURE_AGENT", "1");
    build(&desk, &[agent]).ok().prints(&format!("BUILT_AS=1.2.3 ({head}, features agent)"));
    let both =
        [agent, ("CARGO_FEATURE_INGEST", "1"), ("KUBERMATIC_TELEMETRY_COMMIT", "v1-abc"), ("PROFILE", "release")];
    build(&desk, &both).ok().prints("BUILT_AS=1.2.3 (v1-abc, features agent+ingest)");
    build(&desk, &[("PROFILE", "release")]).ok().prints("cargo::rerun-if-changed=.git/HEAD");
    build(&desk, &[("KUBERMATIC_TELEMETRY_COMMIT", "a\"b")]).code(1).prints("is no commit");
    // A directory in somebody else's repository is not that commit.
    desk.file("repository/inner/keys/receipts/.gitkeep", "");
    let mut inner = Command::new(desk.path("script"));
    inner.current_dir(desk.path("repository/inner")).env("OUT_DIR", desk.path("")).env("CARGO_PKG_VERSION", "1.2.3");
    inner.env_remove("KUBERMATIC_TELEMETRY_COMMIT");
    Printed::of(inner.output().unwrap()).ok().prints("(unknown, features ");
}
