//! The embedded Postgres, as it is used: by processes that come, go and are killed, on one data directory.
//! One test for each trap that the launcher handles, with every Postgres that is at hand.

pub(crate) mod process;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use amends::postgres::{Embedded, Error, Role};

use process::*;

#[test]
fn is_durable_and_leaves_nothing_running() {
    for server in servers() {
        let folder = Folder::new("durable");
        let embedded = Embedded::start(&config(folder.join("d"), &server)).unwrap();
        assert_eq!(embedded.role(), Role::Owner);
        let url = embedded.url().to_owned();
        for (setting, expected) in [
            ("fsync", "on"),
            ("full_page_writes", "on"),
            ("synchronous_commit", "on"),
            ("listen_addresses", ""),
            ("recovery_init_sync_method", "syncfs"),
            ("server_encoding", "UTF8"),
        ] {
            assert_eq!(query(&url, &format!("show {setting}")), expected, "{setting}");
        }
        query(&url, "create table kept as select 42 as n");
        let pid = postmaster_pid(&folder.join("d"));
        // A Ctrl-C in the terminal goes to the process group; Postgres must not be in ours.
        // SAFETY: plain system calls.
        let groups = unsafe { (libc::getpgid(pid.try_into().unwrap()), libc::getpgid(0)) };
        assert_ne!(groups.0, groups.1);
        embedded.stop().unwrap();
        assert!(!alive(pid));

        let embedded = Embedded::start(&config(folder.join("d"), &server)).unwrap();
        assert_eq!(embedded.url(), url);
        assert_eq!(query(&url, "select n from kept"), "42");
        let pid = postmaster_pid(&folder.join("d"));
        drop(embedded);
        assert!(!alive(pid));
    }
}

#[test]
fn four_at_once_share_one_cluster_and_succeed_each_other() {
    for server in servers() {
        let folder = Folder::new("four");
        let data_dir = folder.join("d");
        let children: Vec<Child> = (0..4).map(|_| Process::command(&data_dir, &server).spawn().unwrap()).collect();
        let mut processes: Vec<Process> = children.into_iter().map(Process::up).collect();
        assert!(processes.windows(2).all(|pair| pair[0].url == pair[1].url));
        assert_eq!(processes.iter().filter(|process| process.role == "owner").count(), 1);
        let url = processes[0].url.clone();
        query(&url, "create table kept (n int)");

        // The owner leaves politely, then owners are killed, until one is left.
        let owner = processes.iter().position(|process| process.role == "owner").unwrap();
        processes.remove(owner).terminate();
        wait_until("a guest has taken over", || try_query(&url, "insert into kept values (1)").is_ok());
        for _ in 0..2 {
            let pid = postmaster_pid(&data_dir);
            let owner = processes.iter().position(|process| parent(pid) == process.child.id());
            processes.remove(owner.unwrap()).kill();
            wait_until("Postgres died with its owner", || !alive(pid));
            wait_until("a guest has taken over", || try_query(&url, "insert into kept values (1)").is_ok());
        }
        assert_eq!(query(&url, "select count(*) from kept"), "3");
        let pid = postmaster_pid(&data_dir);
        assert_eq!(processes.len(), 1);
        processes.remove(0).terminate();
        assert!(!alive(pid));
    }
}

#[test]
fn no_acknowledged_row_is_lost_when_everything_is_killed() {
    for server in servers() {
        let folder = Folder::new("killed");
        let data_dir = folder.join("d");
        let mut rows = 0;
        for round in 0..3 {
            let mut process = Process::start(&data_dir, &server);
            if round == 0 {
                query(&process.url, "create table kept (n int)");
            }
            assert_eq!(query(&process.url, "select count(*) from kept"), rows.to_string());
            for n in 0..20 {
                query(&process.url, &format!("insert into kept values ({n})"));
                rows += 1;
            }
            let pid = postmaster_pid(&data_dir);
            // The postmaster first: otherwise it would still end cleanly with its owner.
            signal(pid, libc::SIGKILL);
            process.kill();
            wait_until("the postmaster is gone", || !alive(pid));
        }
        let process = Process::start(&data_dir, &server);
        assert_eq!(query(&process.url, "select count(*) from kept"), rows.to_string());
    }
}

