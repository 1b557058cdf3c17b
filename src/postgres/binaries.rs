//! Finds an installed Postgres server. Owns the list of folders to search and the choice of a version. `cluster.rs`
//! runs the server.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::os_user::Account;
use super::{Error, VERSION_MIN};

/// An installed server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binaries {
    /// Folder that holds `postgres` and `initdb`.
    pub(super) dir: PathBuf,
    /// Major version.
    pub(super) major: u32,
}

impl Binaries {
    /// Finds the server for a cluster: the cluster's own major version if the cluster exists, else the highest
    /// installed version.
    ///
    /// A named folder is the only folder that is searched. A wrong name must not be corrected in silence.
    pub(super) fn find(named: Option<&Path>, data: &Path, account: &Account) -> Result<Self, Error> {
        let candidates = match named {
            Some(dir) => vec![dir.to_owned()],
            None => installed(),
        };
        let mut usable = Vec::new();
        let mut rejected = Vec::new();
        for dir in candidates {
            match examine(&dir, account) {
                Ok(major) if major >= VERSION_MIN => usable.push(Self { dir, major }),
                Ok(major) => {
                    rejected.push(format!("{}: expected version {VERSION_MIN} or newer, found {major}", dir.display()))
                }
                // Most folders of PATH hold no server. A named folder must hold one.
                Err(Reason::NoServer(_)) if named.is_none() => {}
                Err(Reason::NoServer(text) | Reason::Unusable(text)) => {
                    rejected.push(format!("{}: {text}", dir.display()));
                }
            }
        }
        choose(usable, data, rejected)
    }

    /// Returns the path of a program of this server.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Reason why a folder is not usable.
enum Reason {
    /// A program is missing. `pg_config` or a client alone is no server.
    NoServer(String),
    /// The server cannot be used.
    Unusable(String),
}

fn choose(usable: Vec<Binaries>, data: &Path, rejected: Vec<String>) -> Result<Binaries, Error> {
    let Ok(version) = fs::read_to_string(data.join("PG_VERSION")) else {
        let newest = usable.into_iter().max_by_key(|binaries| binaries.major);
        return newest.ok_or_else(|| Error::NoBinaries { rejected, install: install_hint() });
    };
    let wanted = version.trim();
    let found: BTreeSet<String> = usable.iter().map(|binaries| binaries.major.to_string()).collect();
    if found.is_empty() {
        return Err(Error::NoBinaries { rejected, install: install_hint() });
    }
    usable.into_iter().find(|binaries| binaries.major.to_string() == wanted).ok_or_else(|| Error::WrongVersion {
        data: data.to_owned(),
        wanted: wanted.to_owned(),
        found: found.into_iter().collect::<Vec<_>>().join(", "),
    })
}

/// Reads the major version of a server. Runs it as the user that would run Postgres.
fn examine(dir: &Path, account: &Account) -> Result<u32, Reason> {
    for name in ["postgres", "initdb"] {
        if !dir.join(name).is_file() {
            return Err(Reason::NoServer(format!("there is no `{name}`")));
        }
    }
    let output = account
        .command(dir.join("postgres"), Path::new("/"), libc::SIGKILL)
        .arg("--version")
        .output()
        .map_err(|error| Reason::Unusable(format!("user {} cannot run it: {error}", account.label())))?;
    let text = String::from_utf8_lossy(&output.stdout);
    major(&text).ok_or_else(|| {
        let said = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
        Reason::Unusable(format!("expected a version from `postgres --version`, found {:?}", said.trim()))
    })
}

/// Reads the major version from `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn major(text: &str) -> Option<u32> {
    let (_, version) = text.split_once("(PostgreSQL) ")?;
    let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Lists the folders that may hold a server, each once: those of PATH, that of `pg_config`, then the usual ones.
fn installed() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = Vec::new();
    if let Some(path) = std::env::var_os("PATH") {
        dirs.extend(std::env::split_paths(&path).filter(|dir| dir.is_absolute()));
    }
    dirs.extend(from_pg_config());
    for pattern in PATTERNS {
        dirs.extend(matching(pattern));
    }
    let mut seen = BTreeSet::new();
    dirs.retain(|dir| dir.canonicalize().is_ok_and(|real| seen.insert(real)));
    dirs
}