#[test]
fn a_postmaster_that_dies_alone_is_started_again() {
    let folder = Folder::new("restart");
    let embedded = Embedded::start(&config(folder.join("d"), &None)).unwrap();
    query(embedded.url(), "create table kept as select 1 as n");
    let pid = postmaster_pid(&folder.join("d"));
    signal(pid, libc::SIGKILL);
    wait_until("it answers again", || try_query(embedded.url(), "select n from kept").is_ok());
    assert_ne!(postmaster_pid(&folder.join("d")), pid);
    embedded.stop().unwrap();
}

/// All of its processes at once, as when the machine goes down, in the middle of writing.
#[test]
fn a_server_that_is_killed_whole_keeps_what_it_acknowledged() {
    let folder = Folder::new("whole");
    let embedded = Embedded::start(&config(folder.join("d"), &None)).unwrap();
    query(embedded.url(), "create table kept (n int)");
    let mut acknowledged = 0;
    for _ in 0..3 {
        let pid = postmaster_pid(&folder.join("d"));
        for n in 0..20 {
            query(embedded.url(), &format!("insert into kept values ({n})"));
            acknowledged += 1;
        }
        let backend: u32 =
            query(embedded.url(), "select pid from pg_stat_activity where backend_type = 'checkpointer'")
                .parse()
                .unwrap();
        assert!(embedded.crash());
        wait_until("postmaster and checkpointer are gone", || !alive(pid) && !alive(backend));
        wait_until("it answers again", || try_query(embedded.url(), "select 1").is_ok());
        assert_eq!(query(embedded.url(), "select count(*) from kept"), acknowledged.to_string());
    }
    embedded.stop().unwrap();
}

/// A lock file that names a process which is no postmaster: a zombie, or a stranger who got the number.
#[test]
fn a_dead_postmasters_lock_file_does_not_stop_us() {
    for server in servers() {
        let folder = Folder::new("stale");
        let data_dir = folder.join("d");
        let owner = config(data_dir.clone(), &server);
        Embedded::start(&owner).unwrap().stop().unwrap();
        let data = data_dir.join("postgres/data");

        for (name, seconds) in [("zombie", "0"), ("stranger", "600")] {
            let mut command = Command::new("sleep");
            command.arg(seconds);
            as_owner_of(&data, &mut command);
            let mut other = command.spawn().unwrap();
            if name == "zombie" {
                wait_until("it is a zombie", || !alive(other.id()));
            }
            for file in [data.join("postmaster.pid"), data_dir.join("postgres/run/.s.PGSQL.5432.lock")] {
                let text = format!("{}\n{}\n1700000000\n5432\n\n\n", other.id(), data.display());
                fs::write(&file, text).unwrap();
                give_to_owner_of(&data, &file);
            }
            // The trap is real: Postgres alone refuses.
            let mut plain = Command::new(plain_postgres(&server));
            plain.arg("-D").arg(&data).args(["-c", "listen_addresses="]).current_dir("/tmp");
            as_owner_of(&data, &mut plain);
            let refused = plain.output().unwrap();
            let text = String::from_utf8_lossy(&refused.stderr);
            assert!(!refused.status.success() && text.contains("already exists"), "{name}: {text}");

            let embedded = Embedded::start(&owner).unwrap();
            assert_eq!(query(embedded.url(), "select 1"), "1", "{name}");
            embedded.stop().unwrap();
            let _ = other.kill();
            other.wait().unwrap();
        }

        // A crash between creating and writing the file.
        fs::write(data.join("postmaster.pid"), "").unwrap();
        give_to_owner_of(&data, &data.join("postmaster.pid"));
        Embedded::start(&owner).unwrap().stop().unwrap();
    }
}

#[test]
fn a_cluster_that_another_program_runs_is_used_and_left_running() {
    let folder = Folder::new("foreign");
    let data_dir = folder.join("d");
    Embedded::start(&config(data_dir.clone(), &None)).unwrap().stop().unwrap();
    let data = data_dir.join("postgres/data");
    let run = data_dir.join("postgres/run");
    let mut command = Command::new(plain_postgres(&None));
    command.arg("-D").arg(&data).args(["-c", "listen_addresses=", "-k"]).arg(&run);
    command.current_dir("/tmp").stderr(Stdio::null());
    as_owner_of(&data, &mut command);
    let mut foreign = command.spawn().unwrap();
    wait_until("it listens", || run.join(".s.PGSQL.5432").exists());

    let embedded = Embedded::start(&config(data_dir.clone(), &None)).unwrap();
    assert_eq!(query(embedded.url(), "select 1"), "1");
    assert_eq!(postmaster_pid(&data_dir), foreign.id());
    embedded.stop().unwrap();
    assert!(alive(foreign.id()));

    // When that program ends it, we start our own.
    let embedded = Embedded::start(&config(data_dir.clone(), &None)).unwrap();
    signal(foreign.id(), libc::SIGINT);
    foreign.wait().unwrap();
    wait_until("it answers again", || try_query(embedded.url(), "select 1").is_ok());
    embedded.stop().unwrap();
}

/// The role of the cluster has the name of our schema. A second run of a program finds its tables where the first made
/// them, whatever was made in between.
#[test]
fn the_tables_of_a_program_never_land_in_our_schema() {
    let folder = Folder::new("tables");
    let embedded = Embedded::start(&config(folder.join("d"), &None)).unwrap();
    for run in 0..2 {
        query(embedded.url(), "create table if not exists orders (id serial)");
        query(embedded.url(), "insert into orders default values");
        assert_eq!(query(embedded.url(), "select max(id) from orders"), (run + 1).to_string());
        query(embedded.url(), "create schema if not exists amends");
    }
    let place = "select schemaname from pg_tables where tablename = 'orders'";
    assert_eq!(query(embedded.url(), place), "public");
    embedded.stop().unwrap();
}

/// The URL that `amends postgres` prints is a URL for the clients that people have.
#[test]
fn other_clients_take_the_url() {
    let folder = Folder::new("clients");
    let embedded = Embedded::start(&config(folder.join("o'k \u{e4}"), &None)).unwrap();
    let psql = servers().into_iter().flatten().map(|binaries| binaries.join("psql")).find(|psql| psql.exists());
    let psql = psql.unwrap_or_else(|| "psql".into());
    let python = "import psycopg, sys; print(psycopg.connect(sys.argv[1]).execute('select 6 * 7').fetchone()[0])";
    let mut ask = Command::new(psql);
    ask.args([embedded.url(), "--no-psqlrc", "--tuples-only", "--no-align", "--command", "select 6 * 7"]);
    let mut ask_python = Command::new("/usr/bin/python3");
    ask_python.args(["-c", python, embedded.url()]);
    for command in [&mut ask, &mut ask_python] {
        let output = command.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "42", "{command:?}: {output:?}");
    }
    embedded.stop().unwrap();
}

#[test]
fn a_half_made_cluster_is_made_anew() {
    let folder = Folder::new("half");
    let mut first = Process::command(&folder.join("d"), &None).spawn().unwrap();
    wait_until("initdb is at work", || folder.join("d/postgres/data.new/base").exists());
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(!folder.join("d/postgres/data").exists());
    let process = Process::start(&folder.join("d"), &None);
    assert_eq!(query(&process.url, "select 1"), "1");
    assert!(!folder.join("d/postgres/data.new").exists());
}

#[test]
fn a_long_path_gets_a_short_socket() {
    for server in servers() {
        let folder = Folder::new("long");
        let data_dir = folder.join(&"x".repeat(100));
        let embedded = Embedded::start(&config(data_dir.clone(), &server)).unwrap();
        assert!(embedded.url().contains("@%2Ftmp%2Famends-"), "{}", embedded.url());
        assert_eq!(query(embedded.url(), "select 1"), "1");
        let guest = Process::start(&data_dir, &server);
        assert_eq!((guest.role.as_str(), guest.url.as_str()), ("guest", embedded.url()));
        guest.terminate();
        let host = embedded.url().split(['@', ':']).nth(2).unwrap().replace("%2F", "/");
        embedded.stop().unwrap();
        fs::remove_dir_all(host).unwrap();
    }
}