/// Folders of Linux distributions, Homebrew, MacPorts and the graphical installers. `*` stands for a version.
const PATTERNS: [&str; 12] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/lib/postgresql*/bin",
    "/usr/lib64/postgresql*/bin",
    "/usr/libexec/postgresql*",
    "/usr/local/pgsql*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
    "/opt/local/lib/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/Library/PostgreSQL/*/bin",
];

fn from_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(text.trim())).filter(|dir| dir.is_absolute())
}

/// Lists the folders that match a pattern with one `*`.
fn matching(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else { return Vec::new() };
    let Some((parent, prefix)) = before.rsplit_once('/') else { return Vec::new() };
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let mut dirs: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .map(|name| PathBuf::from(format!("{parent}/{name}{after}")))
        .filter(|dir| dir.is_dir())
        .collect();
    dirs.sort();
    dirs
}

fn install_hint() -> String {
    if cfg!(target_os = "macos") {
        return "install it with `brew install postgresql@18`".to_owned();
    }
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let sudo = if super::os_user::is_root() { "" } else { "sudo " };
    match install_command(&release) {
        Some(command) => format!("install it with `{sudo}{command}`"),
        None => "install the PostgreSQL server with the system's package manager".to_owned(),
    }
}

/// Returns the install command for the distribution that `/etc/os-release` describes.
fn install_command(release: &str) -> Option<&'static str> {
    let field = |name: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().trim_matches('"').to_owned())
    };
    let ids = format!("{} {}", field("ID=").unwrap_or_default(), field("ID_LIKE=").unwrap_or_default());
    ids.split_whitespace().find_map(|id| match id {
        "debian" | "ubuntu" => Some("apt-get install -y postgresql"),
        "fedora" | "rhel" | "centos" | "amzn" => Some("dnf install -y postgresql-server"),
        "alpine" => Some("apk add postgresql"),
        "arch" => Some("pacman -S --noconfirm postgresql"),
        "suse" | "opensuse" | "sles" => Some("zypper install -y postgresql-server"),
        "nixos" => Some("nix-env -iA nixos.postgresql"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_major_version() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major("psql 15"), None);
    }

    #[test]
    fn takes_the_clusters_version_else_the_highest() {
        let dir = std::env::temp_dir().join(format!("amends-versions-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let all = || [15, 18, 16].map(|major| Binaries { dir: PathBuf::from("/x"), major }).to_vec();
        assert_eq!(choose(all(), &dir, Vec::new()).unwrap().major, 18);
        fs::write(dir.join("PG_VERSION"), "16\n").unwrap();
        assert_eq!(choose(all(), &dir, Vec::new()).unwrap().major, 16);
        fs::write(dir.join("PG_VERSION"), "17\n").unwrap();
        let error = choose(all(), &dir, Vec::new()).unwrap_err().to_string();
        assert!(error.contains("PostgreSQL 17, found only version 15, 16, 18; install"), "{error}");
        let error = choose(Vec::new(), &dir, vec!["/x: no".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("not usable: /x: no"), "{error}");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn knows_how_to_install() {
        for (release, expected) in [
            ("ID=debian\n", Some("apt-get install -y postgresql")),
            ("NAME=\"x\"\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", Some("apt-get install -y postgresql")),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", Some("dnf install -y postgresql-server")),
            ("ID=alpine\n", Some("apk add postgresql")),
            ("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"", Some("zypper install -y postgresql-server")),
            ("ID=hurd\n", None),
            ("", None),
        ] {
            assert_eq!(install_command(release), expected, "{release}");
        }
    }
}