#[test]
fn names_with_quotes_and_spaces_do() {
    let folder = Folder::new("names");
    let data_dir = folder.join("o'\"k, ä%b");
    let embedded = Embedded::start(&config(data_dir, &None)).unwrap();
    assert_eq!(query(embedded.url(), "select 1"), "1");
    embedded.stop().unwrap();
}

#[test]
fn a_wrong_version_is_named() {
    let folder = Folder::new("version");
    let data_dir = folder.join("d");
    Embedded::start(&config(data_dir.clone(), &None)).unwrap().stop().unwrap();
    fs::write(data_dir.join("postgres/data/PG_VERSION"), "99\n").unwrap();
    let error = Embedded::start(&config(data_dir, &None)).unwrap_err();
    assert!(matches!(&error, Error::WrongVersion { wanted, .. } if wanted == "99"), "{error}");
}

#[test]
fn a_folder_without_a_server_is_no_installation() {
    let folder = Folder::new("none");
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    fs::write(bin.join("pg_config"), "#!/bin/sh\n").unwrap();
    let error = Embedded::start(&config(folder.join("d"), &Some(bin.clone()))).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::NoBinaries { .. }), "{text}");
    assert!(text.contains(&format!("not usable: {}: there is no `postgres`", bin.display())), "{text}");
    assert!(text.contains("install"), "{text}");
}

#[test]
fn a_start_that_fails_says_what_postgres_said() {
    let folder = Folder::new("fails");
    let data_dir = folder.join("d");
    Embedded::start(&config(data_dir.clone(), &None)).unwrap().stop().unwrap();
    fs::write(data_dir.join("postgres/data/postgresql.conf"), "no_such_setting = 1\n").unwrap();
    let text = Embedded::start(&config(data_dir, &None)).unwrap_err().to_string();
    assert!(text.contains("unrecognized configuration parameter \"no_such_setting\""), "{text}");
    assert!(text.contains("postgres.log"), "{text}");
}

#[test]
fn as_root_each_folder_on_the_way_must_be_open() {
    if !is_root() {
        eprintln!("not tested: only root runs Postgres as another user");
        return;
    }
    let folder = Folder::new("closed");
    let closed = folder.join("closed");
    fs::create_dir_all(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let error = Embedded::start(&config(closed.join("deep/d"), &None)).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Account(_)), "{text}");
    assert!(text.contains(&format!("may not enter {};", closed.display())), "{text}");
}

#[test]
fn a_user_without_a_name_is_told_so() {
    if !is_root() {
        eprintln!("not tested: only root can become a user without a name");
        return;
    }
    const NOBODY_HAS_THIS: u32 = 54_321;
    let folder = Folder::new("nameless");
    chown(&folder.0, Some(NOBODY_HAS_THIS), Some(NOBODY_HAS_THIS)).unwrap();
    let mut command = Process::command(&folder.join("d"), &None);
    command.uid(NOBODY_HAS_THIS).gid(NOBODY_HAS_THIS);
    let program = runnable_by_all(&folder);
    let output = Command::new(program)
        .args(command.get_args())
        .uid(NOBODY_HAS_THIS)
        .gid(NOBODY_HAS_THIS)
        .current_dir("/")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("user id 54321, which has no entry in the passwd database"), "{text}");
}

/// Another user's cluster: a clear answer, and no second one.
#[test]
fn another_users_data_directory_is_refused() {
    if !is_root() {
        eprintln!("not tested: only root can become another user");
        return;
    }
    let folder = Folder::new("other");
    let owner = Process::start(&folder.join("d"), &None);
    let output = Command::new(runnable_by_all(&folder))
        .args(["postgres", "--data-dir"])
        .arg(folder.join("d"))
        .uid(65_534)
        .gid(65_534)
        .current_dir("/")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("Permission denied") && text.contains("run as the user who owns it"), "{text}");
    owner.terminate();
}
